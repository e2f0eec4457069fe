"""Routes of instruments and marks."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from services.risk.dependencies import EngineDep, FirmDep, FirmFeederDep, FirmOperatorDep, ReaderDep
from services.risk.handlers import market as handlers
from shared.auth import note_refusal
from shared.pagination import DEFAULT_LIMIT, BadCursor, PageLimit
from shared.problems import Conflict, Forbidden, NotFound, ShardsUnconfirmed, declare
from shared.schemas.base import Contract, Identifier, Page, Symbol
from shared.schemas.instruments import (
    Instrument,
    InstrumentBatch,
    Mark,
    MarkBatch,
    MarksResult,
    ScenarioSet,
    ScenarioView,
)

router = APIRouter(tags=["market"])


class Count(Contract):
    """How many of those sent changed anything."""

    count: int


@router.put("/instruments", responses=declare(Conflict, ShardsUnconfirmed))
async def set_instruments(
    request: Request, batch: InstrumentBatch, engine: EngineDep, firm: FirmDep, caller: FirmOperatorDep
) -> Count:
    """Add instruments; a risk officer or an admin replaces them too. What is held keeps its currency and multiplier.

    A service adds new ones and says what the average daily volume is. The margining and the underlying of what is held
    do not change either.
    """
    try:
        return Count(count=await handlers.set_instruments(engine, firm, batch, caller))
    except Forbidden as refused:
        note_refusal(request, refused, caller.subject)
        raise


@router.get("/instruments", responses=declare(BadCursor))
async def list_instruments(
    engine: EngineDep, _: ReaderDep, cursor: str | None = None, limit: PageLimit = DEFAULT_LIMIT
) -> Page[Instrument]:
    """List instruments by symbol."""
    return await handlers.list_instruments(engine, cursor, limit)


@router.post("/marks", responses=declare(ShardsUnconfirmed))
async def set_marks(batch: MarkBatch, engine: EngineDep, firm: FirmDep, caller: FirmFeederDep) -> MarksResult:
    """Send marks straight to risk.

    Those of unknown symbols, older than what is held, or ahead of the clock change nothing, and are named under
    `ignored` with the reason; those under `doubted` block their symbols.
    """
    return await handlers.set_marks(engine, firm, batch, caller)


@router.get("/marks", responses=declare(BadCursor))
async def list_marks(
    engine: EngineDep,
    _: ReaderDep,
    simulation_id: Annotated[Identifier | None, Query(description="Of a simulation; live ones by default.")] = None,
    symbol: Annotated[Symbol | None, Query(description="Only this symbol.")] = None,
    cursor: str | None = None,
    limit: PageLimit = DEFAULT_LIMIT,
) -> Page[Mark]:
    """List the marks risk values positions at now."""
    return await handlers.list_marks(engine, simulation_id, symbol, cursor, limit)


@router.put("/scenarios", responses=declare(ShardsUnconfirmed))
async def set_scenarios(
    scenarios: ScenarioSet, engine: EngineDep, firm: FirmDep, caller: FirmOperatorDep
) -> ScenarioView:
    """Measure historical VaR and ES on these returns from the next order on; they replace those before."""
    return await handlers.set_scenarios(engine, firm, scenarios, caller)


@router.get("/scenarios", responses=declare(NotFound))
async def get_scenarios(engine: EngineDep, _: ReaderDep) -> ScenarioView:
    """Return which scenarios are in force."""
    return await handlers.get_scenarios(engine)
