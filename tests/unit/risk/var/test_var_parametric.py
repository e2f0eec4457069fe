"""Normal, EWMA and Cornish-Fisher figures against scipy, integrals and recursions."""

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from services.risk.core.var.parametric import cornish_fisher, ewma, is_monotone, normal
from services.risk.core.var.result import Method, TailRisk
from tests.unit.risk.var.samples import CONFIDENCES, EQUITY, FloatArray, pnl

pytestmark = pytest.mark.unit
METHODS: tuple[Callable[..., TailRisk], ...] = (normal, ewma, cornish_fisher)


def mild(observations: int = 2000, seed: int = 5) -> FloatArray:
    """P&L with a skew of about -0.3 and an excess kurtosis of about 1, well within the expansion's domain."""
    rng = np.random.default_rng(seed)
    return rng.standard_t(10, observations) * 8_000 - rng.gamma(2, 3_000, observations) + 6_500


class TestNormal:
    @pytest.mark.parametrize("confidence", [0.01, 0.5, *CONFIDENCES, 0.999999])
    @pytest.mark.parametrize("days", [1, 10])
    def test_is_that_of_scipy(self, confidence: float, days: int) -> None:
        sample = pnl() - 3_000
        found = normal(sample, EQUITY, confidence, days)
        fitted = stats.norm(sample.mean() * days, np.std(sample, ddof=1) * sqrt(days))
        quantile = fitted.ppf(1 - confidence)
        shortfall = -fitted.expect(ub=quantile, conditional=True) if 0.4 < confidence < 0.9999 else None
        assert found.value_at_risk == pytest.approx(max(-quantile / EQUITY, 0), rel=1e-9)
        if shortfall is not None:
            assert found.expected_shortfall == pytest.approx(shortfall / EQUITY, rel=1e-6)

    def test_names_what_it_rests_on(self) -> None:
        found = normal(pnl(), EQUITY, 0.99, 10)
        assert (found.method, found.confidence, found.horizon_days) == (Method.NORMAL, 0.99, 10)
        assert (found.observations, found.ddof, found.fallback, found.approximation) == (500, 1, None, None)

    def test_of_linear_positions_is_the_variance_covariance_method(self) -> None:
        rng = np.random.default_rng(6)
        history = rng.standard_normal((400, 3)) @ rng.standard_normal((3, 3)) * 0.01
        history -= history.mean(axis=0)
        exposures = np.array([5e5, -2e5, 1e5])
        deviation = sqrt(exposures @ np.cov(history.T, ddof=1) @ exposures)
        found = normal(history @ exposures, EQUITY, 0.99)
        assert found.value_at_risk == pytest.approx(stats.norm.ppf(0.99) * deviation / EQUITY, rel=1e-9)

    def test_without_drift_grows_by_the_square_root_of_time(self) -> None:
        sample = pnl()
        sample -= sample.mean()
        assert normal(sample, EQUITY, 0.99, 9).value_at_risk == pytest.approx(
            normal(sample, EQUITY, 0.99).value_at_risk * 3, rel=1e-9
        )


class TestEwma:
    def test_is_the_recursion_of_riskmetrics(self) -> None:
        sample = pnl()
        # Equation 5.3, started at 0; what it never saw of the past is divided out.
        variance = 0.0
        for day in sample:
            variance = 0.94 * variance + 0.06 * day**2
        variance /= 1 - 0.94 ** len(sample)
        found = ewma(sample, EQUITY, 0.99)
        assert found.value_at_risk == pytest.approx(stats.norm.ppf(0.99) * sqrt(variance) / EQUITY, rel=1e-12)
        assert found.expected_shortfall == pytest.approx(
            stats.norm.pdf(stats.norm.ppf(0.99)) / 0.01 * sqrt(variance) / EQUITY, rel=1e-12
        )
        assert (found.method, found.ddof, found.observations) == (Method.EWMA, 0, 500)

    def test_the_newest_day_is_the_last(self) -> None:
        calm, wild = np.full(200, 100.0), np.full(200, 100.0)
        calm[0], wild[-1] = -10_000, -10_000
        assert ewma(wild, EQUITY, 0.99).value_at_risk > 10 * ewma(calm, EQUITY, 0.99).value_at_risk

    def test_of_days_of_one_size_that_size_is_the_deviation(self) -> None:
        sample = np.tile([2_000.0, -2_000.0], 60)
        found = ewma(sample, EQUITY, 0.95, 4)
        assert found.value_at_risk == pytest.approx(stats.norm.ppf(0.95) * 4_000 / EQUITY, rel=1e-12)

    def test_takes_the_days_that_carry_99_percent_of_the_weight(self) -> None:
        ewma(pnl(75), EQUITY, 0.99)
        with pytest.raises(ValueError, match=r"74 observations are too few for a decay of 0\.94"):
            ewma(pnl(74), EQUITY, 0.99)
        # RiskMetrics' decay for months takes more.
        with pytest.raises(ValueError, match=r"75 observations are too few for a decay of 0\.97"):
            ewma(pnl(75), EQUITY, 0.99, decay=0.97)

    @pytest.mark.parametrize("decay", [0, 1, -0.1, 1.1, float("nan")])
    def test_refuses_a_decay_out_of_range(self, decay: float) -> None:
        with pytest.raises(ValueError, match="decay must lie between 0 and 1"):
            ewma(pnl(), EQUITY, 0.99, decay=decay)


