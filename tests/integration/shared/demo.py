"""A small service under the name of ml: every behaviour `create_app` promises, and no business."""

from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Query
from pydantic import Field
from sqlalchemy import text

from shared.app import create_app
from shared.auth import ANY_ROLE, Principal, Role, require
from shared.clock import Clock
from shared.dependencies import ClockDep, RedisDep, SessionDep
from shared.money import Amount
from shared.problems import Conflict, declare
from shared.schemas.base import Contract, UtcDatetime
from shared.settings import ServiceSettings

Trader = Annotated[Principal, Depends(require(Role.TRADER))]
Anyone = Annotated[Principal, Depends(require(*ANY_ROLE))]


class Note(Contract):
    """What the demonstration stores."""

    name: Annotated[str, Field(max_length=2000)]
    amount: Amount = Field(default=0, validate_default=True)


def demo_router() -> APIRouter:
    router = APIRouter()

    @router.post("/notes", responses=declare(Conflict))
    async def post_note(note: Note, caller: Trader, session: SessionDep) -> dict[str, str]:
        await session.execute(text("INSERT INTO public.note (name) VALUES (:name)"), {"name": note.name})
        return {"by": caller.subject}

    @router.get("/notes")
    async def get_notes(_: Anyone, session: SessionDep) -> list[str]:
        return [row[0] for row in await session.execute(text("SELECT name FROM public.note ORDER BY name"))]

    @router.get("/redis")
    async def get_redis(_: Anyone, redis: RedisDep) -> dict[str, str | None]:
        return {"value": await redis.get("x")}

    @router.get("/clock")
    async def get_clock(_: Anyone, clock: ClockDep) -> dict[str, UtcDatetime]:
        return {"now": clock.now()}

    @router.get("/bug")
    async def get_bug(_: Anyone) -> None:
        raise ZeroDivisionError("password=hunter2")

    @router.get("/conflict")
    async def get_conflict(_: Anyone) -> None:
        raise Conflict("taken", version=3)

    @router.get("/kinds")
    async def get_kinds(_: Anyone, kind: Annotated[tuple[str, ...], Query()] = (), name: str = "") -> list[str]:
        return [*kind, name]

    nested = APIRouter(prefix="/nested")

    @nested.get("")
    @nested.get("/{name}")
    async def get_nested(_: Anyone, name: str = "") -> str:
        return name

    router.include_router(nested)
    return router


def demo_app(settings: ServiceSettings, clock: Clock | None = None) -> FastAPI:
    return create_app(name="ml", settings=settings, routers=[demo_router()], clock=clock)
