"""Historical value at risk and expected shortfall against sorts, integrals and sums worked by hand."""

from fractions import Fraction
from math import floor, sqrt
from typing import Any

import numpy as np
import pytest

from services.risk.core.var.historical import historical, tail_losses
from services.risk.core.var.result import Method, fractions
from services.risk.core.var.tail import tail_size
from tests.unit.risk.var.samples import CONFIDENCES, EQUITY, FloatArray, pnl

pytestmark = pytest.mark.unit


def integrated_shortfall(sample: FloatArray, confidence: str) -> float:
    """Minus the mean of the quantile function over the tail, in exact fractions: Acerbi and Tasche, proposition 3.2."""
    alpha, count = 1 - Fraction(confidence), len(sample)
    ordered = [Fraction(float(each)) for each in np.sort(sample)]
    total = Fraction(0)
    for index, value in enumerate(ordered):
        low, high = Fraction(index, count), min(Fraction(index + 1, count), alpha)
        total += max(high - low, Fraction(0)) * value
    return float(-total / alpha)


class TestTheTail:
    @pytest.mark.parametrize(
        ("observations", "confidence", "expected"),
        [
            # In floats, 500 * (1 - 0.99) is 5.000000000000004 and its ceiling 6.
            (500, 0.99, (5, 1.0, 5.0)),
            (100, 0.99, (1, 1.0, 1.0)),
            (250, 0.99, (3, 0.5, 2.5)),
            (500, 0.975, (13, 0.5, 12.5)),
            (1000, 0.999, (1, 1.0, 1.0)),
            (10, 0.75, (3, 0.5, 2.5)),
            (3, 0.5, (2, 0.5, 1.5)),
        ],
    )
    def test_its_size_is_that_of_the_decimal_confidence(
        self, observations: int, confidence: float, expected: tuple[int, float, float]
    ) -> None:
        assert tail_size(observations, confidence) == expected

    def test_takes_one_whole_observation(self) -> None:
        with pytest.raises(ValueError, match=r"99 observations are too few for a confidence of 0\.99: it takes 100"):
            tail_size(99, 0.99)

    @pytest.mark.parametrize("confidence", [0, 1, 0.0, 1.0, -0.5, 1.5, 99.0, float("nan"), float("inf"), True, False])
    def test_has_a_confidence_between_0_and_1(self, confidence: float) -> None:
        with pytest.raises(ValueError, match="confidence must lie between 0 and 1"):
            historical(pnl(), EQUITY, confidence)


class TestLosses:
    def test_ten_scenarios_by_hand(self) -> None:
        sample = np.array([3.0, -10.0, 1.0, -4.0, 2.0, -7.0, 5.0, 0.0, -1.0, 4.0])
        assert tail_losses(sample, 0.9) == (10.0, 10.0)
        assert tail_losses(sample, 0.8) == (7.0, 8.5)
        # Two and a half of the worst: (10 + 7 + 4 / 2) / 2.5.
        assert tail_losses(sample, 0.75) == (4.0, 7.6)

    @pytest.mark.parametrize("confidence", CONFIDENCES)
    @pytest.mark.parametrize("scenarios", [100, 250, 333, 500, 1000])
    def test_value_at_risk_is_the_quantile_of_numpy(self, scenarios: int, confidence: float) -> None:
        sample = pnl(scenarios)
        # One bit less of 1 - c, as numpy's would otherwise be the next one where n(1 - c) is whole.
        alpha = float(1 - Fraction(str(confidence))) * (1 - 1e-12)
        expected = -np.quantile(sample, alpha, method="inverted_cdf")
        assert tail_losses(sample, confidence)[0] == expected

    @pytest.mark.parametrize("confidence", CONFIDENCES)
    @pytest.mark.parametrize("scenarios", [100, 250, 333, 500, 1000])
    def test_expected_shortfall_is_the_integral_of_the_quantiles(self, scenarios: int, confidence: float) -> None:
        sample = pnl(scenarios)
        expected = integrated_shortfall(sample, str(confidence))
        assert tail_losses(sample, confidence)[1] == pytest.approx(expected, rel=1e-14)

    def test_where_the_tail_is_whole_it_is_a_mean(self) -> None:
        sample = pnl(500)
        assert tail_losses(sample, 0.99)[1] == pytest.approx(-np.sort(sample)[:5].mean(), rel=1e-14)

    def test_converges_to_the_normal_distribution(self) -> None:
        sample = np.random.default_rng(3).standard_normal(400_000)
        value_at_risk, shortfall = tail_losses(sample, 0.99)
        # Three standard errors; z and phi(z) / 0.01 from tables.
        assert value_at_risk == pytest.approx(2.3263, abs=3 * sqrt(0.99 * 0.01 / 400_000) / 0.02665)
        assert shortfall == pytest.approx(2.6652, abs=0.02)

    def test_does_not_depend_on_the_order_of_the_scenarios(self) -> None:
        sample = pnl(777)
        shuffled = np.random.default_rng(4).permutation(sample)
        assert tail_losses(sample, 0.975) == tail_losses(shuffled, 0.975) == tail_losses(np.sort(sample), 0.975)

    def test_leaves_the_scenarios_as_they_are(self) -> None:
        sample = pnl()
        before = sample.copy()
        sample.flags.writeable = False
        historical(sample, EQUITY, 0.99)
        assert (sample == before).all()

    def test_takes_every_second_of_an_array(self) -> None:
        sample = pnl(1000)
        assert tail_losses(sample[::2], 0.99) == tail_losses(sample[::2].copy(), 0.99)

    def test_of_equal_losses_both_figures_are_that_loss(self) -> None:
        # The mean of nine times 0.7 rounds to below 0.7.
        for scenarios in range(100, 200):
            assert tail_losses(np.full(scenarios, -0.7), 0.95)[0] == 0.7
            value_at_risk, shortfall = tail_losses(np.full(scenarios, -0.7), 0.95)
            assert value_at_risk <= shortfall <= 0.7 * (1 + 1e-15)

    def test_a_tail_that_earns_is_a_negative_loss(self) -> None:
        assert tail_losses(np.arange(1.0, 101.0), 0.98) == (-2.0, -1.5)


