"""Value at risk by simulation from a covariance matrix."""

from math import sqrt

import numpy as np

from services.risk.core.var.historical import tail_losses
from services.risk.core.var.inputs import (
    FloatArray,
    require_confidence,
    require_matrix,
    require_scale,
    require_vector,
)
from services.risk.core.var.result import Method, TailRisk, fractions

# Shares of the largest element or eigenvalue that rounding explains.
_ASYMMETRY = 1e-9
_NEGATIVE = 1e-10


def monte_carlo(
    exposures: FloatArray,
    covariance: FloatArray,
    equity: float,
    confidence: float,
    horizon_days: int = 1,
    *,
    rng: np.random.Generator | int,
    draws: int = 10_000,
    antithetic: bool = False,
) -> TailRisk:
    """Return value at risk and expected shortfall of draws from a multivariate normal without drift.

    `exposures` are signed, in account currency, one a symbol; `covariance` is that of their one-day returns, and its
    ddof is the caller's, so that the result names none. The draws of h days have h times the covariance. The tail is
    taken from them as `historical` takes it: Glasserman (2004), "Monte Carlo Methods in Financial Engineering",
    sections 2.3.3 (draws by a factor of the covariance), 4.2 (antithetic: each draw with its mirror image) and 9.1.
    A seed means PCG64; the same seed gives the same figures for the same versions of numpy and its linear algebra.
    Raises ValueError for shapes that do not agree, for a covariance that is not symmetric or not positive
    semidefinite, for too few draws or an odd number of antithetic ones, and for what is not finite or out of range.
    """
    require_confidence(confidence)
    require_scale(equity, horizon_days)
    require_vector(exposures, "exposures")
    factor = _factor(covariance)
    if len(exposures) != len(covariance):
        raise ValueError(f"{len(exposures)} exposures do not go with a covariance of {len(covariance)} symbols")
    if type(draws) is not int or draws < 1 or (antithetic and draws % 2):
        raise ValueError(f"draws must be a positive whole number, even where antithetic, not {draws!r}")
    generator = _generator(rng)
    # The positions are linear in the returns, so the factor is folded into them and no matrix of returns is made.
    sensitivities = exposures @ factor * sqrt(horizon_days)
    if antithetic:
        half = generator.standard_normal((draws // 2, len(exposures))) @ sensitivities
        pnl = np.concatenate((half, -half))
    else:
        pnl = generator.standard_normal((draws, len(exposures))) @ sensitivities
    value_at_risk, expected_shortfall = fractions(*tail_losses(pnl, confidence), equity)
    return TailRisk(
        Method.MONTE_CARLO, value_at_risk, expected_shortfall, confidence, horizon_days, draws, None, None, None
    )


def _generator(rng: np.random.Generator | int) -> np.random.Generator:
    if isinstance(rng, np.random.Generator):
        return rng
    if type(rng) is not int or rng < 0:
        raise ValueError(f"rng must be a Generator or a seed from 0, not {rng!r}")
    # Named, as numpy may change which one is its default.
    return np.random.Generator(np.random.PCG64(rng))


def _factor(covariance: FloatArray) -> FloatArray:
    """Return a matrix A with A A' = covariance. Raises ValueError where there is none."""
    require_matrix(covariance, "covariance")
    if covariance.shape[0] != covariance.shape[1]:
        raise ValueError(f"covariance must be square, not {covariance.shape[0]} by {covariance.shape[1]}")
    if np.abs(covariance - covariance.T).max() > _ASYMMETRY * np.abs(covariance).max():
        raise ValueError("covariance is not symmetric")
    try:
        return np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)
    except np.linalg.LinAlgError:
        # Not positive definite: fewer days than symbols, or one symbol twice, leave zeros among its eigenvalues.
        values, vectors = np.linalg.eigh(covariance)
    if values[0] < -_NEGATIVE * max(values[-1], 0.0):
        raise ValueError(f"covariance is not positive semidefinite: its smallest eigenvalue is {values[0]:.3g}")
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)), dtype=np.float64)
