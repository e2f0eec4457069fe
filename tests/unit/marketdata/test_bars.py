from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.marketdata.core.bars import END_OF_TIME, BarsBefore, BarSeries, judge_bars
from services.marketdata.core.calendars import to_micros
from services.marketdata.core.outliers import outlier_scores
from services.marketdata.core.thresholds import Bands, Thresholds
from shared.schemas.base import Severity

pytestmark = pytest.mark.unit
NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
MINUTE = 60_000_000
PRICES = ("open", "high", "low", "close")


def series(count: int = 1, before: BarsBefore | None = None, **changes: Any) -> BarSeries:
    last = to_micros(NOW) - MINUTE
    values: dict[str, Any] = {
        "interval": "1m",
        "ts": last - MINUTE * np.arange(count)[::-1],
        **{name: np.full(count, value) for name, value in (("open", 10.0), ("high", 12.0), ("low", 9.0))},
        "close": np.full(count, 11.0),
        "volume": np.full(count, 5.0),
        "amount": np.full(count, np.nan),
        "now": to_micros(NOW),
        "before": before or BarsBefore(),
    }
    arrays = {
        name: np.array(value, np.float64) if isinstance(value, list) else value for name, value in changes.items()
    }
    return BarSeries(**{**values, **arrays})


def known_before(
    closes: np.ndarray, volumes: np.ndarray | None = None, last: int | None = None, reach: float = 3.0
) -> BarsBefore:
    return BarsBefore(closes, np.ones(len(closes)) if volumes is None else volumes, np.full(len(closes), reach), last)


def found(judged: BarSeries) -> list[dict[str, str]]:
    flags = judge_bars(judged)
    assert [flags.severity(n) is not Severity.OK for n in range(len(judged.ts))] == [
        n in flags.issues for n in range(len(judged.ts))
    ]
    return [{i.code: i.severity.value for i in flags.issues.get(n, [])} for n in range(len(judged.ts))]


def test_sound_bars_have_no_findings() -> None:
    assert found(series(3)) == [{}, {}, {}]


@pytest.mark.parametrize("change", [{"high": [10.99]}, {"low": [10.01]}, {"close": [12.01]}, {"open": [8.99]}])
def test_open_and_close_must_lie_within_low_and_high(change: dict[str, list[float]]) -> None:
    assert found(series(**change)) == [{"ohlc_bounds": "critical"}]


def test_open_and_close_may_be_the_extremes() -> None:
    assert found(series(open=[9.0], close=[12.0])) == [{}]


@pytest.mark.parametrize("price", [0.0, -1.0])
def test_prices_are_positive(price: float) -> None:
    assert found(series(2, low=[9.0, price])) == [{}, {"price_not_positive": "critical"}]


@pytest.mark.parametrize(
    ("amount", "severity"),
    [
        (45.0, None),
        (60.0, None),
        (44.98, None),
        (44.9, "warning"),
        (60.1, "warning"),
        (42.7, "critical"),
        (100.0, "critical"),
    ],
)
def test_the_average_price_paid_lies_within_low_and_high(amount: float, severity: str | None) -> None:
    assert found(series(amount=[amount]))[0].get("amount_volume") == severity


def test_no_amount_or_no_volume_says_nothing_of_the_price_paid() -> None:
    assert found(series(amount=[0.0])) == found(series(volume=[0.0], amount=[7.0])) == [{}]