class TestHistorical:
    def test_names_what_it_rests_on(self) -> None:
        sample = pnl()
        found = historical(sample, EQUITY, 0.99)
        losses = tail_losses(sample, 0.99)
        assert (found.value_at_risk, found.expected_shortfall) == (losses[0] / EQUITY, losses[1] / EQUITY)
        assert (found.method, found.confidence, found.horizon_days) == (Method.HISTORICAL, 0.99, 1)
        assert (found.observations, found.ddof, found.fallback, found.approximation) == (500, None, None, None)

    def test_days_beyond_the_first_are_an_approximation(self) -> None:
        one, ten = historical(pnl(), EQUITY, 0.99), historical(pnl(), EQUITY, 0.99, 10)
        assert ten.value_at_risk == pytest.approx(one.value_at_risk * sqrt(10), rel=1e-15)
        assert ten.expected_shortfall == pytest.approx(one.expected_shortfall * sqrt(10), rel=1e-15)
        assert ten.horizon_days == 10
        assert ten.approximation == "one-day losses scaled by the square root of 10 days"

    def test_a_tail_that_earns_is_no_risk(self) -> None:
        found = historical(np.arange(1.0, 101.0), EQUITY, 0.98)
        assert (found.value_at_risk, found.expected_shortfall) == (0.0, 0.0)

    def test_a_quantile_that_earns_may_have_a_shortfall(self) -> None:
        found = historical(np.array([-50.0] + [1.0] * 99), EQUITY, 0.98)
        assert found.value_at_risk == 0.0
        assert found.expected_shortfall == 24.5 / EQUITY

    def test_no_position_is_no_risk(self) -> None:
        found = historical(np.zeros(500), EQUITY, 0.99)
        # Never -0.0, which JSON would show.
        assert str(found.value_at_risk) == str(found.expected_shortfall) == "0.0"

    def test_cannot_be_changed(self) -> None:
        found: Any = historical(pnl(), EQUITY, 0.99)
        with pytest.raises(AttributeError):
            found.value_at_risk = 0.0

    def test_is_of_python_floats(self) -> None:
        found = historical(pnl(), EQUITY, 0.99)
        assert type(found.value_at_risk) is type(found.expected_shortfall) is float

    @pytest.mark.parametrize(
        ("index", "value", "message"),
        [
            (17, np.nan, "scenario P&L holds nan at position 17"),
            (0, np.inf, "scenario P&L holds inf at position 0"),
            (499, -np.inf, "scenario P&L holds -inf at position 499"),
            (3, 1e61, r"scenario P&L holds numbers beyond 1e\+60"),
            (3, -1e308, r"scenario P&L holds numbers beyond 1e\+60"),
        ],
    )
    def test_refuses_what_is_not_a_number(self, index: int, value: float, message: str) -> None:
        sample = pnl()
        sample[index] = value
        with pytest.raises(ValueError, match=message):
            historical(sample, EQUITY, 0.99)
        with pytest.raises(ValueError, match=message):
            tail_losses(sample, 0.99)

    def test_names_the_first_fault_of_several(self) -> None:
        sample = pnl()
        sample[[5, 6]] = np.inf, -np.inf
        with pytest.raises(ValueError, match="inf at position 5"):
            historical(sample, EQUITY, 0.99)

    @pytest.mark.parametrize(
        "sample", [[1.0] * 500, np.ones((500, 1)), np.ones(500, dtype=np.float32), np.ones(500, dtype=int), 3.0, None]
    )
    def test_refuses_other_shapes_and_kinds(self, sample: Any) -> None:
        with pytest.raises(ValueError, match="scenario P&L must be a one-dimensional float64 array"):
            historical(sample, EQUITY, 0.99)

    def test_refuses_no_scenarios_and_too_few(self) -> None:
        with pytest.raises(ValueError, match="scenario P&L is empty"):
            historical(np.array([]), EQUITY, 0.99)
        with pytest.raises(ValueError, match="99 observations are too few"):
            historical(pnl(99), EQUITY, 0.99)

    @pytest.mark.parametrize("equity", [0, 0.0, -1.0, float("nan"), float("inf"), 1e61])
    def test_refuses_an_equity_that_is_none(self, equity: float) -> None:
        with pytest.raises(ValueError, match="equity must be above 0"):
            historical(pnl(), equity, 0.99)

    @pytest.mark.parametrize("horizon", [0, -1, 1.0, 1.5, True, None, float("nan")])
    def test_refuses_a_horizon_that_is_not_whole_days(self, horizon: Any) -> None:
        with pytest.raises(ValueError, match="horizon_days must be a whole number from 1"):
            historical(pnl(), EQUITY, 0.99, horizon)

    def test_refuses_a_share_that_is_not_finite(self) -> None:
        with pytest.raises(ValueError, match="have no finite share of the equity 1e-300"):
            fractions(1e50, 1e50, 1e-300)


def test_the_quantile_is_the_more_careful_of_the_two() -> None:
    """Where n(1 - c) is whole any number between two losses is a quantile; ours is the larger loss."""
    sample = pnl(500)
    ordered = np.sort(sample)
    assert tail_losses(sample, 0.99)[0] == -ordered[floor(500 * 0.01) - 1] > -ordered[5]
