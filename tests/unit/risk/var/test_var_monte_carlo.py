"""Simulated figures against the closed form they converge to, and covariances that are none."""

from math import sqrt
from typing import Any

import numpy as np
import pytest
from scipy import stats

from services.risk.core.var.monte_carlo import monte_carlo
from services.risk.core.var.result import Method, TailRisk
from tests.unit.risk.var.samples import EQUITY, FloatArray, returns

pytestmark = pytest.mark.unit
EXPOSURES = np.array([400_000.0, -150_000.0, 250_000.0, 90_000.0])
COVARIANCE = np.cov(returns().T, ddof=1)
DEVIATION = sqrt(EXPOSURES @ COVARIANCE @ EXPOSURES) / EQUITY


def run(exposures: FloatArray = EXPOSURES, covariance: FloatArray = COVARIANCE, **other: Any) -> TailRisk:
    return monte_carlo(exposures, covariance, EQUITY, **{"confidence": 0.99, "rng": 7, **other})


class TestTheFigures:
    @pytest.mark.parametrize("seed", range(5))
    @pytest.mark.parametrize("confidence", [0.9, 0.975, 0.99])
    @pytest.mark.parametrize("antithetic", [False, True])
    def test_lie_within_their_standard_error(self, seed: int, confidence: float, antithetic: bool) -> None:
        draws, alpha = 100_000, 1 - confidence
        found = run(confidence=confidence, rng=seed, draws=draws, antithetic=antithetic)
        z = stats.norm.ppf(confidence)
        density = stats.norm.pdf(z)
        quantile_error = sqrt(alpha * confidence / draws) / density
        # Glasserman (2004), section 9.2: Var[(L - q)+] / (alpha^2 n).
        excess = density - alpha * z
        square = (1 + z * z) * alpha - z * density
        shortfall_error = sqrt((square - excess**2) / draws) / alpha
        # Mirrored draws are not independent, and may double the variance at most.
        widths = 4 * (sqrt(2) if antithetic else 1)
        assert abs(found.value_at_risk / DEVIATION - z) < widths * quantile_error
        assert abs(found.expected_shortfall / DEVIATION - density / alpha) < widths * shortfall_error

    def test_names_what_they_rest_on(self) -> None:
        found = run(draws=5_000, horizon_days=10)
        assert (found.method, found.confidence, found.horizon_days) == (Method.MONTE_CARLO, 0.99, 10)
        assert (found.observations, found.ddof, found.fallback, found.approximation) == (5_000, None, None, None)

    def test_grow_by_the_square_root_of_time(self) -> None:
        assert run(horizon_days=9).value_at_risk == pytest.approx(run().value_at_risk * 3, rel=1e-12)

    def test_of_no_exposure_are_none(self) -> None:
        found = run(np.zeros(4))
        assert str(found.value_at_risk) == str(found.expected_shortfall) == "0.0"

    def test_of_a_hedged_pair_are_none(self) -> None:
        pair = np.full((2, 2), 0.0004)
        found = run(np.array([1e6, -1e6]), pair)
        assert found.expected_shortfall < 1e-8


class TestTheDraws:
    def test_of_a_seed_are_the_same_again(self) -> None:
        assert run(rng=11) == run(rng=11) == run(rng=np.random.Generator(np.random.PCG64(11)))
        assert run(rng=11) != run(rng=12)

    def test_of_a_generator_go_on(self) -> None:
        generator = np.random.default_rng(1)
        assert run(rng=generator) != run(rng=generator)

    def test_leave_the_global_generator_alone(self) -> None:
        before = np.random.get_state()[1].copy()
        run()
        assert (np.random.get_state()[1] == before).all()

    def test_are_mirrored_where_antithetic(self) -> None:
        """A book and its opposite then have the same figures, and the tail is no matter of luck in sign."""
        long, short = run(antithetic=True), run(-EXPOSURES, antithetic=True)
        assert (long.value_at_risk, long.expected_shortfall) == (short.value_at_risk, short.expected_shortfall)
        assert run() != run(-EXPOSURES)

    @pytest.mark.parametrize("rng", [None, -1, 1.5, True, "7", np.random.RandomState(1)])
    def test_take_a_seed_or_a_generator(self, rng: Any) -> None:
        with pytest.raises(ValueError, match="rng must be a Generator or a seed from 0"):
            run(rng=rng)

    @pytest.mark.parametrize(
        ("draws", "antithetic"), [(0, False), (-5, False), (1e4, False), (True, False), (999, True)]
    )
    def test_are_a_whole_number_and_even_where_antithetic(self, draws: Any, antithetic: bool) -> None:
        with pytest.raises(ValueError, match="draws must be a positive whole number, even where antithetic"):
            run(draws=draws, antithetic=antithetic)

    def test_are_enough_for_the_confidence(self) -> None:
        with pytest.raises(ValueError, match="99 observations are too few"):
            run(draws=99)