class TestOutliers:
    walk = 100 + np.cumsum(np.random.default_rng(3).normal(0, 0.05, 400))

    def judged(self, closes: np.ndarray, known: int = 50) -> list[str | None]:
        before = known_before(closes[:known], reach=0.0)
        rest = closes[known:]
        bars = series(len(rest), before, **dict.fromkeys(PRICES, rest))
        return [one.get("price_outlier") for one in found(bars)]

    def test_a_walk_has_none(self) -> None:
        assert set(self.judged(self.walk)) == {None}

    @pytest.mark.parametrize("factor", [1.1, 0.9])
    def test_a_spike_is_one_and_what_follows_is_not(self, factor: float) -> None:
        closes = self.walk.copy()
        closes[200] *= factor
        judged = self.judged(closes)
        assert judged[150] == "critical"
        assert judged.count(None) == len(judged) - 1

    def test_a_new_level_is_confirmed_by_its_second_value(self) -> None:
        closes = self.walk.copy()
        closes[200:] *= 1.1
        judged = self.judged(closes)
        assert judged[150] == "critical"
        assert judged.count(None) == len(judged) - 1

    def test_one_tick_of_a_price_that_stands_still_is_none(self) -> None:
        closes = np.full(100, 0.05)
        closes[[20, 60, 80]] = 0.06
        assert set(self.judged(closes)) == {None}

    def test_a_price_that_stands_still_and_moves_by_little(self) -> None:
        closes = np.full(100, 100.0)
        closes[70] = 100.2
        assert set(self.judged(closes)) == {None}
        closes[70] = 103.0
        assert self.judged(closes)[20] == "critical"

    def test_a_coarse_step_of_a_price_that_stood_still_is_none(self) -> None:
        closes = np.full(100, 7.35)
        closes[70:] = 7.40
        assert set(self.judged(closes)) == {None}
        closes[70:] = 7.60
        assert self.judged(closes)[20] == "critical"

    @pytest.mark.parametrize(
        ("gap", "at_once", "after_break"),
        [
            (1.04, "critical", None),
            (0.96, "critical", None),
            (1.08, "critical", "warning"),
            (0.5, "critical", "critical"),
        ],
    )
    def test_a_session_may_open_elsewhere(self, gap: float, at_once: str, after_break: str | None) -> None:
        closes = self.walk.copy()
        closes[200:] *= gap
        assert self.judged(closes)[150] == at_once
        rest = closes[50:]
        opened = np.arange(len(rest)) == 150
        bars = series(
            len(rest), known_before(closes[:50], reach=0.0), **dict.fromkeys(PRICES, rest), after_break=opened
        )
        assert [one.get("price_outlier") for one in found(bars)] == [*[None] * 150, after_break, *[None] * 199]

    def test_a_spike_at_the_opening_is_one_still(self) -> None:
        closes = np.full(60, 100.0)
        closes[-1] = 1_000.0
        bars = series(
            before=known_before(closes[:59], reach=0.0),
            **dict.fromkeys(PRICES, closes[59:]),
            volume=[1.0],
            after_break=np.array([True]),
        )
        (issue,) = judge_bars(bars).issues[0]
        assert (issue.code, issue.value) == ("price_outlier", pytest.approx(900.0))

    def test_few_values_say_nothing(self) -> None:
        assert set(self.judged(np.array([1.0, 1, 1, 1, 1, 9, 1, 1]), known=0)) == {None}

    @given(st.lists(st.floats(-1e17, 1e17), min_size=1, max_size=120), st.integers(0, 60))
    def test_scores_are_those_of_looking_at_each_value_by_itself(self, values: list[float], known: int) -> None:
        known = min(known, len(values) - 1)
        places, scores = outlier_scores(np.array(values), known, 3.0)
        assert np.all(np.isfinite(scores))
        by_place = dict(zip(places.tolist(), scores.tolist(), strict=True))
        # Cutting what is known differently changes nothing.
        for cut in (known, max(0, known - 1)):
            again, other = outlier_scores(np.array(values), cut, 3.0)
            moved = {place + cut - known: score for place, score in zip(again.tolist(), other.tolist(), strict=True)}
            assert {p: s for p, s in moved.items() if p >= 0} == by_place


