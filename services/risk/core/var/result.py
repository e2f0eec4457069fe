"""What a method says of the tail of a portfolio."""

from dataclasses import dataclass
from enum import StrEnum
from math import isfinite


class Method(StrEnum):
    """How the distribution of the P&L was found."""

    HISTORICAL = "historical"
    NORMAL = "normal"
    EWMA = "ewma"
    CORNISH_FISHER = "cornish_fisher"
    MONTE_CARLO = "monte_carlo"


@dataclass(frozen=True, slots=True)
class TailRisk:
    """Value at risk and expected shortfall, as fractions of equity that are never below 0.

    `observations` counts what the figures rest on: scenarios, days or simulated draws. `ddof` is taken from their
    number in the divisor of the standard deviation; None where the method has none. `fallback` says which other method
    gave the figures and why; `approximation` says what they assume beyond their method.
    """

    method: Method
    value_at_risk: float
    expected_shortfall: float
    confidence: float
    horizon_days: int
    observations: int
    ddof: int | None
    fallback: str | None
    approximation: str | None


def fractions(var_loss: float, es_loss: float, equity: float) -> tuple[float, float]:
    """Return two losses in account currency as fractions of equity.

    A tail that still earns has a negative loss and is given as 0: it frees no limit. Raises ValueError where a fraction
    is too large to be a number.
    """
    value_at_risk = var_loss / equity
    expected_shortfall = es_loss / equity
    if not (isfinite(value_at_risk) and isfinite(expected_shortfall)):
        raise ValueError(f"the losses {var_loss} and {es_loss} have no finite share of the equity {equity}")
    # Not max(0.0, x), which may hand back -0.0.
    return (value_at_risk if value_at_risk > 0 else 0.0), (expected_shortfall if expected_shortfall > 0 else 0.0)
