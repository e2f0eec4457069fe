"""Routes that serve market data."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from services.marketdata import handlers
from services.marketdata.dependencies import EndQuery, ReaderDep, SimulationQuery, StartQuery, SymbolQuery
from shared.dependencies import SessionDep
from shared.pagination import DEFAULT_LIMIT, BadCursor, PageLimit
from shared.problems import NotFound, declare
from shared.schemas.base import Identifier, Page
from shared.schemas.marketdata import FeedStatus, Interval, StoredBar, StoredMarketState

router = APIRouter(tags=["reads"])


@router.get("/bars", responses=declare(BadCursor))
async def list_bars(
    session: SessionDep,
    _: ReaderDep,
    symbol: SymbolQuery,
    interval: Annotated[Interval, Query(description="Length of the bars.")],
    start: StartQuery = None,
    end: EndQuery = None,
    simulation_id: SimulationQuery = None,
    cursor: str | None = None,
    limit: PageLimit = DEFAULT_LIMIT,
) -> Page[StoredBar]:
    """List bars, oldest first, each with its verdict."""
    return await handlers.list_bars(session, simulation_id or "", (symbol, interval), (start, end), cursor, limit)


@router.get("/market-states", responses=declare(BadCursor))
async def list_states(
    session: SessionDep,
    _: ReaderDep,
    symbol: SymbolQuery,
    start: StartQuery = None,
    end: EndQuery = None,
    simulation_id: SimulationQuery = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100, description="Most states of one page.")] = 10,
) -> Page[StoredMarketState]:
    """List market states, oldest first, each with its verdict."""
    return await handlers.list_states(session, simulation_id or "", symbol, (start, end), cursor, limit)


@router.get("/market-states/current", responses=declare(NotFound))
async def current_state(
    session: SessionDep, _: ReaderDep, symbol: SymbolQuery, simulation_id: SimulationQuery = None
) -> StoredMarketState:
    """Return the newest market state that is not critical."""
    return await handlers.current_state(session, simulation_id or "", symbol)


@router.get("/market-states/{market_state_id}", responses=declare(NotFound))
async def get_state(
    market_state_id: Annotated[Identifier, Path(description="The state's id.")], session: SessionDep, _: ReaderDep
) -> StoredMarketState:
    """Return a market state, whatever its verdict."""
    return await handlers.get_state(session, market_state_id)


@router.get("/feeds", responses=declare(BadCursor))
async def list_feeds(
    session: SessionDep,
    _: ReaderDep,
    simulation_id: Annotated[Identifier | None, Query(description="Of a simulation; of all data by default.")] = None,
    cursor: str | None = None,
    limit: PageLimit = DEFAULT_LIMIT,
) -> Page[FeedStatus]:
    """List sources: what came, how good it was, and when last."""
    return await handlers.list_feeds(session, simulation_id, cursor, limit)
