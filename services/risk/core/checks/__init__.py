"""Pre-trade checks, in the order in which they are run."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import truediv
from typing import Final

from services.risk.core.bodies import Broken, OrderTerms
from services.risk.core.checks import flow, halts, instrument, prices, sizes, tail
from services.risk.core.checks.case import Case
from services.risk.core.checks.measures import MEASURES, before, with_order
from services.risk.core.state import Account, FirmState, OrderRecord
from services.risk.core.units import quotient, shown
from services.risk.core.valuation import rate_of, rate_symbols
from shared.schemas.denials import DenialCode

# What a utilisation beyond every measure is shown as: JSON has no infinity.
BEYOND: Final = 1e9

_SURELY_WITHIN: Final = 0.999999

Gate = Callable[[Case], Broken | None]
# Run only where something stops the account at all.
HALTS: Final[tuple[Gate, ...]] = (
    halts.kill_switch,
    halts.not_reconciled,
    halts.doubted_fill,
    halts.session,
    halts.breaker,
    halts.level,
)
GATES: Final[tuple[Gate, ...]] = (
    instrument.tradable,
    instrument.lot_size,
    instrument.tick_size,
    instrument.restricted,
    flow.duplicate,
    flow.message_rate,
    flow.repeated_execution,
    prices.collar,
    prices.fresh,
    prices.sound,
    sizes.order_quantity,
    sizes.order_value,
    flow.open_orders,
    flow.self_match,
    flow.parent,
    flow.really_reduces,
    tail.known,
    sizes.liquidity,
)


@dataclass(slots=True)
class Evaluation:
    """What the checks found: every broken rule, and the highest share of a limit the order would use."""

    broken: list[Broken]
    worst: float = 0.0
    # None where a fatal check ended the list before there was anything to measure.
    case: Case | None = None


def evaluate(
    state: FirmState, account: Account, order: OrderTerms, now: int, replaces: OrderRecord | None = None
) -> Evaluation:
    """Run every check on an order; what is fatal ends the list, as what follows has nothing to measure with."""
    if state.stopped and (broken := halts.killed(state, account, order)) is not None:
        return Evaluation([broken])
    found = case_of(state, account, order, now, replaces)
    if isinstance(found, Broken):
        return Evaluation([found])
    results = [result for gate in GATES if (result := gate(found)) is not None]
    if state.stopped or account.hindered or now < account.session_begins:
        results = [result for gate in HALTS if (result := gate(found)) is not None] + results
    worst = _limits(found, results)
    if state.scenarios is not None:
        worst = max(worst, tail.limits(state.scenarios, found, results))
    return Evaluation(results, worst, found)


def case_of(
    state: FirmState, account: Account, order: OrderTerms, now: int, replaces: OrderRecord | None = None
) -> Case | Broken:
    """Return what the checks compare, or what is missing for it."""
    position = account.positions.get(order.symbol)
    if position is not None:
        terms, mark = position.terms, position.mark
    else:
        known = state.instruments.get(order.symbol)
        if known is None:
            return Broken(DenialCode.INSTRUMENT_UNKNOWN, f"{order.symbol} is not a known instrument")
        terms, mark = known, state.marks.get((account.simulation_id, order.symbol))
    if terms.currency != account.base_currency and not rate_of(state, account, terms.currency):
        direct, inverse = rate_symbols(terms.currency, account.base_currency)
        return Broken(DenialCode.FX_RATE_MISSING, f"no rate: there is no mark for {direct}, nor for {inverse}")
    if mark is None:
        return Broken(DenialCode.MARK_MISSING, f"there is no mark for {order.symbol}")
    if terms.underlying is not None and state.mark(account, terms.underlying) is None:
        return Broken(DenialCode.MARK_MISSING, f"there is no mark for the underlying {terms.underlying}")
    return Case(state, account, order, now, terms, mark, position, replaces)


def _limits(case: Case, found: list[Broken]) -> float:
    """Append the limits the order breaks; return the worst utilisation."""
    caps = case.account.capped()
    if case.account.equity <= 0:
        broken = equity(case)
        if broken is not None:
            found.append(broken)
        return BEYOND
    after = with_order(case)
    worst = max(map(truediv, after, caps.rounded))
    # The quotient is rounded: near 1 the whole numbers have the word.
    if worst > _SURELY_WITHIN:
        worst = max(map(truediv, after, caps.exact))
        found += breaches(case, after)
    return worst if worst < BEYOND else BEYOND


def equity(case: Case) -> Broken | None:
    """Deny what does not reduce where nothing is left: no measure is a share of that."""
    if case.account.equity > 0 or case.reduces:
        return None
    value = shown(case.account.equity)
    return Broken(DenialCode.EQUITY_NOT_POSITIVE, "equity is not positive", value=value, limit=0.0)


def breaches(case: Case, after: tuple[int, ...]) -> list[Broken]:
    """Return the limits that are broken; what reduces may leave a measure beyond its limit that it does not worsen."""
    found = []
    for measure, cap, was, will in zip(MEASURES, case.account.capped().exact, before(case), after, strict=True):
        if will > cap and not (case.reduces and will <= was):
            base = measure.base(case.account)
            shares = [quotient(each, base) if base > 0 else BEYOND for each in (was, will, cap)]
            found.append(Broken(measure.code, measure.what, measure.unit, *(min(each, BEYOND) for each in shares)))
    return found
