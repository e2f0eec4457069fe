"""Historical simulation: the worst of what the positions of now would have made in the past."""

from math import sqrt

from services.risk.core.var.inputs import FloatArray, require_scale, require_vector
from services.risk.core.var.result import Method, TailRisk, fractions
from services.risk.core.var.tail import worst


def tail_losses(pnl: FloatArray, confidence: float) -> tuple[float, float]:
    """Return value at risk and expected shortfall of equally likely scenarios, in the unit of the P&L.

    `pnl` is one-dimensional float64, losses negative; a result is negative where even the tail earns. With n scenarios
    and k = ceil(n(1 - c)), value at risk is the k-th worst loss, which is the lower (1 - c)-quantile of the P&L
    (numpy's `inverted_cdf`) and the more careful one where n(1 - c) is whole. Expected shortfall is the mean of the
    worst n(1 - c) losses, the k-th weighted by the share of it that belongs to the tail; with that share it is
    coherent and never below value at risk: Acerbi and Tasche (2002), "On the coherence of expected shortfall",
    Journal of Banking & Finance 26, definition 2.6 and proposition 4.1. Raises ValueError for what is not finite, for
    a confidence outside (0, 1) and for too few scenarios.
    """
    require_vector(pnl, "scenario P&L")
    return worst(pnl.copy(), confidence)


def historical(pnl: FloatArray, equity: float, confidence: float, horizon_days: int = 1) -> TailRisk:
    """Return historical value at risk and expected shortfall from the P&L of one-day scenarios in account currency.

    Beyond one day the loss is scaled by sqrt(horizon_days) and marked as an approximation: the rule is exact for
    independent normal days without drift, and far from it with jumps (Danielsson and Zigrand 2006, "On time-scaling
    of risk and the square-root-of-time rule", Journal of Banking & Finance 30). Raises ValueError as `tail_losses`
    does, and for an equity that is not positive.
    """
    require_scale(equity, horizon_days)
    require_vector(pnl, "scenario P&L")
    return from_tail(worst(pnl.copy(), confidence), len(pnl), equity, confidence, horizon_days)


def from_tail(
    losses: tuple[float, float], observations: int, equity: float, confidence: float, horizon_days: int
) -> TailRisk:
    """Return the historical figures that two losses over one day stand for."""
    var_loss, es_loss = losses
    approximation = None
    if horizon_days > 1:
        scale = sqrt(horizon_days)
        var_loss, es_loss = var_loss * scale, es_loss * scale
        approximation = f"one-day losses scaled by the square root of {horizon_days} days"
    value_at_risk, expected_shortfall = fractions(var_loss, es_loss, equity)
    return TailRisk(
        Method.HISTORICAL,
        value_at_risk,
        expected_shortfall,
        confidence,
        horizon_days,
        observations,
        None,
        None,
        approximation,
    )
