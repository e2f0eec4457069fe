"""Judge bars: those of one symbol and interval at a time, oldest first, after the usable ones before them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np

from services.marketdata.core.finding import critical
from services.marketdata.core.flags import Flags, Floats, Longs, Mask
from services.marketdata.core.outliers import Beside, floors_of, judged_places, level_distances, steps_of, usual
from services.marketdata.core.thresholds import DEFAULTS, Thresholds
from shared.schemas.marketdata import INTERVAL_LENGTH, Interval

_MICROSECOND = timedelta(microseconds=1)
# The last moment of the year 9999, as microseconds since 1970.
END_OF_TIME = 253_402_300_799_999_999
_NONE: Floats = np.empty(0)
# How often a bar goes without trades is told from so many before, and this seldom it is no chance any more.
_USUAL_OVER, _BY_CHANCE = 100, 1e-4


@dataclass(frozen=True, slots=True)
class BarsBefore:
    """What is known of usable bars before: closes, volumes, and high less low, oldest first; when the last began."""

    closes: Floats = field(default_factory=lambda: _NONE)
    volumes: Floats = field(default_factory=lambda: _NONE)
    ranges: Floats = field(default_factory=lambda: _NONE)
    last: int | None = None


@dataclass(frozen=True, slots=True)
class BarSeries:
    """Bars of one symbol and interval; times are microseconds since 1970, `amount` is NaN where none was sent.

    `now` is None where the bars are not live. `in_session` says of each whether its market was open, `after_break`
    whether it was closed until then; `price_limit` is the greatest move of a day as a fraction of the prior close,
    None without one.
    """

    interval: Interval
    ts: Longs
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    amount: Floats
    before: BarsBefore
    now: int | None = None
    in_session: Mask | None = None
    after_break: Mask | None = None
    price_limit: float | None = None
    thresholds: Thresholds = DEFAULTS

    @property
    def length(self) -> int:
        """Return the length of a bar in microseconds."""
        return INTERVAL_LENGTH[self.interval] // _MICROSECOND


def judge_bars(series: BarSeries) -> Flags:
    """Return what is wrong with each bar; it never fails, whatever the bars say."""
    flags = Flags(len(series.ts))
    for check in CHECKS:
        check(series, flags)
    return flags


def _price_not_positive(series: BarSeries, flags: Flags) -> None:
    lowest = np.minimum.reduce([series.open, series.high, series.low, series.close])
    flags.count(series.thresholds, "price_not_positive", lowest <= 0, "a price is zero or negative")


def _ohlc_bounds(series: BarSeries, flags: Flags) -> None:
    broken = (series.low > np.minimum(series.open, series.close)) | (
        series.high < np.maximum(series.open, series.close)
    )
    flags.count(series.thresholds, "ohlc_bounds", broken, "open and close are not within low and high")


def _amount_volume(series: BarSeries, flags: Flags) -> None:
    """The average price paid lies within low and high; the amount may be rounded to its last digit."""
    rows = np.flatnonzero(~np.isnan(series.amount) & (series.volume > 0) & (series.low > 0) & (series.amount > 0))
    average = series.amount[rows] / series.volume[rows]
    low, high = series.low[rows], series.high[rows]
    beyond = np.maximum((low - average) / low, (average - high) / np.maximum(high, low))
    message = "the amount over the volume is not within low and high"
    flags.measure(series.thresholds, "amount_volume", beyond, message, rows)


def _price_outlier(series: BarSeries, flags: Flags) -> None:
    """A close is held against those before it, open, high and low against the two closes they lie between.

    Where the price was when the bar began and where it ended is known twice, so that neither a gap nor a move makes a
    wick. An open as far out as the high or the low is what is wrong with it.
    """
    bands = series.thresholds["price_outlier"]
    least = min((band for band in (bands.warning, bands.critical) if band is not None), default=None)
    if least is None:
        return
    known = len(series.before.closes)
    closes = np.concatenate([series.before.closes, series.close])
    prior = np.concatenate([closes[:1], closes[:-1]])[known:]
    most, fewest = np.maximum(prior, series.close), np.minimum(prior, series.close)
    above, below = series.high - most, fewest - series.low
    wicks = np.concatenate([np.zeros(known), np.maximum(above, below)])
    floors = floors_of(closes, series.after_break)
    places = judged_places(np.maximum(steps_of(closes), wicks), floors, known, least)
    if not len(places):
        return
    beside = Beside(
        np.concatenate([np.ones(known), _elapsed(series)]),
        np.concatenate([series.before.ranges, series.high - series.low]),
        np.concatenate([series.before.volumes, series.volume]),
    )
    medians, scales = usual(closes, places, floors, beside)
    of_close, of_wick = level_distances(closes, places, medians) / scales, wicks[places] / scales
    rows = places - known
    opened = np.maximum(series.open - most, fewest - series.open)[rows] >= wicks[places]
    extreme = np.where(opened, "open", np.where(above[rows] >= below[rows], "high", "low"))
    names = np.where(of_close >= of_wick, "close", extreme)
    scores = np.maximum(of_close, of_wick)
    for name in ("open", "high", "low", "close"):
        chosen = names == name
        message = f"the {name} is far from the closes before it"
        flags.measure(
            series.thresholds, "price_outlier", scores[chosen], message, rows[chosen], details={"field": name}
        )


def _elapsed(series: BarSeries) -> Floats:
    """Return after how many bars' time of no trade each bar came, one where nothing came before."""
    first = series.ts[:1] - series.length if series.before.last is None else np.array([series.before.last])
    steps = np.maximum(np.diff(np.concatenate([first, series.ts])) / series.length, 1.0)
    runs = _untraded_runs(np.concatenate([series.before.volumes, series.volume]) > 0)
    elapsed: Floats = steps + np.concatenate([np.zeros(1), runs])[len(series.before.volumes) : -1]
    return elapsed