class TestCornishFisher:
    @staticmethod
    def expansion(z: float, skewness: float, kurtosis: float) -> float:
        """The quantile by Hermite polynomials, as Abramowitz and Stegun 26.2.49 has it."""
        he2, he3 = np.polynomial.hermite_e.hermeval(z, [0, 0, 1]), np.polynomial.hermite_e.hermeval(z, [0, 0, 0, 1])
        return float(z + skewness / 6 * he2 + kurtosis / 24 * he3 - skewness**2 / 36 * (2 * he3 + z))

    @pytest.mark.parametrize("confidence", [0.3, 0.5, *CONFIDENCES, 0.999])
    @pytest.mark.parametrize("days", [1, 10])
    def test_is_the_expansion_and_its_integral(self, confidence: float, days: int) -> None:
        sample = mild() - 4_000
        found = cornish_fisher(sample, EQUITY, confidence, days)
        skewness, kurtosis = stats.skew(sample) / sqrt(days), stats.kurtosis(sample) / days
        mean, deviation = sample.mean() * days, sample.std(ddof=1) * sqrt(days)
        edge = stats.norm.ppf(1 - confidence)
        area, _ = integrate.quad(
            lambda z: self.expansion(z, skewness, kurtosis) * stats.norm.pdf(z),
            -40,
            edge,
            epsabs=1e-13,
            points=[edge - 1],
        )
        assert found.fallback is None
        assert found.value_at_risk == pytest.approx(
            max(-(mean + deviation * self.expansion(edge, skewness, kurtosis)) / EQUITY, 0), rel=1e-9
        )
        assert found.expected_shortfall == pytest.approx(
            -(mean + deviation * area / (1 - confidence)) / EQUITY, rel=1e-8
        )
        assert (found.method, found.ddof, found.observations) == (Method.CORNISH_FISHER, 1, 2000)

    def test_comes_close_to_a_skewed_distribution_where_the_normal_does_not(self) -> None:
        """Minus a lognormal, whose figures are known: E[X; X > q] is its mean times a shifted normal's survival."""
        sigma, z = 0.15, stats.norm.ppf(0.99)
        sample = -np.exp(sigma * stats.norm.ppf((np.arange(100_000) + 0.5) / 100_000))
        edge = np.exp(sigma * z)
        shortfall = np.exp(sigma**2 / 2) * stats.norm.sf(z - sigma) / 0.01
        found, straight = cornish_fisher(sample, 1.0, 0.99), normal(sample, 1.0, 0.99)
        assert found.fallback is None
        assert found.value_at_risk == pytest.approx(edge, rel=1e-3)
        assert found.expected_shortfall == pytest.approx(shortfall, rel=2e-3)
        assert straight.value_at_risk < edge * 0.97
        assert straight.expected_shortfall < shortfall * 0.96

    def test_without_skew_and_kurtosis_is_the_normal_one(self) -> None:
        # Five points with the third and the fourth moment of a normal distribution (Gauss-Hermite).
        nodes = np.repeat([-sqrt(3), 0.0, sqrt(3)], [100, 400, 100]) * 1_000
        found, straight = cornish_fisher(nodes, EQUITY, 0.99), normal(nodes, EQUITY, 0.99)
        assert found.value_at_risk == pytest.approx(straight.value_at_risk, rel=1e-9)
        assert found.expected_shortfall == pytest.approx(straight.expected_shortfall, rel=1e-9)

    def test_a_gamma_distribution_just_misses_its_domain(self) -> None:
        """Its excess kurtosis is 1.5 S^2, where a small skewness takes 14/9 S^2."""
        sample = -stats.gamma(15).ppf((np.arange(10_000) + 0.5) / 10_000)
        assert cornish_fisher(sample, EQUITY, 0.99).fallback is not None
        assert not is_monotone(0.1, 1.55 * 0.01)
        assert is_monotone(0.1, 1.57 * 0.01)

    @pytest.mark.parametrize(
        ("sample", "reason"),
        [
            (np.append(mild(400), -400_000.0), "normal: skewness -14.710, excess kurtosis 263.192"),
            (np.linspace(-5_000, 5_000, 300), "normal: skewness 0.000, excess kurtosis -1.200"),
            (np.random.default_rng(8).standard_t(3, 2_000), "are outside the expansion's domain"),
        ],
    )
    def test_outside_its_domain_is_the_normal_one_and_says_so(self, sample: FloatArray, reason: str) -> None:
        found, straight = cornish_fisher(sample, EQUITY, 0.99), normal(sample, EQUITY, 0.99)
        assert found.method is Method.CORNISH_FISHER
        assert found.fallback is not None
        assert reason in found.fallback.replace("-0.000", "0.000")
        assert (found.value_at_risk, found.expected_shortfall) == (straight.value_at_risk, straight.expected_shortfall)

    def test_more_days_bring_it_into_its_domain(self) -> None:
        sample = np.random.default_rng(8).standard_t(3, 2_000)
        assert cornish_fisher(sample, EQUITY, 0.99, 1).fallback is not None
        assert cornish_fisher(sample, EQUITY, 0.99, 250).fallback is None

    @pytest.mark.parametrize("level", [0.0, 0.1, -123.456, 1e-9])
    def test_of_a_constant_is_the_normal_one_and_says_so(self, level: float) -> None:
        found = cornish_fisher(np.full(300, level), EQUITY, 0.99)
        assert found.fallback == "normal: the P&L does not vary, so that it has no skewness and no kurtosis"
        assert found.value_at_risk == pytest.approx(max(-level, 0) / EQUITY, abs=1e-15)


