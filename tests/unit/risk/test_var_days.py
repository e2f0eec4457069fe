"""Forecasts against the sessions that came, and what every symbol adds to them."""

from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from math import log

import numpy as np
import pytest
from scipy import stats
from scipy.special import xlogy

from services.risk.core.book import book_of
from services.risk.core.commands import SetScenarios
from services.risk.core.tail_methods import every_method, tail_inputs, value_at_risk
from services.risk.core.var.result import Method
from services.risk.core.var_days import SessionEnd, backtest_sessions
from shared.schemas.accounts import TailRisk
from shared.schemas.instruments import ScenarioSet
from shared.schemas.value_at_risk import CoverageTest
from tests.unit.risk.desk import START, Desk, wide
from tests.unit.risk.test_tail import scenarios

pytestmark = pytest.mark.unit
UNBOUND = {"max_var_fraction": None, "max_expected_shortfall_fraction": None}
FIRST = date(2025, 1, 1)
EQUITY = Decimal(200_000)


def tail(value: float = 0.02, *, method: str = "historical", confidence: float = 0.95, days: float = 1) -> TailRisk:
    return TailRisk(
        method=method,
        value_at_risk=value,
        expected_shortfall=value * 1.2,
        confidence=confidence,
        horizon_days=days,
        observations=500,
    )


def ends(results: list[float], forecasts: list[list[TailRisk]] | None = None) -> list[SessionEnd]:
    """Return closed sessions, one a day; the results are fractions of the start of the day."""
    tails = forecasts or [[tail()] for _ in results]
    return [
        SessionEnd(FIRST + timedelta(days=number), tails[number], EQUITY, EQUITY * Decimal(str(result)))
        for number, result in enumerate(results)
    ]


def made(count: int, seed: int = 5) -> list[float]:
    return [round(float(each), 6) for each in np.random.default_rng(seed).standard_t(4, size=count) * 0.01]


def near(found: CoverageTest | None, statistic: float, degrees: int) -> None:
    assert found is not None
    assert found.statistic == pytest.approx(statistic, abs=1e-9)
    assert found.degrees_of_freedom == degrees
    assert found.p_value == pytest.approx(stats.chi2.sf(statistic, degrees), abs=1e-9)


class TestBacktest:
    @pytest.mark.parametrize("seed", range(6))
    def test_it_agrees_with_scipy(self, seed: int) -> None:
        results = made(301, seed)
        found = backtest_sessions("main", ends(results), Method.HISTORICAL, None)
        exceeded = [result < -0.02 for result in results[1:]]
        count, days = sum(exceeded), len(exceeded)
        assert (found.observations, found.exceptions, found.left_out) == (300, count, 0)
        assert found.expected == pytest.approx(300 * 0.05)
        assert [each.session_date for each in found.exceeded] == [
            FIRST + timedelta(days=number) for number, result in enumerate(results) if number and result < -0.02
        ]
        coverage = 2 * (stats.binom.logpmf(count, days, count / days) - stats.binom.logpmf(count, days, 0.05))
        near(found.kupiec, coverage, 1)
        pairs = np.zeros((2, 2))
        for before, after in pairwise(exceeded):
            pairs[int(before), int(after)] += 1
        chain = xlogy(pairs, pairs / pairs.sum(axis=1, keepdims=True)).sum()
        alike = xlogy(pairs.sum(axis=0), pairs.sum(axis=0) / pairs.sum()).sum()
        near(found.christoffersen_independence, 2 * (chain - alike), 1)
        near(found.christoffersen_conditional_coverage, coverage + 2 * (chain - alike), 2)
        below = stats.binom.cdf(count, days, 0.05)
        assert found.zone == ("GREEN" if below < 0.95 else "YELLOW" if below < 0.9999 else "RED")
        assert found.note is None

    def test_a_forecast_is_for_the_session_after_it(self) -> None:
        # A loss of 3 % on the second day, which the first day's forecast covers and its own does not.
        forecasts = [[tail(0.04)], [tail(0.01)], [tail(0.04)]]
        covered = backtest_sessions("main", ends([0.0, -0.03, 0.0], forecasts), Method.HISTORICAL, None)
        assert (covered.observations, covered.exceptions) == (2, 0)
        missed = backtest_sessions("main", ends([0.0, 0.0, -0.03], forecasts), Method.HISTORICAL, None)
        assert [each.model_dump() for each in missed.exceeded] == [
            {"session_date": FIRST + timedelta(days=2), "value_at_risk": 0.01, "daily_return": -0.03}
        ]

    def test_a_loss_of_just_the_value_at_risk_is_no_exception(self) -> None:
        assert backtest_sessions("main", ends([0, -0.02]), Method.HISTORICAL, None).exceptions == 0
        assert backtest_sessions("main", ends([0, -0.020001]), Method.HISTORICAL, None).exceptions == 1

    def test_the_session_before_the_first_wanted_gives_a_forecast_and_is_no_day(self) -> None:
        found = backtest_sessions("main", ends([-0.5, -0.5, 0.01, 0.01]), Method.HISTORICAL, FIRST + timedelta(days=2))
        assert (found.first_session, found.last_session) == (FIRST + timedelta(days=2), FIRST + timedelta(days=3))
        assert (found.observations, found.exceptions, found.left_out) == (2, 0, 0)

    def test_each_method_is_held_to_its_own_forecasts(self) -> None:
        forecasts = [[tail(0.01), tail(0.05, method="normal")] for _ in range(3)]
        results = ends([0.0, -0.03, -0.03], forecasts)
        assert backtest_sessions("main", results, Method.HISTORICAL, None).exceptions == 2
        assert backtest_sessions("main", results, Method.NORMAL, None).exceptions == 0
        none = backtest_sessions("main", results, Method.EWMA, None)
        assert (none.observations, none.left_out) == (0, 2)

    def test_what_cannot_be_held_against_the_same_days_is_left_out(self) -> None:
        forecasts = [[tail(confidence=0.99)], [tail(days=10)], [], [tail()], [tail()], [tail()]]
        found = backtest_sessions("main", ends([-0.9] * 6, forecasts), Method.HISTORICAL, None)
        assert (found.confidence, found.observations, found.left_out) == (0.95, 2, 3)
        ruined = [*ends([0.0]), SessionEnd(FIRST + timedelta(days=1), [tail()], Decimal(0), Decimal(-1))]
        assert backtest_sessions("main", ruined, Method.HISTORICAL, None).left_out == 1

    @pytest.mark.parametrize("sessions", [0, 1])
    def test_without_days_there_are_no_figures_and_it_says_why(self, sessions: int) -> None:
        found = backtest_sessions("main", ends([0.0] * sessions), Method.HISTORICAL, None)
        assert (found.observations, found.exceptions, found.expected, found.confidence) == (0, 0, None, None)
        assert found.kupiec is found.christoffersen_independence is found.zone is None
        assert "no closed session" in (found.note or "")

    def test_with_few_it_says_that_they_say_little(self) -> None:
        one = backtest_sessions("main", ends([0.0, -0.03]), Method.HISTORICAL, None)
        near(one.kupiec, -2 * log(0.05), 1)
        assert one.christoffersen_independence is None
        assert "one session" in (one.note or "")
        few = backtest_sessions("main", ends([0.0] * 20), Method.HISTORICAL, None)
        assert few.christoffersen_conditional_coverage is not None
        assert "19 sessions are few" in (few.note or "")
        assert backtest_sessions("main", ends([0.0] * 21), Method.HISTORICAL, None).note is None


