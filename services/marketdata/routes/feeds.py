"""Routes of sources: how they are doing, calls made to them, and backfills."""

from typing import Annotated

from fastapi import APIRouter, Path

from services.marketdata.dependencies import BackfillsDep, FeederDep, OperatorDep, ReaderDep, SourcesDep
from services.marketdata.handlers import feeds
from shared.dependencies import ClockDep, SessionDep
from shared.pagination import DEFAULT_LIMIT, BadCursor, PageLimit
from shared.problems import Conflict, NotFound, declare
from shared.schemas.base import Identifier, Page
from shared.schemas.feeds import Backfill, BackfillRequest, BackfillState, FeedCalls, FeedHealth, FeedsOverview

router = APIRouter(tags=["feeds"])
NamePath = Annotated[Identifier, Path(description="The source.")]
BackfillPath = Annotated[Identifier, Path(description="The backfill's id.")]


@router.get("/feeds/health")
async def sources(manager: SourcesDep, _: ReaderDep) -> FeedsOverview:
    """Return how each source is doing, which one is active, and the latest changes of it."""
    return feeds.overview(manager)


@router.get("/feeds/{name}/health", responses=declare(NotFound))
async def source_health(name: NamePath, manager: SourcesDep, _: ReaderDep) -> FeedHealth:
    """Return how one source is doing."""
    return feeds.health(manager, name)


@router.post("/feeds/{name}/calls", responses=declare(NotFound))
async def record_calls(name: NamePath, calls: FeedCalls, manager: SourcesDep, _: FeederDep) -> FeedHealth:
    """Report calls that were made to a source elsewhere; they count for its health as those made here."""
    return feeds.record_calls(manager, name, calls.calls)


@router.post("/backfill", status_code=202)
async def start_backfill(
    request: BackfillRequest, session: BackfillsDep, manager: SourcesDep, clock: ClockDep, who: OperatorDep
) -> Backfill:
    """Fetch bars from a source's history in the background; ask for its progress by its id."""
    return await feeds.start_backfill(session, manager, request, who.subject, clock.now())


@router.get("/backfills", responses=declare(BadCursor))
async def list_backfills(
    session: SessionDep, _: ReaderDep, cursor: str | None = None, limit: PageLimit = DEFAULT_LIMIT
) -> Page[Backfill]:
    """List backfills, the newest first."""
    return await feeds.list_backfills(session, cursor, limit)


@router.get("/backfills/{backfill_id}", responses=declare(NotFound))
async def get_backfill(backfill_id: BackfillPath, session: SessionDep, _: ReaderDep) -> Backfill:
    """Return a backfill and how far it came."""
    return await feeds.get_backfill(session, backfill_id)


@router.post("/backfills/{backfill_id}/cancel", responses=declare(NotFound, Conflict))
async def cancel_backfill(
    backfill_id: BackfillPath, session: BackfillsDep, clock: ClockDep, _: OperatorDep
) -> Backfill:
    """Stop a backfill; what it brought stays."""
    return await feeds.change_backfill(session, backfill_id, BackfillState.CANCELLED, clock.now())


@router.post("/backfills/{backfill_id}/resume", responses=declare(NotFound, Conflict))
async def resume_backfill(
    backfill_id: BackfillPath, session: BackfillsDep, clock: ClockDep, _: OperatorDep
) -> Backfill:
    """Go on with a backfill that failed or was cancelled, from where it stopped."""
    return await feeds.change_backfill(session, backfill_id, BackfillState.QUEUED, clock.now())
