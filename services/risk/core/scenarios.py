"""Scenario returns, and the tail of an account's profit and loss over them."""

from dataclasses import dataclass
from typing import Final

from services.risk.core.positions import Position
from services.risk.core.terms import Terms
from services.risk.core.units import SCALE3, quotient
from services.risk.core.var.incremental import ReturnMatrix
from services.risk.core.var.inputs import FloatArray
from services.risk.core.var.tail import worst
from shared.schemas.instruments import ScenarioSet

# How often a vector is changed by one position before it is summed up anew: rounding must not add up.
_CHANGES: Final = 256


@dataclass(slots=True)
class Scenarios:
    """The returns of each symbol in every scenario.

    An option without returns of its own moves with its underlying's, by its delta: to first order, so that the loss of
    a short option in a large move is larger than what is found here.
    """

    source: ScenarioSet
    matrix: ReturnMatrix
    symbols: frozenset[str]
    seq: int

    def row_of(self, terms: Terms) -> str | None:
        """Return whose returns an instrument moves with: its own, else its underlying's, else nobody's."""
        if terms.symbol in self.symbols:
            return terms.symbol
        return terms.underlying if terms.underlying in self.symbols else None

    def enough(self, confidence: float) -> bool:
        """Tell whether there are enough scenarios for a tail at this confidence."""
        return self.matrix.scenarios * (1 - confidence) > 1 - 1e-9


@dataclass(slots=True)
class Tail:
    """An account's profit and loss in every scenario, the worst open orders can lead to; summed up when asked for."""

    stale: bool = True
    changes: int = 0
    pnl: FloatArray | None = None


def exposure(position: Position, quantity: int) -> float:
    """Return the signed money a quantity of a position's instrument moves with, beside the returns of its row."""
    return quotient(quantity * position.moves, SCALE3)


def open_exposure(position: Position, furthest: int) -> float:
    """Return the signed money by which open orders that lead to a quantity change what moves."""
    return exposure(position, furthest - position.quantity)


def reserved_pnl(scenarios: Scenarios, positions: dict[str, Position], tail: Tail) -> FloatArray:
    """Return the worst profit and loss per scenario that positions and their open orders can come to.

    What an open order would earn is not counted before it has: a hedge that rests and never fills makes no room.
    """
    if tail.stale or tail.pnl is None:
        tail.pnl = worst_pnl(scenarios, positions)
        tail.stale, tail.changes = False, 0
    return tail.pnl


def worst_pnl(scenarios: Scenarios, positions: dict[str, Position]) -> FloatArray:
    """Sum up anew what `reserved_pnl` keeps."""
    pnl = scenarios.matrix.scenario_pnl(current_exposures(positions))
    for position in positions.values():
        if position.row is not None and position.reserved != position.quantity:
            pnl = scenarios.matrix.opened(pnl, position.row, 0.0, open_exposure(position, position.reserved))
    return pnl


def current_exposures(positions: dict[str, Position]) -> dict[str, float]:
    """Return the signed money that moves with each row, of the positions as they are."""
    found: dict[str, int] = {}
    for position in positions.values():
        row = position.row
        if row is not None and position.quantity:
            found[row] = found.get(row, 0) + position.quantity * position.moves
    return {row: quotient(money, SCALE3) for row, money in found.items()}


def tail_after(
    scenarios: Scenarios, pnl: FloatArray, position: Position, furthest: int, confidence: float
) -> tuple[float, float]:
    """Return VaR and ES in money, at least 0, once open orders can lead a position to a quantity.

    `pnl` is what `reserved_pnl` gives before.
    """
    after = _moved(scenarios, pnl, position, position.reserved, furthest)
    value_at_risk, shortfall = worst(after, confidence)
    return max(value_at_risk, 0.0), max(shortfall, 0.0)


def move(scenarios: Scenarios, tail: Tail, position: Position, before: int) -> None:
    """Count a position's open orders, which led to a quantity before; every so often all is marked as stale."""
    if tail.stale or tail.pnl is None or position.row is None:
        return
    tail.changes += 1
    tail.stale = tail.changes >= _CHANGES
    tail.pnl = _moved(scenarios, tail.pnl, position, before, position.reserved)


def _moved(scenarios: Scenarios, pnl: FloatArray, position: Position, before: int, after: int) -> FloatArray:
    # The caller has seen to it that there is a row.
    row = position.row or ""
    return scenarios.matrix.opened(pnl, row, open_exposure(position, before), open_exposure(position, after))
