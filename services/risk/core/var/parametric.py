"""Value at risk by a formula: from the mean, the standard deviation and what the tail is like.

All of them take the P&L of one day each, in account currency, losses negative, and take the days as independent and
alike, or for EWMA as RiskMetrics does: over h days the mean grows by h and the standard deviation by sqrt(h).
"""

from math import sqrt
from statistics import NormalDist

import numpy as np

from services.risk.core.var.inputs import FloatArray, require_confidence, require_scale, require_vector
from services.risk.core.var.result import Method, TailRisk, fractions

# With 30 days the standard error of the standard deviation is still 13 % of it: 1 / sqrt(2(n - 1)).
LEAST_OBSERVATIONS = 30
RISKMETRICS_DECAY = 0.94
# What may be missing of the weights of an infinite past.
_LEAST_WEIGHT = 0.99
# Below this share of the largest P&L, what is left of the standard deviation is rounding.
_NO_DISPERSION = 1e-12
_STANDARD = NormalDist()


def normal(pnl: FloatArray, equity: float, confidence: float, horizon_days: int = 1) -> TailRisk:
    """Return value at risk and expected shortfall of a normal distribution with the sample's mean and deviation.

    VaR = -mean + sigma z and ES = -mean + sigma phi(z) / (1 - c), z the c-quantile of the standard normal: McNeil, Frey
    and Embrechts (2015), "Quantitative Risk Management", examples 2.11 and 2.14. `ddof` is 1. For positions that are
    linear in the returns this is the variance-covariance method. Raises ValueError for what is not finite, for fewer
    than 30 days, and for a confidence, an equity or a horizon out of range.
    """
    mean, deviation = _moments(pnl, equity, confidence, horizon_days)
    losses = _normal_losses(mean, deviation, confidence)
    return _result(Method.NORMAL, losses, len(pnl), equity, confidence, horizon_days, ddof=1)


def ewma(
    pnl: FloatArray, equity: float, confidence: float, horizon_days: int = 1, decay: float = RISKMETRICS_DECAY
) -> TailRisk:
    """Return value at risk and expected shortfall of a normal distribution whose variance forgets, oldest day first.

    The variance is the mean of the squares, weighted by decay^age and with weights that sum to 1; the mean is taken as
    0: J.P. Morgan and Reuters (1996), "RiskMetrics Technical Document", sections 5.2 and 5.3, decay 0.94 for days. No
    mean is estimated, so `ddof` is 0. Raises ValueError as `normal` does, for a decay outside (0, 1), and where the
    days carry less than 99 % of the weight of an infinite past: 0.94 takes 75.
    """
    _require(pnl, equity, confidence, horizon_days)
    if not 0 < decay < 1:
        raise ValueError(f"decay must lie between 0 and 1, both excluded, not {decay}")
    known = 1 - decay ** len(pnl)
    if known < _LEAST_WEIGHT:
        raise ValueError(f"{len(pnl)} observations are too few for a decay of {decay}: they carry {known:.1%} of it")
    weights = (1 - decay) / known * decay ** np.arange(len(pnl) - 1, -1, -1)
    deviation = sqrt(float((weights * pnl * pnl).sum()) * horizon_days)
    losses = _normal_losses(0.0, deviation, confidence)
    return _result(Method.EWMA, losses, len(pnl), equity, confidence, horizon_days, ddof=0)


