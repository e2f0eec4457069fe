"""Scenario returns, and the tail of an account's profit and loss over them."""

from dataclasses import dataclass

from services.risk.core.positions import Position
from services.risk.core.terms import Terms
from services.risk.core.units import SCALE3
from services.risk.core.var.historical import worst
from services.risk.core.var.incremental import ReturnMatrix
from services.risk.core.var.inputs import FloatArray
from shared.schemas.instruments import ScenarioSet

# How often a vector is changed by one position before it is summed up anew: rounding must not add up.
_CHANGES = 256


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
    """An account's profit and loss in every scenario, all open orders at their worst; summed up when asked for."""

    stale: bool = True
    changes: int = 0
    pnl: FloatArray | None = None


def exposure(position: Position, quantity: int) -> float:
    """Return the signed money a quantity of a position's instrument moves with, beside the returns of its row."""
    return quantity * position.moves / SCALE3


def reserved_pnl(scenarios: Scenarios, positions: dict[str, Position], tail: Tail) -> FloatArray:
    """Return the profit and loss per scenario of what positions and their open orders can become."""
    if tail.stale or tail.pnl is None:
        tail.pnl = scenarios.matrix.scenario_pnl(reserved_exposures(positions))
        tail.stale, tail.changes = False, 0
    return tail.pnl


def reserved_exposures(positions: dict[str, Position]) -> dict[str, float]:
    """Return the signed money that moves with each row at the worst that positions' open orders can lead to."""
    found: dict[str, int] = {}
    for position in positions.values():
        row = position.row
        if row is not None:
            found[row] = found.get(row, 0) + position.reserved * position.moves
    return {row: money / SCALE3 for row, money in found.items()}


def current_exposures(positions: dict[str, Position]) -> dict[str, float]:
    """Return the signed money that moves with each row, of the positions as they are."""
    found: dict[str, int] = {}
    for position in positions.values():
        row = position.row
        if row is not None and position.quantity:
            found[row] = found.get(row, 0) + position.quantity * position.moves
    return {row: money / SCALE3 for row, money in found.items()}


def tail_after(
    scenarios: Scenarios, positions: dict[str, Position], tail: Tail, row: str, change: float, confidence: float
) -> tuple[float, float]:
    """Return VaR and ES in money, at least 0, once the exposure in a row has changed by so much."""
    after = scenarios.matrix.shifted(reserved_pnl(scenarios, positions, tail), row, change)
    value_at_risk, shortfall = worst(after, confidence)
    return max(value_at_risk, 0.0), max(shortfall, 0.0)


def move(scenarios: Scenarios, tail: Tail, row: str | None, change: float) -> None:
    """Change the exposure in one row; every so often the whole is marked to be summed up anew."""
    if tail.stale or tail.pnl is None or row is None:
        return
    tail.changes += 1
    tail.stale = tail.changes >= _CHANGES
    tail.pnl = scenarios.matrix.shifted(tail.pnl, row, change)
