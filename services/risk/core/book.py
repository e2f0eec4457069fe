"""What the tail of an account is measured on."""

from collections.abc import Callable
from typing import NamedTuple

from services.risk.core.positions import Position
from services.risk.core.scenarios import current_exposures
from services.risk.core.state import Account, FirmState
from services.risk.core.units import SCALE
from services.risk.core.var.incremental import ReturnMatrix
from services.risk.core.var.inputs import FloatArray

Exposures = Callable[[dict[str, Position]], dict[str, float]]


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


def book_of(state: FirmState, account: Account, exposures: Exposures = current_exposures) -> Book | None:
    """Return an account's book of the exposures that are asked for, None where its tail cannot be measured."""
    scenarios, confidence = state.scenarios, account.profile.limits.var_confidence
    if scenarios is None or account.equity <= 0:
        return None
    found = exposures(account.positions)
    if not found or not scenarios.enough(confidence):
        return None
    pnl = scenarios.matrix.scenario_pnl(found)
    return Book(scenarios.matrix, found, pnl, account.equity / SCALE, confidence, scenarios.source.horizon_days)
