"""Backtests against scipy, published tables, and how often they reject what is right."""

from math import isfinite
from typing import Any

import numpy as np
import pytest
from scipy import stats

from services.risk.core.var.backtest import (
    BacktestName,
    Zone,
    christoffersen_conditional_coverage,
    christoffersen_independence,
    exceptions,
    kupiec,
    traffic_light,
)

pytestmark = pytest.mark.unit


def days(text: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.array([each == "x" for each in text], dtype=np.bool_)


class TestExceptions:
    def test_are_losses_beyond_the_value_at_risk(self) -> None:
        found = exceptions(np.array([-0.03, -0.02, -0.0199, 0.05]), np.array([0.02, 0.02, 0.02, 0.02]))
        assert found.tolist() == [True, False, False, False]

    @pytest.mark.parametrize(
        ("returns", "forecasts", "message"),
        [
            ([0.1], [0.1, 0.2], "1 returns do not go with 2 values at risk"),
            ([0.1, np.nan], [0.1, 0.2], "returns holds nan at position 1"),
            ([0.1, 0.2], [np.inf, 0.2], "value at risk holds inf at position 0"),
            ([0.1, 0.2], [0.1, -0.2], "value at risk is negative"),
            ([], [], "returns is empty"),
        ],
    )
    def test_take_a_value_at_risk_a_day(self, returns: list[float], forecasts: list[float], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            exceptions(np.array(returns), np.array(forecasts))


class TestKupiec:
    def test_of_the_worked_example(self) -> None:
        """J.P. Morgan, 1998: 20 exceptions in 252 days at 95 %, LR 3.91: Jorion (2007), section 6.2."""
        found = kupiec(252, 20, 0.95)
        assert found.statistic == pytest.approx(3.91, abs=0.005)
        assert found.p_value == pytest.approx(0.048, abs=0.0005)
        assert (found.test, found.degrees_of_freedom, found.note) == (BacktestName.KUPIEC, 1, None)
        assert (found.observations, found.exceptions, found.confidence) == (252, 20, 0.95)

    @pytest.mark.parametrize(
        ("confidence", "observations", "below", "above"),
        [
            (0.99, 255, 0, 7), (0.99, 510, 1, 11), (0.99, 1000, 4, 17),
            (0.975, 255, 2, 12), (0.975, 510, 6, 21), (0.975, 1000, 15, 36),
            (0.95, 255, 6, 21), (0.95, 510, 16, 36), (0.95, 1000, 37, 65),
        ],
    )  # fmt: skip
    def test_accepts_what_the_published_table_does(
        self, confidence: float, observations: int, below: int, above: int
    ) -> None:
        """Kupiec (1995), table 3, as Jorion (2007), table 6-2, has it: counts not rejected at 95 %.

        At 255 days and 99 % it names no least count; by the limit of the formula, 5.13, none at all is too few.
        """
        accepted = [
            count for count in range(observations + 1) if kupiec(observations, count, confidence).p_value > 0.05
        ]
        assert accepted == list(range(below + 1, above))

    @pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99, 0.999])
    @pytest.mark.parametrize("observations", [1, 2, 20, 250, 5000])
    def test_is_that_of_scipy_at_every_count(self, observations: int, confidence: float) -> None:
        for count in {0, 1, 2, 5, observations // 2, observations - 1, observations}:
            if not 0 <= count <= observations:
                continue
            found = kupiec(observations, count, confidence)
            seen = stats.binom.logpmf(count, observations, count / observations)
            expected = max(2 * (seen - stats.binom.logpmf(count, observations, 1 - confidence)), 0)
            assert found.statistic == pytest.approx(expected, rel=1e-9, abs=1e-9)
            assert found.p_value == pytest.approx(stats.chi2.sf(found.statistic, 1), rel=1e-9, abs=1e-300)

    def test_of_the_share_expected_is_nothing(self) -> None:
        for found in (kupiec(100, 5, 0.95), kupiec(1000, 10, 0.99), kupiec(3, 1, 1 - 1 / 3)):
            assert found.statistic == pytest.approx(0, abs=1e-12)
            assert found.statistic >= 0
            assert found.p_value == pytest.approx(1, abs=1e-6)

    @pytest.mark.parametrize(
        ("observations", "count", "confidence", "message"),
        [
            (0, 0, 0.99, "observations must be a whole number from 1"),
            (-1, 0, 0.99, "observations must be"),
            (250.0, 0, 0.99, "observations must be"),
            (250, -1, 0.99, "exceptions must be a whole number from 0 to 250"),
            (250, 251, 0.99, "exceptions must be"),
            (250, 2.5, 0.99, "exceptions must be"),
            (250, 2, 0.0, "confidence must"),
            (250, 2, 1.0, "confidence must"),
            (250, 2, float("nan"), "confidence must"),
        ],
    )
    def test_refuses_counts_that_cannot_be(
        self, observations: Any, count: Any, confidence: float, message: str
    ) -> None:
        for test in (kupiec, traffic_light):
            with pytest.raises(ValueError, match=message):
                test(observations, count, confidence)


class TestIndependence:
    @pytest.mark.parametrize("seed", range(20))
    def test_is_the_g_test_of_the_transitions(self, seed: int) -> None:
        exceeded = np.random.default_rng(seed).random(300) < 0.15
        table = np.zeros((2, 2))
        for before, after in zip(exceeded.tolist(), exceeded.tolist()[1:], strict=False):
            table[int(before), int(after)] += 1
        expected = stats.chi2_contingency(table, correction=False, lambda_="log-likelihood")
        found = christoffersen_independence(exceeded, 0.85)
        assert found.statistic == pytest.approx(expected.statistic, rel=1e-9)
        assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
        assert (found.test, found.degrees_of_freedom, found.note) == (BacktestName.INDEPENDENCE, 1, None)

    def test_finds_exceptions_that_cluster(self) -> None:
        clustered, spread = days("." * 120 + "x" * 6 + "." * 124), days(("." * 41 + "x") * 6)
        assert christoffersen_independence(clustered, 0.99).p_value < 1e-6
        assert christoffersen_independence(spread, 0.99).p_value > 0.3

    @pytest.mark.parametrize(
        ("text", "tested"),
        [
            ("..", False), (".x", False), ("x.", False), ("xx", False), ("." * 250, False), ("x" * 250, False),
            ("." * 249 + "x", False), ("x" + "." * 249, True), ("x" * 249 + ".", False), (".x" * 100, True),
            ("." + "x" * 99, True), (".x.", True), ("xx.", False), ("..xx", True),
        ],
    )  # fmt: skip
    def test_has_a_number_for_all_that_can_be(self, text: str, tested: bool) -> None:
        for test in (christoffersen_independence, christoffersen_conditional_coverage):
            found = test(days(text), 0.99)
            assert isfinite(found.statistic)
            assert found.statistic >= 0
            assert 0 <= found.p_value <= 1
            assert (found.note is None) == tested
        if not tested:
            found = christoffersen_independence(days(text), 0.99)
            assert (found.statistic, found.p_value) == (0, 1)
            assert "independence was not tested" in str(found.note)

    @pytest.mark.parametrize("exceeded", [[True, False], np.array([0, 1]), np.array([[True], [False]]), None])
    def test_takes_booleans(self, exceeded: Any) -> None:
        with pytest.raises(ValueError, match="exceptions must be a one-dimensional array of booleans"):
            christoffersen_independence(exceeded, 0.99)

    @pytest.mark.parametrize("test", [christoffersen_independence, christoffersen_conditional_coverage])
    def test_takes_two_days_and_a_confidence(self, test: Any) -> None:
        for text in ("", "x"):
            with pytest.raises(ValueError, match="observations are too few: it takes 2"):
                test(days(text), 0.99)
        with pytest.raises(ValueError, match="confidence must"):
            test(days("..x"), 1.0)


class TestConditionalCoverage:
    def test_is_the_sum_of_both(self) -> None:
        exceeded = np.random.default_rng(1).random(500) < 0.03
        found = christoffersen_conditional_coverage(exceeded, 0.99)
        parts = kupiec(500, int(exceeded.sum()), 0.99), christoffersen_independence(exceeded, 0.99)
        assert found.statistic == pytest.approx(parts[0].statistic + parts[1].statistic, rel=1e-12)
        assert found.p_value == pytest.approx(stats.chi2.sf(found.statistic, 2), rel=1e-12)
        assert (found.test, found.degrees_of_freedom) == (BacktestName.CONDITIONAL_COVERAGE, 2)

    def test_rejects_what_is_right_as_rarely_as_it_says(self) -> None:
        rng = np.random.default_rng(2)
        samples = [rng.random(1000) < 0.05 for _ in range(1000)]
        for p_values in (
            [kupiec(1000, int(each.sum()), 0.95).p_value for each in samples],
            [christoffersen_independence(each, 0.95).p_value for each in samples],
            [christoffersen_conditional_coverage(each, 0.95).p_value for each in samples],
        ):
            # 5 % within three standard errors, and what the discrete counts and the limit theorem leave.
            assert 0.02 < np.mean(np.array(p_values) < 0.05) < 0.09


class TestTrafficLight:
    def test_of_250_days_is_the_table_of_basel(self) -> None:
        """Basel Committee (1996), table 2, cumulative probabilities in percent."""
        published = [8.11, 28.58, 54.32, 75.81, 89.22, 95.88, 98.63, 99.60, 99.89, 99.97, 99.99]
        zones = [Zone.GREEN] * 5 + [Zone.YELLOW] * 5 + [Zone.RED]
        for count, (probability, zone) in enumerate(zip(published, zones, strict=True)):
            found = traffic_light(250, count, 0.99)
            # The table cuts the last one, 99.995, and rounds the others.
            assert found.cumulative_probability * 100 == pytest.approx(probability, abs=0.0055)
            assert found.zone is zone
        assert all(traffic_light(250, count, 0.99).zone is Zone.RED for count in range(10, 251))

    @pytest.mark.parametrize("confidence", [0.9, 0.975, 0.99])
    @pytest.mark.parametrize("observations", [1, 100, 500, 10_000])
    def test_of_other_days_is_the_binomial_distribution(self, observations: int, confidence: float) -> None:
        for count in {0, 1, observations // 100, observations // 20, observations // 10, observations}:
            if count > observations:
                continue
            found = traffic_light(observations, count, confidence)
            expected = stats.binom.cdf(count, observations, 1 - confidence)
            assert found.cumulative_probability == pytest.approx(expected, rel=1e-9, abs=1e-300)
            assert found.cumulative_probability <= 1
            assert (found.observations, found.exceptions, found.confidence) == (observations, count, confidence)
