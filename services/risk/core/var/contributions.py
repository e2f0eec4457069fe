"""What each symbol adds to the value at risk and the expected shortfall of the whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np

from services.risk.core.var.historical import historical
from services.risk.core.var.incremental import ReturnMatrix
from services.risk.core.var.inputs import require_scale
from services.risk.core.var.result import TailRisk
from services.risk.core.var.tail import tail_size


@dataclass(frozen=True, slots=True)
class Contribution:
    """The part of one symbol.

    `exposure` is in account currency. The components are fractions of equity, negative for what hedges the rest. The
    marginals are what one more unit of exposure adds to the loss, in units of currency per unit: they hold for small
    changes, and for a symbol without exposure too.
    """

    symbol: str
    exposure: float
    component_value_at_risk: float
    component_expected_shortfall: float
    marginal_value_at_risk: float
    marginal_expected_shortfall: float


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The historical figures of the whole, and the part of each symbol in the order of the exposures."""

    total: TailRisk
    contributions: tuple[Contribution, ...]


def breakdown(
    matrix: ReturnMatrix, exposures: Mapping[str, float], equity: float, confidence: float, horizon_days: int = 1
) -> Breakdown:
    """Return the parts of historical value at risk and expected shortfall that sum to the whole.

    Euler's rule: a symbol's part is its exposure times the derivative of the whole by it. For expected shortfall that
    is its mean loss over the scenarios of the tail, for value at risk its loss in the one scenario that is the
    quantile: Tasche (1999), "Risk contributions and performance measurement", and McNeil, Frey and Embrechts (2015),
    section 8.5. The parts of value at risk rest on a single scenario and jump from day to day; those of expected
    shortfall are the steadier ones to act on. Of scenarios with the same P&L the earlier one counts as the worse.
    Where the whole is given as 0 because its tail earns, the parts sum to that gain. Raises ValueError as
    `historical` and `ReturnMatrix.scenario_pnl` do, and where there is no exposure.
    """
    require_scale(equity, horizon_days)
    if not exposures:
        raise ValueError("there are no exposures")
    pnl = matrix.scenario_pnl(exposures)
    total = historical(pnl, equity, confidence, horizon_days)
    touched, share, size = tail_size(len(pnl), confidence)
    tail = np.argsort(pnl, kind="stable")[:touched]
    weights = np.full(touched, 1 / size)
    weights[-1] = share / size
    scale = sqrt(horizon_days)
    parts = []
    for symbol, exposure in exposures.items():
        losses = -matrix.vector(symbol)[tail] * scale
        at_quantile, over_tail = float(losses[-1]), float((losses * weights).sum())
        parts.append(
            Contribution(
                symbol,
                exposure,
                exposure * at_quantile / equity,
                exposure * over_tail / equity,
                at_quantile,
                over_tail,
            )
        )
    return Breakdown(total, tuple(parts))
