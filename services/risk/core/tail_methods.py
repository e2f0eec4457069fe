"""VaR and ES of an account by every method, from the scenarios its limits are measured on."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from services.risk.core.scenarios import current_exposures
from services.risk.core.state import Account, FirmState
from services.risk.core.units import SCALE
from services.risk.core.var import historical, monte_carlo, parametric
from services.risk.core.var import result as results
from services.risk.core.var.incremental import ReturnMatrix
from services.risk.core.var.inputs import FloatArray
from shared.schemas.accounts import TailRisk

# The same portfolio gives the same figures, whenever it is asked about.
_SEED = 20_260_101


@dataclass(frozen=True, slots=True)
class Book:
    """What every method needs of an account; money in its currency."""

    matrix: ReturnMatrix
    exposures: dict[str, float]
    pnl: FloatArray
    equity: float
    confidence: float
    # Over how many days the scenarios' returns are: the horizon of every figure.
    days: int


def book_of(state: FirmState, account: Account) -> Book | None:
    """Return an account's book, None where its tail cannot be measured."""
    scenarios, confidence = state.scenarios, account.profile.limits.var_confidence
    if scenarios is None or account.equity <= 0:
        return None
    exposures = current_exposures(scenarios, account.positions)
    if not exposures or not scenarios.measures(next(iter(exposures)), confidence):
        return None
    pnl = scenarios.matrix.scenario_pnl(exposures)
    return Book(scenarios.matrix, exposures, pnl, account.equity / SCALE, confidence, scenarios.source.horizon_days)


def every_method(book: Book) -> list[TailRisk]:
    """Return VaR and ES by each method that can be used; one that cannot, as it wants more days, is left out."""
    symbols = list(book.exposures)
    returns = np.array([book.matrix.vector(symbol) for symbol in symbols])
    money = np.array([book.exposures[symbol] for symbol in symbols])
    methods: tuple[Callable[[], results.TailRisk], ...] = (
        lambda: historical.historical(book.pnl, book.equity, book.confidence),
        lambda: parametric.normal(book.pnl, book.equity, book.confidence),
        lambda: parametric.ewma(book.pnl, book.equity, book.confidence),
        lambda: parametric.cornish_fisher(book.pnl, book.equity, book.confidence),
        lambda: monte_carlo.monte_carlo(
            money, np.atleast_2d(np.cov(returns)), book.equity, book.confidence, rng=_SEED, antithetic=True
        ),
    )
    found = []
    for method in methods:
        try:
            found.append(_shown(method(), book.days))
        except ValueError:
            continue
    return found


def _shown(found: results.TailRisk, days: int) -> TailRisk:
    return TailRisk(
        method=found.method.value,
        value_at_risk=found.value_at_risk,
        expected_shortfall=found.expected_shortfall,
        confidence=found.confidence,
        horizon_days=days,
        observations=found.observations,
        ddof=found.ddof,
        fallback=found.fallback,
    )