class TestVolume:
    def test_bars_in_a_row_without_volume(self) -> None:
        judged = found(series(13, volume=[5.0, *[0.0] * 11, 1.0]))
        assert [one.get("volume_zero") for one in judged] == [None] * 3 + ["warning"] * 7 + ["critical"] * 2 + [None]

    def test_a_share_that_trades_seldom_has_longer_runs(self) -> None:
        # A bar in three without trades: seven in a row come of that once in two thousand times, nine in 20,000.
        volumes = np.where(np.arange(99) % 3 == 0, 0.0, 5.0)
        judged = found(series(12, volume=[*[0.0] * 11, 1.0], before=known_before(np.full(99, 11.0), volumes)))
        assert [one.get("volume_zero") for one in judged] == [None] * 8 + ["warning", "critical", "critical", None]
        # Beside one that trades in every bar.
        judged = found(series(3, volume=[0.0] * 3, before=known_before(np.full(99, 11.0))))
        assert [one.get("volume_zero") for one in judged] == [None, None, "warning"]

    def test_those_before_the_batch_count(self) -> None:
        before = known_before(np.full(4, 11.0), np.array([3.0, 0.0, 0.0, 0.0]))
        assert found(series(volume=[0.0], before=before)) == [{"volume_zero": "warning"}]

    def test_an_index_has_none_and_that_is_no_fault(self) -> None:
        before = known_before(np.full(30, 11.0), np.zeros(30))
        assert found(series(20, volume=[0.0] * 20, before=before)) == [{}] * 20

    def test_a_closed_market_has_none(self) -> None:
        judged = found(series(6, volume=[5.0, *[0.0] * 5], in_session=np.array([True] * 2 + [False] * 4)))
        assert all("volume_zero" not in one for one in judged)
        assert [("outside_session" in one) for one in judged] == [False, False, True, True, True, True]


def test_a_start_between_two_minutes() -> None:
    moved = np.array([to_micros(NOW) - 90_000_000])
    assert found(series(ts=moved)) == [{"bar_unaligned": "warning"}]


@pytest.mark.parametrize(("interval", "minutes"), [("1d", 330), ("1d", 300), ("1h", 45), ("1h", 30), ("15m", 15)])
def test_days_and_hours_start_where_a_market_has_them(interval: str, minutes: int) -> None:
    midnight = to_micros(NOW - timedelta(days=3, hours=10))
    assert found(series(interval=interval, ts=np.array([midnight - minutes * MINUTE]))) == [{}]


@pytest.mark.parametrize(
    ("seconds", "severity"), [(0, None), (0.9, None), (1, "warning"), (4.9, "warning"), (5, "critical")]
)
def test_an_end_in_the_future(seconds: float, severity: str | None) -> None:
    judged = series(now=to_micros(NOW - timedelta(seconds=seconds)))
    assert found(judged)[0].get("future_timestamp") == severity


def test_a_replayed_bar_has_no_future() -> None:
    assert found(series(now=None, ts=np.array([to_micros(NOW + timedelta(days=9))]))) == [{}]


def test_a_bar_that_ends_after_the_end_of_time() -> None:
    assert found(series(now=None, ts=np.array([END_OF_TIME // MINUTE * MINUTE]))) == [{"future_timestamp": "critical"}]


@pytest.mark.parametrize(("close", "severity"), [(12.1, None), (12.0, None), (12.3, "critical"), (9.6, "critical")])
def test_a_day_beyond_the_price_limit(close: float, severity: str | None) -> None:
    before = known_before(np.array([11.0]))
    high, low = [max(close, 12.0)], [min(close, 9.0)]
    judged = series(interval="1d", before=before, price_limit=0.1, close=[close], high=high, low=low, now=None)
    assert found(judged)[0].get("price_limit") == severity


def test_thresholds_can_be_set() -> None:
    never = Thresholds({"ohlc_bounds": Bands(None, None), "volume_zero": Bands(1, None)})
    judged = series(2, volume=[1.0, 0.0], high=[10.0, 12.0], thresholds=never)
    assert found(judged) == [{}, {"volume_zero": "warning"}]


# What a decimal of ten places becomes.
amounts = st.integers(-(10**27), 10**27).map(lambda units: units / 1e10)
positive = amounts.map(abs)


@given(
    st.lists(st.tuples(amounts, amounts, amounts, amounts, positive, positive), min_size=1, max_size=30),
    st.lists(amounts, max_size=60),
    st.sampled_from(["1m", "5m", "15m", "1h", "1d"]),
    st.none() | st.just(0.1),
    st.none() | st.integers(-(10**17), to_micros(NOW) - 60 * MINUTE),
)
def test_no_bars_make_the_judge_fail(
    rows: list[tuple[float, ...]], known: list[float], interval: Any, limit: float | None, ago: int | None
) -> None:
    columns = dict(zip((*PRICES, "volume", "amount"), np.array(rows).T, strict=True))
    before = known_before(np.array(known), np.abs(np.array(known)), ago)
    judged = series(len(rows), before, interval=interval, price_limit=limit, **columns)
    assert len(found(judged)) == len(rows)