class TestValueAtRisk:
    def desk(self) -> Desk:
        found = Desk(wide(**UNBOUND))
        drawn = np.random.default_rng(11).standard_t(4, size=(2, 250)) * 0.02
        returns = {"STOCK": list(drawn[0].clip(-1)), "FUT": list((drawn[1] + drawn[0] / 2).clip(-1))}
        found.send(SetScenarios(ScenarioSet(name="drawn", returns=returns), "ada"))
        found.trade("BUY", 400, 100)
        found.trade("SELL", 1, 4000, "FUT")
        found.trade("BUY", "0.1", 50000, "COIN")
        return found

    def test_the_parts_sum_to_the_whole_and_the_methods_are_those_of_the_status(self) -> None:
        found = self.desk()
        shown = value_at_risk(tail_inputs(found.state, found.account), START)
        book = book_of(found.state, found.account)
        assert book is not None
        assert shown.methods == every_method(book)
        assert len(shown.methods) == 5
        historical = shown.methods[0]
        assert historical.value_at_risk > 0
        parts = shown.contributions
        assert [each.symbol for each in parts] == ["FUT", "STOCK"]
        assert sum(each.component_value_at_risk for each in parts) == pytest.approx(historical.value_at_risk, abs=1e-9)
        assert sum(each.component_expected_shortfall for each in parts) == pytest.approx(
            historical.expected_shortfall, abs=1e-9
        )
        for each in parts:
            product = float(each.exposure) * each.marginal_value_at_risk / book.equity
            assert each.component_value_at_risk == pytest.approx(product, abs=1e-9)
        assert [each.exposure for each in parts] == [-200_000, 40_000]
        assert (shown.unmeasured, shown.note, shown.scenarios) == (["COIN"], None, "drawn")

    def test_where_nothing_is_measured_it_says_why(self) -> None:
        def note(found: Desk) -> str:
            shown = value_at_risk(tail_inputs(found.state, found.account), START)
            assert shown.methods == shown.contributions == []
            return shown.note or ""

        bare = Desk(wide())
        assert note(bare) == "no scenarios were set"
        bare.send(SetScenarios(scenarios(FUT=0.02), "ada"))
        assert note(bare) == "the account holds no position"
        bare.trade("BUY", 10, 100)
        assert note(bare) == "no position has returns in the scenarios"
        few = Desk(wide(var_confidence=0.999, **UNBOUND))
        few.send(SetScenarios(scenarios(STOCK=0.02), "ada"))
        few.trade("BUY", 10, 100)
        assert note(few) == "200 scenarios are too few for the confidence of the account's limits"
        ruined = Desk(wide(**UNBOUND))
        ruined.send(SetScenarios(scenarios(STOCK=0.02), "ada"))
        ruined.trade("BUY", 2_000, 100)
        ruined.mark(STOCK=40)
        assert note(ruined) == "the account's equity is not above 0"