class TestTheCovariance:
    def test_may_be_singular(self) -> None:
        """Fewer days than symbols, and one symbol twice."""
        history = returns(scenarios=30, symbols=60)
        exposures = np.linspace(-1e5, 2e5, 60)
        covariance = np.cov(history.T, ddof=1)
        deviation = sqrt(exposures @ covariance @ exposures) / EQUITY
        found = run(exposures, covariance, draws=50_000)
        assert found.value_at_risk == pytest.approx(stats.norm.ppf(0.99) * deviation, rel=0.03)
        twice = np.array([[4e-4, 4e-4], [4e-4, 4e-4]])
        assert run(np.array([5e5, 5e5]), twice, draws=50_000).value_at_risk == pytest.approx(0.02 * 2.3263, rel=0.03)

    def test_may_hold_a_symbol_that_does_not_move(self) -> None:
        still = np.zeros((5, 5))
        still[:4, :4] = COVARIANCE
        found = run(np.append(EXPOSURES, 1e9), still, draws=50_000)
        assert found.value_at_risk == pytest.approx(stats.norm.ppf(0.99) * DEVIATION, rel=0.03)

    def test_of_nothing_that_moves_is_no_risk(self) -> None:
        assert run(covariance=np.zeros((4, 4))).expected_shortfall == 0.0

    @pytest.mark.parametrize(
        ("covariance", "message"),
        [
            (np.array([[1.0, 2.0], [2.0, 1.0]]), "is not positive semidefinite: its smallest eigenvalue is -1"),
            (np.array([[-1.0, 0.0], [0.0, -2.0]]), "is not positive semidefinite: its smallest eigenvalue is -2"),
            (np.array([[1.0, 0.5], [0.2, 1.0]]), "is not symmetric"),
            (np.ones((2, 3)), "must be square, not 2 by 3"),
            (np.ones(4), "must be a two-dimensional float64 array"),
            (np.ones((2, 2), dtype=np.float32), "must be a two-dimensional float64 array"),
            ([[1.0, 0.0], [0.0, 1.0]], "must be a two-dimensional float64 array"),
            (np.empty((0, 0)), "covariance is empty"),
            (np.array([[1.0, 0.0], [0.0, np.nan]]), "covariance holds nan at position 3"),
            (np.array([[np.inf, 0.0], [0.0, 1.0]]), "covariance holds inf at position 0"),
            (np.eye(3), "2 exposures do not go with a covariance of 3 symbols"),
        ],
    )
    def test_is_refused_where_it_is_none(self, covariance: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            run(np.array([1e5, 1e5]), covariance)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_exposures_must_be_finite(bad: float) -> None:
    with pytest.raises(ValueError, match=f"exposures holds {bad} at position 2"):
        run(np.array([1.0, 2.0, bad, 3.0]))


@pytest.mark.parametrize(("confidence", "horizon"), [(1.0, 1), (0.0, 1), (0.99, 0)])
def test_confidence_and_horizon_must_be_in_range(confidence: float, horizon: int) -> None:
    with pytest.raises(ValueError, match=r"confidence must|horizon_days must"):
        run(confidence=confidence, horizon_days=horizon)