def cornish_fisher(pnl: FloatArray, equity: float, confidence: float, horizon_days: int = 1) -> TailRisk:
    """Return value at risk and expected shortfall of the normal distribution bent by the sample's skew and kurtosis.

    At the quantile q of the standard normal, with skewness S and excess kurtosis K, the P&L is mean + sigma w(q),
    w(q) = q + (q^2 - 1) S/6 + (q^3 - 3q) K/24 - (2q^3 - 5q) S^2/36: Cornish and Fisher (1938), and Favre and Galeano
    (2002), "Mean-modified value-at-risk optimization with hedge funds", Journal of Alternative Investments 5. ES is the
    integral of w over the tail, in closed form: Maillard (2012), "A user's guide to the Cornish Fisher expansion",
    SSRN 1997178. Where w is not monotone it is no quantile, and the normal figures are given, `fallback` saying why:
    for a kurtosis above 8 or below 14/9 S^2 among others. With fat tails they are the smaller ones by far.

    The standard deviation has `ddof` 1; S and K are g1 and g2 of Joanes and Gill (1998), whose moments have 0. Over h
    independent days they become S / sqrt(h) and K / h, as cumulants add. Raises ValueError as `normal` does.
    """
    mean, deviation = _moments(pnl, equity, confidence, horizon_days)
    if deviation <= _NO_DISPERSION * float(np.abs(pnl).max()) * sqrt(horizon_days):
        losses = _normal_losses(mean, deviation, confidence)
        reason = "normal: the P&L does not vary, so that it has no skewness and no kurtosis"
    else:
        skewness, kurtosis = _shape(pnl)
        skewness, kurtosis = skewness / sqrt(horizon_days), kurtosis / horizon_days
        if is_monotone(skewness, kurtosis):
            losses = _bent_losses(mean, deviation, confidence, skewness, kurtosis)
            reason = None
        else:
            losses = _normal_losses(mean, deviation, confidence)
            reason = (
                f"normal: skewness {skewness:.3f}, excess kurtosis {kurtosis:.3f} are outside the expansion's domain"
            )
    return _result(Method.CORNISH_FISHER, losses, len(pnl), equity, confidence, horizon_days, ddof=1, fallback=reason)


def is_monotone(skewness: float, kurtosis: float) -> bool:
    """Tell whether the Cornish-Fisher expansion rises everywhere, which makes it the quantile of a distribution.

    Its derivative a z^2 + b z + c is then nowhere negative. Maillard (2012), section 3, gives the same as
    S^2/9 - 4 (K/8 - S^2/6)(1 - K/8 + 5 S^2/36) <= 0 with |S| <= 6 (sqrt(2) - 1); without skew K lies in [0, 8].
    """
    a = kurtosis / 8 - skewness**2 / 6
    b = skewness / 3
    c = 1 - kurtosis / 8 + 5 * skewness**2 / 36
    # Beyond a skewness of 6 (sqrt(2) + 1) the discriminant may also be negative because the expansion falls everywhere.
    return a >= 0 and c >= 0 and b * b <= 4 * a * c


def _require(pnl: FloatArray, equity: float, confidence: float, horizon_days: int) -> None:
    require_confidence(confidence)
    require_scale(equity, horizon_days)
    require_vector(pnl, "daily P&L")
    if len(pnl) < LEAST_OBSERVATIONS:
        raise ValueError(f"{len(pnl)} observations are too few: it takes {LEAST_OBSERVATIONS}")


def _moments(pnl: FloatArray, equity: float, confidence: float, horizon_days: int) -> tuple[float, float]:
    """Return mean and standard deviation (ddof 1) over the horizon, of what is checked here."""
    _require(pnl, equity, confidence, horizon_days)
    return float(pnl.mean()) * horizon_days, float(pnl.std(ddof=1)) * sqrt(horizon_days)


def _shape(pnl: FloatArray) -> tuple[float, float]:
    """Return skewness g1 and excess kurtosis g2."""
    standard = (pnl - pnl.mean()) / pnl.std(ddof=0)
    squares = standard * standard
    return float((squares * standard).mean()), float((squares * squares).mean()) - 3


def _normal_losses(mean: float, deviation: float, confidence: float) -> tuple[float, float]:
    z = _STANDARD.inv_cdf(confidence)
    return -mean + deviation * z, -mean + deviation * _STANDARD.pdf(z) / (1 - confidence)


def _bent_losses(
    mean: float, deviation: float, confidence: float, skewness: float, kurtosis: float
) -> tuple[float, float]:
    # The quantile of the loss side: below 0 for a confidence above one half.
    q = -_STANDARD.inv_cdf(confidence)
    s, k, s2 = skewness / 6, kurtosis / 24, skewness**2 / 36
    bent = q + (q**2 - 1) * s + (q**3 - 3 * q) * k - (2 * q**3 - 5 * q) * s2
    tail = _STANDARD.pdf(q) / (1 - confidence) * (1 + q * s + (q**2 - 1) * k + (1 - 2 * q**2) * s2)
    return -mean - deviation * bent, -mean + deviation * tail


def _result(
    method: Method,
    losses: tuple[float, float],
    observations: int,
    equity: float,
    confidence: float,
    horizon_days: int,
    *,
    ddof: int,
    fallback: str | None = None,
) -> TailRisk:
    value_at_risk, expected_shortfall = fractions(*losses, equity)
    return TailRisk(
        method, value_at_risk, expected_shortfall, confidence, horizon_days, observations, ddof, fallback, None
    )
