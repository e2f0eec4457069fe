"""Routes of the ledger."""

from typing import Annotated

from fastapi import APIRouter, Query

from services.reporting import handlers, state
from services.reporting.dependencies import FilterDep, ProgressDep, ReaderDep
from shared.dependencies import SessionDep
from shared.pagination import DEFAULT_LIMIT, BadCursor, PageLimit
from shared.problems import declare
from shared.schemas.base import Identifier, Page
from shared.schemas.reporting import Counts, DailyRollup, LedgerState, Trade

router = APIRouter(tags=["ledger"])


@router.get("/trades", responses=declare(BadCursor))
async def list_trades(
    session: SessionDep, wanted: FilterDep, _: ReaderDep, cursor: str | None = None, limit: PageLimit = DEFAULT_LIMIT
) -> Page[Trade]:
    """List trades, the newest first, each with the score that asked for it."""
    return await handlers.list_trades(session, wanted, cursor, limit)


@router.get("/rollups", responses=declare(BadCursor))
async def list_rollups(
    session: SessionDep, wanted: FilterDep, _: ReaderDep, cursor: str | None = None, limit: PageLimit = DEFAULT_LIMIT
) -> Page[DailyRollup]:
    """List closed days, the newest first: of accounts, and of each strategy in them."""
    return await handlers.list_rollups(session, wanted, cursor, limit)


@router.get("/counts")
async def counts(
    session: SessionDep,
    _: ReaderDep,
    simulation_id: Annotated[Identifier | None, Query(description="Of a simulation; live accounts by default.")] = None,
) -> Counts:
    """Return totals of decisions, trades, profit and days."""
    return await handlers.counts(session, simulation_id)


@router.get("/state")
async def ledger_state(session: SessionDep, progress: ProgressDep, _: ReaderDep) -> LedgerState:
    """Tell how far the ledger has read the journal, and why it stands still where it does."""
    return await state.ledger_state(session, progress)
