"""What the tail of an account is measured on."""

from typing import NamedTuple

from services.risk.core.scenarios import Scenarios, current_exposures, worst_pnl
from services.risk.core.state import Account, FirmState
from services.risk.core.units import shown
from services.risk.core.var.incremental import ReturnMatrix
from services.risk.core.var.inputs import FloatArray


class Book(NamedTuple):
    """What every method needs of an account; money in its currency.

    A tuple, as one is made for every level that is taken, and a frozen dataclass takes several times as long to make.
    """

    matrix: ReturnMatrix
    # By whose returns they move with.
    exposures: dict[str, float]
    pnl: FloatArray
    equity: float
    confidence: float
    # Over how many days the scenarios' returns are: the horizon of every figure.
    days: int


def book_of(state: FirmState, account: Account) -> Book | None:
    """Return the book of what an account holds, None where its tail cannot be measured."""
    found = current_exposures(account.positions)
    scenarios = _scenarios(state, account)
    if scenarios is None or not found:
        return None
    return _book(scenarios, account, found, scenarios.matrix.scenario_pnl(found))


def reserved_book_of(state: FirmState, account: Account) -> Book | None:
    """Return the book of the worst that open orders can lead to, None where its tail cannot be measured."""
    scenarios = _scenarios(state, account)
    if scenarios is None or all(each.row is None for each in account.positions.values()):
        return None
    return _book(scenarios, account, current_exposures(account.positions), worst_pnl(scenarios, account.positions))


def _scenarios(state: FirmState, account: Account) -> Scenarios | None:
    scenarios = state.scenarios
    if scenarios is None or account.equity <= 0 or not scenarios.enough(account.profile.confidence):
        return None
    return scenarios


def _book(scenarios: Scenarios, account: Account, exposures: dict[str, float], pnl: FloatArray) -> Book:
    confidence = account.profile.confidence
    return Book(scenarios.matrix, exposures, pnl, shown(account.equity), confidence, scenarios.source.horizon_days)
