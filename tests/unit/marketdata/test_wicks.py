"""Outliers among open, high and low, and what a bar's volume and the time before it say of its prices."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from services.marketdata.core.bars import BarsBefore, BarSeries, judge_bars
from services.marketdata.core.thresholds import Bands, Thresholds

pytestmark = pytest.mark.unit
MINUTE = 60_000_000
COUNT = 300
PLACE = 200


def walk(count: int = COUNT, seed: int = 7) -> BarSeries:
    """Minutes that move by four hundredths of a per cent and reach half of that beyond open and close."""
    draw = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(draw.normal(0, 0.0004, count)))
    opened = np.concatenate([close[:1], close[:-1]])
    wicks = np.abs(draw.normal(0, 0.0002, (2, count))) * close
    return BarSeries(
        interval="1m",
        ts=np.arange(1, count + 1) * MINUTE,
        open=opened,
        high=np.maximum(opened, close) + wicks[0],
        low=np.minimum(opened, close) - wicks[1],
        close=close,
        volume=np.full(count, 10.0),
        amount=np.full(count, np.nan),
        before=BarsBefore(),
    )


def stretched(bars: BarSeries, place: int = PLACE, **prices: float) -> BarSeries:
    """Give a bar these prices, and let its high and low hold them."""
    for name, price in prices.items():
        getattr(bars, name)[place] = price
    bars.high[place] = max(bars.high[place], *prices.values())
    bars.low[place] = min(bars.low[place], *prices.values())
    return bars


def part(bars: BarSeries, start: int, end: int, known: int | None = None) -> BarSeries:
    """Return some of the bars, and as known before them what the database has of them."""
    first = max(0, start - 50) if known is None else start - known
    before = BarsBefore(
        bars.close[first:start],
        bars.volume[first:start],
        (bars.high - bars.low)[first:start],
        int(bars.ts[start - 1]) if start > first else None,
    )
    names = ("ts", "open", "high", "low", "close", "volume", "amount")
    return replace(bars, **{name: getattr(bars, name)[start:end] for name in names}, before=before)


def told(bars: BarSeries) -> dict[int, tuple[str, str]]:
    """Return the severity and the field of each outlier, by its place."""
    return {
        place: (issue.severity.value, issue.details["field"])
        for place, issues in judge_bars(bars).issues.items()
        for issue in issues
        if issue.code == "price_outlier"
    }


def test_sound_bars_have_none() -> None:
    assert told(walk()) == {}


@pytest.mark.parametrize(
    ("field", "price"), [("high", 1_000_000.0), ("high", 110.0), ("low", 0.01), ("low", 90.0), ("open", 110.0)]
)
def test_one_bad_price_is_found_and_named_and_what_follows_is_sound(field: str, price: float) -> None:
    assert told(stretched(walk(), **{field: price})) == {PLACE: ("critical", field)}


def test_an_open_below_all_is_named_though_the_low_is_as_far() -> None:
    assert told(stretched(walk(), open=80.0)) == {PLACE: ("critical", "open")}


def test_the_worst_field_is_named_once() -> None:
    assert told(stretched(walk(), low=95.0, high=1_000.0)) == {PLACE: ("critical", "high")}
    assert told(stretched(walk(), close=1_000.0)) == {PLACE: ("critical", "close")}


def test_a_wick_of_a_warning() -> None:
    bars = walk()
    spread = np.median(np.abs(bars.close[150:200] - np.median(bars.close[150:200]))) * 1.4826
    assert told(stretched(bars, high=max(bars.close[199:201]) + 7 * max(spread, 0.05))) == {PLACE: ("warning", "high")}


def test_bands_of_a_symbol_are_those_of_wicks_too() -> None:
    bars = stretched(walk(), high=110.0)
    assert told(replace(bars, thresholds=Thresholds({"price_outlier": Bands(None, None)}))) == {}
    assert told(replace(bars, thresholds=Thresholds({"price_outlier": Bands(1_000, None)}))) == {}
    assert told(replace(bars, thresholds=Thresholds({"price_outlier": Bands(20, None)}))) == {
        PLACE: ("warning", "high")
    }


def test_a_bar_that_goes_far_and_stays_has_no_wick() -> None:
    bars = walk()
    for prices in (bars.open, bars.high, bars.low, bars.close):
        prices[PLACE + 1 :] *= 1.05
    stretched(bars, close=float(bars.open[PLACE + 1]))
    assert told(bars) == {PLACE: ("critical", "close")}


def test_wicks_of_the_usual_length_are_none() -> None:
    """A price that closes where it was, in a book with little in it."""
    bars = walk()
    bars.close[:] = bars.open[:] = 100.0
    bars.high[:], bars.low[:] = 101.0, 99.0
    assert told(bars) == {}
    assert told(stretched(bars, high=110.0)) == {}
    assert told(stretched(bars, high=130.0)) == {PLACE: ("critical", "high")}


def test_bad_wicks_hide_no_others() -> None:
    bars = walk()
    bad = np.arange(60, COUNT, 3)
    bars.high[bad] = 1_000_000.0
    assert told(bars) == dict.fromkeys(bad.tolist(), ("critical", "high"))


@pytest.mark.parametrize("size", [1, 7, 60])
def test_bars_one_by_one_are_judged_as_all_at_once(size: int) -> None:
    bars = stretched(stretched(stretched(walk(), high=120.0), 120, close=90.0), 250, open=105.0)
    bars.volume[[100, 101, 250]] = 0.0
    expected = {place: verdict for place, verdict in told(bars).items() if place >= 50}
    assert set(expected) == {120, 200, 250}
    found = {}
    for start in range(50, COUNT, size):
        found |= {start + place: one for place, one in told(part(bars, start, min(start + size, COUNT))).items()}
    assert found == expected


def test_few_values_say_nothing_of_wicks() -> None:
    assert told(part(stretched(walk(), 5, high=1_000_000.0), 0, 8)) == {}


class TestMuchTraded:
    def judged(self, times: float, **factors: float) -> dict[int, tuple[str, str]]:
        bars = walk()
        stretched(bars, **{field: bars.close[PLACE - 1] * by for field, by in factors.items()})
        bars.volume[PLACE] *= times
        return told(bars)

    @pytest.mark.parametrize("field", ["low", "close"])
    def test_what_the_market_did_and_much_was_traded_in_is_none(self, field: str) -> None:
        found = {PLACE: ("critical", field)}
        assert [self.judged(times, **{field: 0.98}) for times in (1, 3, 100)] == [found, found, {}]

    @pytest.mark.parametrize("field", ["open", "high", "close"])
    def test_a_volume_that_is_wrong_too_hides_no_bad_price(self, field: str) -> None:
        assert self.judged(1e12, **{field: 10_000.0}) == {PLACE: ("critical", field)}

    def test_of_an_index_nothing_is_known_of_it(self) -> None:
        bars = stretched(walk(), high=110.0)
        bars.volume[:] = 0.0
        assert told(bars) == {PLACE: ("critical", "high")}

    def test_nor_of_the_first_trade_there_is(self) -> None:
        bars = stretched(walk(), high=110.0)
        bars.volume[:] = 0.0
        bars.volume[PLACE] = 5.0
        assert told(bars) == {PLACE: ("critical", "high")}


class TestNotSeen:
    """The first bar after a time in which nobody saw the price."""

    def after(self, minutes: int, by: float) -> dict[int, tuple[str, str]]:
        bars = walk(60)
        for prices in (bars.open, bars.high, bars.low, bars.close):
            prices[55:] *= by
        bars.ts[55:] += minutes * MINUTE
        return told(bars)

    def test_the_longer_the_farther_it_may_be(self) -> None:
        assert self.after(0, 1.03) == {55: ("critical", "close")}
        assert self.after(5, 1.03) == {55: ("critical", "close")}
        assert self.after(1_440, 1.03) == {}
        assert self.after(1_440, 1.5) == {55: ("critical", "close")}

    def test_of_bars_before_the_batch_the_last_one_counts(self) -> None:
        bars = walk(60)
        late = part(bars, 55, 60)
        for prices in (late.open, late.high, late.low, late.close):
            prices *= 1.03
        assert told(late) == {0: ("critical", "close")}
        assert told(replace(late, before=replace(late.before, last=int(late.ts[0]) - 1_440 * MINUTE))) == {}

    def test_bars_without_a_trade_are_time_not_seen(self) -> None:
        bars = walk()
        halt = slice(160, PLACE)
        for prices in (bars.open, bars.high, bars.low, bars.close):
            prices[halt] = bars.close[159]
            prices[PLACE:] *= bars.close[159] / bars.close[PLACE] * 1.01
        assert told(bars) == {PLACE: ("critical", "close")}
        bars.volume[halt] = 0.0
        assert told(bars) == {}
        # And where they came before.
        assert told(part(bars, PLACE, COUNT)) == {}


def test_of_many_bars_each_is_held_against_those_before_it() -> None:
    """More than are looked at together."""
    bars = walk(9_000)
    wide = np.arange(60, 9_000)
    bars.high[wide] *= 1 + 0.004 * (wide % 7 == 0)
    bad = [70, 4_200, 8_990]
    bars.high[bad] = 1_000.0
    found = told(bars)
    assert set(bad) <= set(found)
    for start in (4_000, 8_900):
        again = {start + place: one for place, one in told(part(bars, start, start + 100)).items()}
        assert again == {place: one for place, one in found.items() if start <= place < start + 100}


def test_nothing_known_and_nothing_sent() -> None:
    empty: Any = part(walk(), 0, 0)
    assert judge_bars(empty).issues == {}
