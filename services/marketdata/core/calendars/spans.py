"""The trading intervals of some years as arrays, from which every question is answered by a binary search."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo

import numpy as np
import numpy.typing as npt

from services.marketdata.core.calendars.hours import MINUTES_OF_DAY, Hours
from services.marketdata.core.calendars.schedule import Schedule
from services.marketdata.core.calendars.sessions import MICROS_OF_SECOND, Micros, to_micros

# Outside of these years no market has a session: a wrong time stamp then costs nothing, the year 9999 among them.
FIRST_YEAR = 1900
LAST_YEAR = 2100

NO_BAR = np.iinfo(np.int64).min

_MINUTE = 60 * MICROS_OF_SECOND
_DAY = MINUTES_OF_DAY * _MINUTE
_MEAN_YEAR = 31_556_952 * MICROS_OF_SECOND
_WEEK = 7
# A session opens up to a day before its date, a zone is up to 14 hours off, and years are not all as long as the mean.
_YEAR_MARGIN = 5 * _DAY


@dataclass(frozen=True, slots=True)
class Spans:
    """Intervals in order and apart, and the dates they belong to.

    `opens` and `closes` are moments; `owners` gives each interval's place in the arrays of dates: `ordinals` are
    proleptic days as of `date.toordinal`, `midnights` and `next_midnights` where the local date begins and ends.
    `before` is how long the market was open before each interval since the first, in microseconds.
    """

    opens: Micros
    closes: Micros
    owners: npt.NDArray[np.intp]
    ordinals: npt.NDArray[np.int64]
    midnights: Micros
    next_midnights: Micros
    before: Micros

    def latest(self, moments: Micros) -> npt.NDArray[np.intp]:
        """Return the place of the last interval that opened at or before each moment, -1 where there is none."""
        return np.searchsorted(self.opens, moments, side="right") - 1

    def is_open(self, moments: Micros) -> npt.NDArray[np.bool_]:
        """Say of each moment whether it lies in an interval."""
        if not self.opens.size:
            return np.zeros(moments.shape, dtype=np.bool_)
        at = self.latest(moments)
        return (at >= 0) & (moments < self.closes[at])

    def bar_starts(self, moments: Micros, step: int | None) -> Micros:
        """Return the start of the bar that each moment lies in, a `step` long or else a day; NO_BAR where closed."""
        if not self.opens.size:
            return np.full(moments.shape, NO_BAR, dtype=np.int64)
        at = self.latest(moments)
        opens = self.opens[at]
        starts = self.midnights[self.owners[at]] if step is None else opens + (moments - opens) // step * step
        return np.where((at >= 0) & (moments < self.closes[at]), starts, NO_BAR)

    def open_before(self, moment: int) -> int:
        """Return for how many microseconds the market was open before a moment, since the first interval."""
        at = int(np.searchsorted(self.opens, moment, side="right")) - 1
        if at < 0:
            return 0
        return int(self.before[at] + min(moment, self.closes[at]) - self.opens[at])


def years_of(first: int, last: int) -> tuple[int, int]:
    """Return the first and the last year whose dates can have sessions between two moments in microseconds."""
    low = 1970 + (first - _YEAR_MARGIN) // _MEAN_YEAR
    high = 1970 + (last + _YEAR_MARGIN) // _MEAN_YEAR
    return min(max(low, FIRST_YEAR), LAST_YEAR), max(min(high, LAST_YEAR), FIRST_YEAR)


def spans_of_year(schedule: Schedule, zone: tzinfo, year: int) -> Spans:
    """Return the intervals of the dates of one year."""
    first = date(year, 1, 1).toordinal()
    days = date(year + 1, 1, 1).toordinal() - first
    midnights = _midnights(zone, first, days + 1)
    alike: dict[Hours, list[int]] = {}
    for offset in range(days):
        alike.setdefault(schedule.hours(date.fromordinal(first + offset)), []).append(offset)
    opens = [np.empty(0, dtype=np.int64)]
    closes = [np.empty(0, dtype=np.int64)]
    owners = [np.empty(0, dtype=np.intp)]
    for hours, offsets in alike.items():
        those = np.array(offsets, dtype=np.intp)
        for begin, end in hours:
            opens.append(_moments(zone, first, midnights, those, begin))
            closes.append(_moments(zone, first, midnights, those, end))
            owners.append(those)
    return _ordered(
        np.concatenate(opens),
        np.concatenate(closes),
        np.concatenate(owners),
        np.arange(first, first + days, dtype=np.int64),
        midnights,
    )


def concatenated(years: Sequence[Spans]) -> Spans:
    """Return the intervals of years that follow one another as one."""
    shifts = np.cumsum([0, *(spans.ordinals.size for spans in years)])
    return _ordered(
        np.concatenate([spans.opens for spans in years]),
        np.concatenate([spans.closes for spans in years]),
        np.concatenate([spans.owners + shift for spans, shift in zip(years, shifts, strict=False)]),
        np.concatenate([spans.ordinals for spans in years]),
        np.concatenate([*(spans.midnights for spans in years), years[-1].next_midnights[-1:]]),
    )


def _ordered(
    opens: Micros, closes: Micros, owners: npt.NDArray[np.intp], ordinals: npt.NDArray[np.int64], midnights: Micros
) -> Spans:
    """Return intervals in order, each cut off where the next one opens, and without those the clock jumped over."""
    order = np.argsort(opens, kind="stable")
    opens, closes, owners = opens[order], closes[order], owners[order]
    if opens.size:
        closes[:-1] = np.minimum(closes[:-1], opens[1:])
        real = closes > opens
        opens, closes, owners = opens[real], closes[real], owners[real]
    lengths = closes - opens
    return Spans(opens, closes, owners, ordinals, midnights[:-1], midnights[1:], np.cumsum(lengths) - lengths)


def _midnights(zone: tzinfo, first: int, days: int) -> Micros:
    """Return where so many dates in a row begin: asked of the clock once a week, and daily where a week is not even."""
    midnights = _local(zone, first, 0) + np.arange(days, dtype=np.int64) * _DAY
    for begin in range(0, days, _WEEK):
        end = min(begin + _WEEK, days - 1)
        start = _local(zone, first + begin, 0)
        if _local(zone, first + end, 0) - start == (end - begin) * _DAY:
            midnights[begin : end + 1] = start + np.arange(end + 1 - begin, dtype=np.int64) * _DAY
        else:
            midnights[begin : end + 1] = [_local(zone, first + day, 0) for day in range(begin, end + 1)]
    return midnights


def _moments(zone: tzinfo, first: int, midnights: Micros, offsets: npt.NDArray[np.intp], minutes: int) -> Micros:
    """Return when it is so many minutes past midnight on each of some dates."""
    moments = midnights[offsets] + minutes * _MINUTE
    odd = midnights[offsets + 1] - midnights[offsets] != _DAY
    if not 0 <= minutes <= MINUTES_OF_DAY:
        # The clock may have been set in the night between.
        odd[:] = True
    moments[odd] = [_local(zone, first + offset, minutes) for offset in offsets[odd].tolist()]
    return moments


def _local(zone: tzinfo, ordinal: int, minutes: int) -> int:
    """Return when it is so many minutes past midnight on the clocks of a zone, in microseconds."""
    wall = datetime.fromordinal(ordinal) + timedelta(minutes=minutes)
    return to_micros(wall.replace(tzinfo=zone))
