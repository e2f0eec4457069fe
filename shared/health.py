"""Liveness and readiness, each dependency by name."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from fastapi import APIRouter
from prometheus_client import CollectorRegistry, Gauge
from pydantic import BaseModel
from redis.exceptions import RedisError
from starlette.responses import Response

from shared.database import UNAVAILABLE
from shared.migrations import schema_problem
from shared.problems import DependencyUnavailable, declare
from shared.resources import Resources


@dataclass(frozen=True, slots=True)
class Well:
    """All is well, and what there is to know of it."""

    detail: str


# None or Well where all is well, else what is wrong.
Check = Callable[[], Awaitable[str | Well | None]]
_CHECK_SECONDS = 3.0
# The loop alone does not keep a task alive.
_LEFT_BEHIND: set[asyncio.Future[str | Well | None]] = set()


class Liveness(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"
    service: str


class DependencyState(BaseModel):
    """Whether one dependency can be used, and why not or what it is."""

    ok: bool
    detail: str | None = None


class Readiness(BaseModel):
    """The service can do its work: every dependency can be used."""

    status: Literal["ready"] = "ready"
    service: str
    dependencies: dict[str, DependencyState]


def health_router(service: str, checks: Mapping[str, Check]) -> APIRouter:
    """Return the open routes `/healthz` and `/readyz`."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz")
    async def healthz() -> Liveness:
        """Tell that the process answers; whether it can work is `/readyz`."""
        return Liveness(service=service)

    @router.get("/readyz", response_model=Readiness, responses=declare(DependencyUnavailable))
    async def readyz() -> Readiness | Response:
        """Tell whether every dependency can be used; 503 names those that cannot."""
        states = await _run(checks)
        failed = [name for name, state in states.items() if not state.ok]
        if not failed:
            return Readiness(service=service, dependencies=states)
        return DependencyUnavailable(
            f"{service} is not ready: {', '.join(failed)}",
            headers={"Retry-After": "1"},
            service=service,
            dependencies={name: state.model_dump() for name, state in states.items()},
        ).response()

    return router


class ReadinessGauge:
    """What `/readyz` would say, as a metric: nothing that scrapes metrics alone sees a status code."""

    def __init__(self, checks: Mapping[str, Check], registry: CollectorRegistry) -> None:
        self._checks = checks
        self._gauge = Gauge(
            "keelson_dependency_ready", "1 while a dependency can be used.", ["dependency"], registry=registry
        )

    async def look(self) -> None:
        """Run every check and set its gauge."""
        for name, state in (await _run(self._checks)).items():
            self._gauge.labels(name).set(state.ok)


def storage_checks(service: str, resources: Resources) -> dict[str, Check]:
    """Return the checks of a service's database and Redis."""

    async def database() -> str | None:
        try:
            return await schema_problem(service, resources.database)
        except UNAVAILABLE:
            return "PostgreSQL does not answer"

    async def redis() -> str | None:
        try:
            await resources.redis.ping()
        except (RedisError, OSError):
            return "Redis does not answer"
        return None

    return {"database": database, "redis": redis}


async def _run(checks: Mapping[str, Check]) -> dict[str, DependencyState]:
    """Run all checks at once; one that takes too long is left behind, as even ending it may hang."""
    tasks = {name: asyncio.ensure_future(check()) for name, check in checks.items()}
    try:
        if tasks:
            await asyncio.wait(tasks.values(), timeout=_CHECK_SECONDS)
        return {name: _state(task) for name, task in tasks.items()}
    finally:
        for task in tasks.values():
            if not task.done():
                _LEFT_BEHIND.add(task)
                task.add_done_callback(_forget)
                task.cancel()


def _state(task: asyncio.Future[str | Well | None]) -> DependencyState:
    found = task.result() if task.done() else f"no answer within {_CHECK_SECONDS:g} s"
    if isinstance(found, Well):
        return DependencyState(ok=True, detail=found.detail)
    return DependencyState(ok=found is None, detail=found)


def _forget(task: asyncio.Future[str | Well | None]) -> None:
    _LEFT_BEHIND.discard(task)
    if not task.cancelled():
        # Whatever it found now, the answer is out; unread, an error would be logged as nobody's.
        task.exception()
