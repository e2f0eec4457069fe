"""Value at risk of the S&P 500, 1999 to 2018: the figures, and whether they would have held."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from services.risk.core.var.backtest import (
    Zone,
    christoffersen_conditional_coverage,
    christoffersen_independence,
    exceptions,
    kupiec,
    traffic_light,
)
from services.risk.core.var.historical import historical
from services.risk.core.var.parametric import cornish_fisher, ewma, normal
from services.risk.core.var.result import TailRisk
from tests.unit.risk.var.samples import FloatArray, sp500_returns

pytestmark = pytest.mark.unit
WINDOW = 500


@pytest.fixture(scope="module")
def sp500(market_data: Path) -> FloatArray:
    return sp500_returns(market_data)


def forecasts(method: Callable[..., TailRisk], returns: FloatArray, confidence: float) -> FloatArray:
    """Each day's value at risk from the days before it."""
    ends = range(WINDOW, len(returns))
    return np.array([method(returns[end - WINDOW : end], 1.0, confidence).value_at_risk for end in ends])


def test_the_figures_of_all_days_are_those_of_numpy_and_scipy(sp500: FloatArray) -> None:
    ordered = np.sort(sp500)
    # 5030 days at 99 %: fifty and three tenths of a day.
    found = historical(sp500, 1.0, 0.99)
    assert found.observations == 5030
    assert found.value_at_risk == -ordered[50]
    assert found.expected_shortfall == pytest.approx(-(ordered[:50].sum() + 0.3 * ordered[50]) / 50.3, rel=1e-12)
    fitted = stats.norm(sp500.mean(), sp500.std(ddof=1))
    assert normal(sp500, 1.0, 0.99).value_at_risk == pytest.approx(-fitted.ppf(0.01), rel=1e-12)
    # Its kurtosis of 8.3 is just beyond the expansion.
    bent = cornish_fisher(sp500, 1.0, 0.99)
    assert bent.fallback is not None
    assert f"{stats.kurtosis(sp500):.3f}" in bent.fallback


def test_the_normal_distribution_is_blind_to_the_tail(sp500: FloatArray) -> None:
    assert normal(sp500, 1.0, 0.99).expected_shortfall < 0.7 * historical(sp500, 1.0, 0.99).expected_shortfall


def test_every_window_has_figures_and_says_when_they_are_not_its_own(sp500: FloatArray) -> None:
    fallbacks = 0
    for end in range(WINDOW, len(sp500), 10):
        window = sp500[end - WINDOW : end]
        for method in (historical, normal, ewma, cornish_fisher):
            found = method(window, 1.0, 0.99)
            assert 0 < found.value_at_risk <= found.expected_shortfall < 0.2
            fallbacks += found.fallback is not None
            assert (found.fallback is None) or found.value_at_risk == normal(window, 1.0, 0.99).value_at_risk
    assert 0 < fallbacks < 200


def test_historical_fails_in_2008_as_is_known(sp500: FloatArray) -> None:
    """The two years before hold no such losses, and the exceptions of a crisis come together."""
    exceeded = exceptions(sp500[WINDOW:], forecasts(historical, sp500, 0.99))
    start = next(
        index for index in range(len(exceeded) - 250) if exceeded[index : index + 250].sum() == rolling(exceeded).max()
    )
    worst = exceeded[start : start + 250]
    assert traffic_light(250, int(worst.sum()), 0.99).zone is Zone.RED
    assert kupiec(250, int(worst.sum()), 0.99).p_value < 1e-4
    assert christoffersen_conditional_coverage(exceeded, 0.99).p_value < 0.01
    # September 2007 to December 2008 by its place among the days.
    assert 2000 < start + WINDOW < 2500


def test_ewma_covers_at_95_percent_where_the_plain_normal_clusters(sp500: FloatArray) -> None:
    plain = exceptions(sp500[WINDOW:], forecasts(normal, sp500, 0.95))
    weighted = exceptions(sp500[WINDOW:], forecasts(ewma, sp500, 0.95))
    assert christoffersen_independence(plain, 0.95).p_value < 0.001
    assert christoffersen_independence(weighted, 0.95).p_value > 0.01
    assert abs(weighted.mean() - 0.05) < 0.015


def rolling(exceeded: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.convolve(exceeded.astype(np.int64), np.ones(250, dtype=np.int64), mode="valid")