class TestTheDomain:
    def test_is_where_the_slope_is_nowhere_negative(self) -> None:
        grid = np.linspace(-60, 60, 4_801)
        for skewness in np.linspace(-8, 8, 17):
            for kurtosis in np.linspace(-3, 60, 64):
                curve = (
                    grid
                    + (grid**2 - 1) * skewness / 6
                    + (grid**3 - 3 * grid) * kurtosis / 24
                    - (2 * grid**3 - 5 * grid) * skewness**2 / 36
                )
                rises = bool((np.diff(curve) > -1e-9).all())
                assert is_monotone(skewness, kurtosis) == rises, (skewness, kurtosis)

    def test_is_not_where_the_slope_is_nowhere_positive(self) -> None:
        """Its discriminant is negative there too; a sample may well have a skewness of 15 and a kurtosis of 279."""
        assert not is_monotone(15, 279)
        assert not is_monotone(-15, 279)

    def test_its_edges_are_the_published_ones(self) -> None:
        assert [is_monotone(0, kurtosis) for kurtosis in (-1e-9, 0, 4, 8, 8 + 1e-9)] == [False, True, True, True, False]
        # Maillard (2012): |S| <= 6 (sqrt(2) - 1), which is 2.485.
        edge = 6 * (sqrt(2) - 1)
        kurtoses = np.linspace(0, 40, 40_001)
        for sign in (-1, 1):
            assert any(is_monotone(sign * (edge - 1e-6), kurtosis) for kurtosis in kurtoses)
            assert not any(is_monotone(sign * (edge + 1e-6), kurtosis) for kurtosis in kurtoses)


@pytest.mark.parametrize("method", METHODS)
class TestEveryOne:
    @pytest.mark.parametrize("confidence", [0, 1, -0.1, 1.1, float("nan")])
    def test_refuses_a_confidence_out_of_range(self, method: Callable[..., TailRisk], confidence: float) -> None:
        with pytest.raises(ValueError, match="confidence must lie between 0 and 1"):
            method(pnl(), EQUITY, confidence)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_refuses_what_is_not_a_number(self, method: Callable[..., TailRisk], bad: float) -> None:
        sample = pnl()
        sample[9] = bad
        with pytest.raises(ValueError, match=f"daily P&L holds {bad} at position 9"):
            method(sample, EQUITY, 0.99)

    @pytest.mark.parametrize(("equity", "horizon"), [(0.0, 1), (float("nan"), 1), (1.0, 0), (1.0, 2.5)])
    def test_refuses_equity_and_horizon_out_of_range(
        self, method: Callable[..., TailRisk], equity: float, horizon: Any
    ) -> None:
        with pytest.raises(ValueError, match=r"equity must|horizon_days must"):
            method(pnl(), equity, 0.99, horizon)

    def test_refuses_too_few(self, method: Callable[..., TailRisk]) -> None:
        with pytest.raises(ValueError, match="29 observations are too few: it takes 30"):
            method(pnl(29), EQUITY, 0.99)
        with pytest.raises(ValueError, match="daily P&L is empty"):
            method(np.array([]), EQUITY, 0.99)

    def test_holds_at_the_largest_and_the_smallest_numbers(self, method: Callable[..., TailRisk]) -> None:
        for size in (1e55, 1e-100, 1e-200):
            found = method(pnl() / 10_000 * size, 1e60, 0.99)
            assert 0 <= found.value_at_risk <= found.expected_shortfall < 1

    def test_no_position_is_no_risk(self, method: Callable[..., TailRisk]) -> None:
        found = method(np.zeros(100), EQUITY, 0.99, 10)
        assert str(found.value_at_risk) == str(found.expected_shortfall) == "0.0"
