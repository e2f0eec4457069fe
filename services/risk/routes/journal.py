"""Routes of the journal."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from starlette.responses import StreamingResponse

from services.risk.dependencies import EngineDep, ReaderDep
from services.risk.handlers import journal as handlers
from services.risk.handlers import stream as handlers_stream
from shared.dependencies import ResourcesDep, SessionDep
from shared.problems import DependencyUnavailable
from shared.schemas.base import Identifier
from shared.schemas.journal import EventKind, JournalPage, JournalVerification

router = APIRouter(prefix="/journal", tags=["journal"])
stream_router = APIRouter(tags=["journal"])
_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"description": "Server-sent events.", "content": {"text/event-stream": {"schema": {"type": "string"}}}}
}


@router.get("")
async def read_journal(
    session: SessionDep,
    _: ReaderDep,
    after: Annotated[int, Query(ge=0, lt=2**63, description="Rows after this sequence number.")] = 0,
    limit: Annotated[int, Query(ge=1, le=5000, description="Most rows of one page.")] = 1000,
    kind: Annotated[tuple[EventKind, ...], Query(description="Only these kinds.")] = (),
) -> JournalPage:
    """Read durable rows, oldest first."""
    return await handlers.read_journal(session, after, limit, kind)


@stream_router.get("/stream", response_class=StreamingResponse, responses=_EVENTS)
async def stream_journal(
    engine: EngineDep,
    shared: ResourcesDep,
    _: ReaderDep,
    account_id: Annotated[Identifier | None, Query(description="Only this account's, and what concerns all.")] = None,
    kind: Annotated[tuple[EventKind, ...], Query(description="Only these kinds.")] = (),
    last_event_id: Annotated[int | None, Header(ge=0, lt=2**63, description="From after this row on.")] = None,
) -> StreamingResponse:
    """Stream durable rows as server-sent events: `id` is the sequence number, `event` the kind, `data` the body."""
    if (why := await engine.problem()) is not None:
        raise DependencyUnavailable(f"Nothing is streamed now: {why}", headers={"Retry-After": "1"})
    if engine.broadcast.full:
        raise DependencyUnavailable("As many read as may (TRADING_RISK_STREAMS)", headers={"Retry-After": "1"})
    events = handlers_stream.stream(engine, shared.database, last_event_id, account_id, frozenset(kind))
    return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


@router.get("/verify")
async def verify_journal(shared: ResourcesDep, _: ReaderDep) -> JournalVerification:
    """Follow the whole hash chain; name the first row that was altered, or is missing."""
    return await handlers.verify_journal(shared.database)
