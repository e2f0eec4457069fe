"""Instruments, marks and scenarios."""

from services.risk.core.commands import SetInstruments, SetMarks, SetScenarios
from services.risk.core.outcome import Refused, not_found
from services.risk.core.positions import HeldMark
from services.risk.core.state import FirmState
from services.risk.core.translate import quote
from services.risk.core.units import amount, moment
from services.risk.engine import Engine
from services.risk.firm import Firm
from services.risk.handlers.asking import do, problem
from services.risk.peers import Message
from shared.auth import Principal, Role
from shared.pagination import decode_cursor, encode_cursor
from shared.schemas.base import Page
from shared.schemas.instruments import (
    Instrument,
    InstrumentBatch,
    Mark,
    MarkBatch,
    MarksResult,
    ScenarioSet,
    ScenarioView,
)


async def set_instruments(engine: Engine, firm: Firm, batch: InstrumentBatch, caller: Principal) -> int:
    """Add or replace instruments on every shard; return how many are new or changed. Raises ShardsUnconfirmed.

    A service, which may trade too, lifts no restriction: it describes what is new. Raises Forbidden.
    """
    describes = not firm.forwarded and not caller.roles & {Role.RISK_OFFICER, Role.ADMIN}
    found: int = await do(engine, SetInstruments(tuple(batch.instruments), caller.subject, describes))
    await firm.carry(Message("PUT", "/instruments", batch, caller.subject))
    return found


async def list_instruments(engine: Engine, cursor: str | None, limit: int) -> Page[Instrument]:
    """Return instruments by symbol."""
    after = str(decode_cursor(cursor, symbol=str)["symbol"]) if cursor else ""

    def page(state: FirmState) -> Page[Instrument]:
        symbols = sorted(symbol for symbol in state.instruments if symbol > after)
        items = [state.instruments[symbol].instrument for symbol in symbols[:limit]]
        following = encode_cursor({"symbol": symbols[limit - 1]}) if len(symbols) > limit else None
        return Page(items=items, next_cursor=following)

    return await engine.read(page)


async def set_marks(engine: Engine, firm: Firm, batch: MarkBatch, caller: Principal) -> MarksResult:
    """Take marks on every shard; return what became of them on this one. Raises ShardsUnconfirmed."""
    found: MarksResult = await do(engine, SetMarks(batch.simulation_id, tuple(quote(mark) for mark in batch.marks)))
    await firm.carry(Message("POST", "/marks", batch, caller.subject))
    return found


async def list_marks(
    engine: Engine, simulation_id: str | None, symbol: str | None, cursor: str | None, limit: int
) -> Page[Mark]:
    """Return the marks risk holds for a simulation, or the live ones, by symbol."""
    after = str(decode_cursor(cursor, symbol=str)["symbol"]) if cursor else ""

    def page(state: FirmState) -> Page[Mark]:
        if symbol is not None:
            mark = state.marks.get((simulation_id, symbol))
            return Page(items=[_mark(symbol, mark)] if mark and symbol > after else [])
        chosen = sorted(
            (name, mark)
            for (simulation, name), mark in state.marks.items()
            if simulation == simulation_id and name > after
        )
        following = encode_cursor({"symbol": chosen[limit - 1][0]}) if len(chosen) > limit else None
        return Page(items=[_mark(name, mark) for name, mark in chosen[:limit]], next_cursor=following)

    return await engine.read(page)


async def set_scenarios(engine: Engine, firm: Firm, scenarios: ScenarioSet, caller: Principal) -> ScenarioView:
    """Measure VaR and ES on other returns from now on, on every shard. Raises ShardsUnconfirmed."""
    await do(engine, SetScenarios(scenarios, caller.subject))
    await firm.carry(Message("PUT", "/scenarios", scenarios, caller.subject))
    return await get_scenarios(engine)


async def get_scenarios(engine: Engine) -> ScenarioView:
    """Return the scenarios in force, without their figures."""

    def question(state: FirmState) -> ScenarioView | Refused:
        held = state.scenarios
        if held is None:
            return not_found("no scenarios were set")
        return ScenarioView(
            name=held.source.name,
            horizon_days=held.source.horizon_days,
            scenarios=held.matrix.scenarios,
            symbols=sorted(held.symbols),
            seq=held.seq,
        )

    found = await engine.read(question)
    if isinstance(found, Refused):
        raise problem(found)
    return found


def _mark(symbol: str, mark: HeldMark) -> Mark:
    return Mark(
        symbol=symbol,
        price=amount(mark.price),
        delta=None if mark.delta is None else amount(mark.delta),
        quality=mark.quality,
        ts_event=moment(mark.ts),
    )
