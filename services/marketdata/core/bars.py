"""Judge bars."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from services.marketdata.core.finding import Bands, critical, ratio, warning
from shared.schemas.marketdata import INTERVAL_LENGTH, Bar, QualityIssue

_JUMP = Bands(warning=0.10, critical=0.50)
_AHEAD_SECONDS = Bands(warning=1.0, critical=5.0)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Earlier:
    """What is known of the bar before."""

    ts: datetime
    close: Decimal
    volume: Decimal


@dataclass(frozen=True, slots=True)
class BarContext:
    """A bar and what it is judged against; `now` is None where it is not live."""

    bar: Bar
    earlier: Earlier | None
    now: datetime | None


def bar_end(bar: Bar) -> datetime | None:
    """Return when a bar is known; None where that is after the end of time, the year 9999."""
    try:
        return bar.ts + INTERVAL_LENGTH[bar.interval]
    except OverflowError:
        return None


def judge_bar(bar: Bar, earlier: Earlier | None, now: datetime | None) -> list[QualityIssue]:
    """Return what is wrong with a bar; it never fails, whatever the bar says."""
    context = BarContext(bar, earlier, now)
    return [issue for check in CHECKS if (issue := check(context)) is not None]


def _price_not_positive(context: BarContext) -> QualityIssue | None:
    bar = context.bar
    lowest = min(bar.open, bar.high, bar.low, bar.close)
    if lowest > 0:
        return None
    return critical("price_not_positive", "a price is zero or negative", float(lowest), 0.0)


def _ohlc_bounds(context: BarContext) -> QualityIssue | None:
    bar = context.bar
    if bar.low <= min(bar.open, bar.close) and bar.high >= max(bar.open, bar.close):
        return None
    return critical("ohlc_bounds", "open and close are not within low and high")


def _price_jump(context: BarContext) -> QualityIssue | None:
    earlier = context.earlier
    if earlier is None or earlier.close <= 0:
        return None
    move = ratio(abs(float(context.bar.close) - float(earlier.close)), float(earlier.close))
    return _JUMP.issue("price_jump", move, "the close is far from the close before")


def _volume_vanished(context: BarContext) -> QualityIssue | None:
    bar, earlier = context.bar, context.earlier
    # An index has no volume at all, and that is no fault of any of its bars.
    if bar.volume > 0 or bar.open == bar.close or earlier is None or earlier.volume == 0:
        return None
    return warning("volume_vanished", "the price moved and nothing was traded")


def _unaligned(context: BarContext) -> QualityIssue | None:
    length = INTERVAL_LENGTH[context.bar.interval]
    # A day starts at the exchange's midnight, which is nobody's multiple in UTC.
    if length.days or not (context.bar.ts - _EPOCH) % length:
        return None
    return warning("unaligned", "the bar does not start at a whole interval")


def _future_timestamp(context: BarContext) -> QualityIssue | None:
    end = bar_end(context.bar)
    if end is None:
        return critical("future_timestamp", "the bar ends after the end of time")
    if context.now is None:
        return None
    ahead = (end - context.now).total_seconds()
    return _AHEAD_SECONDS.issue("future_timestamp", ahead, "the bar ends in the future")


CHECKS: tuple[Callable[[BarContext], QualityIssue | None], ...] = (
    _price_not_positive,
    _ohlc_bounds,
    _price_jump,
    _volume_vanished,
    _unaligned,
    _future_timestamp,
)
