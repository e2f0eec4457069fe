"""Scenario returns, and the tail of an account's profit and loss over them."""

from dataclasses import dataclass

from services.risk.core.positions import Position
from services.risk.core.units import SCALE3
from services.risk.core.var.historical import worst
from services.risk.core.var.incremental import ReturnMatrix
from services.risk.core.var.inputs import FloatArray
from shared.schemas.instruments import ScenarioSet

# How often a vector is changed by one position before it is summed up anew: rounding must not add up.
_CHANGES = 256


@dataclass(slots=True)
class Scenarios:
    """The returns of each symbol in every scenario."""

    source: ScenarioSet
    matrix: ReturnMatrix
    symbols: frozenset[str]
    seq: int

    def measures(self, symbol: str, confidence: float) -> bool:
        """Tell whether a symbol has returns, and there are enough of them for a tail at this confidence."""
        return symbol in self.symbols and self.matrix.scenarios * (1 - confidence) > 1 - 1e-9


@dataclass(slots=True)
class Tail:
    """An account's profit and loss in every scenario, all open orders at their worst; summed up when asked for."""

    stale: bool = True
    changes: int = 0
    pnl: FloatArray | None = None


def exposure(position: Position, quantity: int) -> float:
    """Return the signed money a quantity of a position's instrument moves with."""
    return quantity * position.direction / SCALE3


def reserved_pnl(scenarios: Scenarios, positions: dict[str, Position], tail: Tail) -> FloatArray:
    """Return the profit and loss per scenario of what positions and their open orders can become."""
    if tail.stale or tail.pnl is None:
        tail.pnl = scenarios.matrix.scenario_pnl(reserved_exposures(scenarios, positions))
        tail.stale, tail.changes = False, 0
    return tail.pnl


def reserved_exposures(scenarios: Scenarios, positions: dict[str, Position]) -> dict[str, float]:
    """Return the signed money that positions would move with at the worst their open orders can lead to."""
    return {
        symbol: exposure(position, position.reserved)
        for symbol, position in positions.items()
        if symbol in scenarios.symbols
    }


def current_exposures(scenarios: Scenarios, positions: dict[str, Position]) -> dict[str, float]:
    """Return the signed money that the positions as they are move with."""
    return {
        symbol: exposure(position, position.quantity)
        for symbol, position in positions.items()
        if position.quantity and symbol in scenarios.symbols
    }


def tail_after(
    scenarios: Scenarios, positions: dict[str, Position], tail: Tail, symbol: str, change: float, confidence: float
) -> tuple[float, float]:
    """Return VaR and ES in money, at least 0, once the exposure in a symbol has changed by so much."""
    after = scenarios.matrix.shifted(reserved_pnl(scenarios, positions, tail), symbol, change)
    value_at_risk, shortfall = worst(after, confidence)
    return max(value_at_risk, 0.0), max(shortfall, 0.0)


def move(scenarios: Scenarios, tail: Tail, symbol: str, change: float) -> None:
    """Change the exposure in one symbol; every so often the whole is marked to be summed up anew."""
    if tail.stale or tail.pnl is None or symbol not in scenarios.symbols:
        return
    tail.changes += 1
    tail.stale = tail.changes >= _CHANGES
    tail.pnl = scenarios.matrix.shifted(tail.pnl, symbol, change)