def _untraded_runs(traded: Mask) -> Longs:
    """Return of each bar how many have gone without trades up to it; of an index, which has none, no bar has."""
    numbers = np.arange(len(traded))
    last = np.maximum.accumulate(np.where(traded, numbers, -1))
    return np.where(last >= 0, numbers - last, 0)


def _price_limit(series: BarSeries, flags: Flags) -> None:
    if series.price_limit is None or series.interval != "1d":
        return
    earlier = np.concatenate([series.before.closes[-1:], series.close])
    prior = earlier[:-1] if len(series.before.closes) else np.concatenate([[np.nan], earlier[:-1]])
    with np.errstate(divide="ignore", invalid="ignore"):
        used = np.abs(series.close / prior - 1) / series.price_limit
    # A limit is rounded to a tick; what is within one of it is at the limit.
    rows = np.flatnonzero(np.isfinite(used))
    message = "the close is beyond the day's price limit"
    flags.measure(series.thresholds, "price_limit", used[rows] - 0.05, message, rows)


def _volume_zero(series: BarSeries, flags: Flags) -> None:
    """An index has no volume at all, and that is no fault of any of its bars.

    Nor is a run that one of such a length comes of by chance, as often as the bars before it went without trades.
    """
    traded = np.concatenate([series.before.volumes, series.volume]) > 0
    if not traded.any():
        return
    known = len(series.before.volumes)
    runs = _untraded_runs(traded)
    without = np.concatenate([[0], np.cumsum(~traded)])
    end = np.arange(len(traded)) - runs
    start = np.maximum(end - _USUAL_OVER, 0)
    usual = (without[end] - without[start]) / np.maximum(end - start, 1)
    unusual = np.where(usual**runs <= _BY_CHANCE, runs, 0)[known:].astype(float)
    if series.in_session is not None:
        unusual = np.where(series.in_session, unusual, 0.0)
    flags.measure(series.thresholds, "volume_zero", unusual, "bars in a row without volume")


def _bar_unaligned(series: BarSeries, flags: Flags) -> None:
    # A day starts at the exchange's midnight, which is nobody's multiple in UTC; some hours start with the session.
    length = min(series.length, INTERVAL_LENGTH["15m"] // _MICROSECOND)
    flags.count(
        series.thresholds, "bar_unaligned", series.ts % length != 0, "the bar does not start at a whole interval"
    )


def _future_timestamp(series: BarSeries, flags: Flags) -> None:
    for place in np.flatnonzero(series.ts > END_OF_TIME - series.length):
        flags.add(int(place), critical("future_timestamp", "the bar ends after the end of time"))
    if series.now is None:
        return
    rows = np.flatnonzero(series.ts <= END_OF_TIME - series.length)
    ahead = (series.ts[rows] + series.length - series.now) / 1e6
    flags.measure(series.thresholds, "future_timestamp", ahead, "the bar ends in the future", rows)


def _outside_session(series: BarSeries, flags: Flags) -> None:
    if series.in_session is None:
        return
    flags.count(series.thresholds, "outside_session", ~series.in_session, "the market was closed")


CHECKS: tuple[Callable[[BarSeries, Flags], None], ...] = (
    _price_not_positive,
    _ohlc_bounds,
    _amount_volume,
    _price_outlier,
    _price_limit,
    _volume_zero,
    _bar_unaligned,
    _future_timestamp,
    _outside_session,
)
