"""A market's calendar: which sessions it has, when it is open, and which bars there ought to be."""

from collections.abc import Iterable
from datetime import date, datetime, tzinfo
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from services.marketdata.core.calendars.grid import Grid, grid_of, step_of
from services.marketdata.core.calendars.schedule import Override, Schedule, overridden
from services.marketdata.core.calendars.sessions import (
    MICROS_OF_SECOND,
    Gap,
    Micros,
    Session,
    TradingInterval,
    from_micros,
    to_micros,
)
from services.marketdata.core.calendars.spans import (
    FIRST_YEAR,
    LAST_YEAR,
    Spans,
    concatenated,
    spans_of_year,
    years_of,
)
from shared.schemas.marketdata import Interval

# Two years of a market are some 30 kB; all years that have sessions, some 3 MB.
_MOST_SPANS = 8


class Calendar:
    """The sessions of one market, from a schedule in its time zone.

    Every window is half-open; every moment needs a time zone, and one without is a ValueError. What is asked again is
    not worked out again. Outside of the years 1900 to 2100 no market has a session.
    """

    def __init__(self, code: str, zone: tzinfo, schedule: Schedule) -> None:
        self.code = code
        self.timezone = zone
        self.schedule = schedule
        self._year = lru_cache(maxsize=LAST_YEAR - FIRST_YEAR + 1)(self._make_year)
        self._spans = lru_cache(maxsize=_MOST_SPANS)(self._make_spans)

    @property
    def known_from(self) -> date:
        """Return the first date whose hours are as published; before, regular days are taken to hold."""
        return self.schedule.known_from

    @property
    def known_until(self) -> date:
        """Return the last date whose hours are as published; after, regular days are taken to hold."""
        return self.schedule.known_until

    def session(self, day: date) -> Session | None:
        """Return the session of a date, None where the market is closed."""
        found = self.sessions(day, date.fromordinal(day.toordinal() + 1)) if day < date.max else []
        return found[0] if found else None

    def sessions(self, start: date, end: date) -> list[Session]:
        """Return the sessions of the dates in [start, end)."""
        if start >= end or end.year < FIRST_YEAR or start.year > LAST_YEAR:
            return []
        spans = self._spans(max(start.year, FIRST_YEAR), min(end.year, LAST_YEAR))
        return self._sessions(spans, start.toordinal(), end.toordinal())

    def next_session(self, day: date) -> Session | None:
        """Return the first session after a date, None where there is none."""
        for year in range(max(day.year, FIRST_YEAR), LAST_YEAR + 1):
            found = self._sessions(self._year(year), day.toordinal() + 1, date.max.toordinal())
            if found:
                return found[0]
        return None

    def previous_session(self, day: date) -> Session | None:
        """Return the last session before a date, None where there is none."""
        for year in range(min(day.year, LAST_YEAR), FIRST_YEAR - 1, -1):
            found = self._sessions(self._year(year), 0, day.toordinal())
            if found:
                return found[-1]
        return None

    def session_of(self, moment: datetime) -> Session | None:
        """Return the session that has begun at a moment and not ended, breaks included; None outside of one."""
        micros = to_micros(moment)
        spans = self._spans(*years_of(micros, micros))
        at = int(np.searchsorted(spans.opens, micros, side="right")) - 1
        if at < 0:
            return None
        ordinal = int(spans.ordinals[spans.owners[at]])
        session = self._sessions(spans, ordinal, ordinal + 1)[0]
        return session if moment < session.close else None

    def is_open(self, moment: datetime) -> bool:
        """Say whether the market trades at a moment; in a break it does not."""
        return bool(self.open_mask(np.array([to_micros(moment)], dtype=np.int64))[0])

    def open_mask(self, moments: Micros) -> npt.NDArray[np.bool_]:
        """Say of each moment, in any order, whether the market trades at it.

        It is for ticks and for bars shorter than a day: the start of a day's bar lies before the session it tells of,
        and `expected_mask` says whether it belongs to one.
        """
        if not moments.size:
            return np.zeros(moments.shape, dtype=np.bool_)
        return self._spans(*years_of(int(moments.min()), int(moments.max()))).is_open(moments)

    def seconds_open(self, start: datetime, end: datetime) -> float:
        """Return for how many seconds the market was open from `start` to `end`, 0 where `end` is not after `start`."""
        first, last = to_micros(start), to_micros(end)
        if last <= first:
            return 0.0
        spans = self._spans(*years_of(first, last))
        return (spans.open_before(last) - spans.open_before(first)) / MICROS_OF_SECOND

    def expected_bars(self, interval: Interval, start: datetime, end: datetime) -> list[datetime]:
        """Return the starts of the bars there ought to be in [start, end); raises ValueError above ten million."""
        return [from_micros(micros) for micros in self.expected_starts(interval, start, end).tolist()]

    def expected_starts(self, interval: Interval, start: datetime, end: datetime) -> Micros:
        """Return what `expected_bars` does as an array; raises ValueError above ten million."""
        return self._grid(interval, start, end).starts()

    def expected_count(self, interval: Interval, start: datetime, end: datetime) -> int:
        """Return how many bars there ought to be in [start, end), however long it is."""
        return self._grid(interval, start, end).total

    def expected_mask(self, interval: Interval, starts: Micros) -> npt.NDArray[np.bool_]:
        """Say of each moment, in any order, whether a bar ought to start exactly there."""
        if not starts.size:
            return np.zeros(starts.shape, dtype=np.bool_)
        first, last = int(starts.min()), int(starts.max())
        grid = grid_of(self._spans(*years_of(first, last)), interval, first, last + 1)
        return grid.ranks(starts) >= 0

    def bar_starts(self, interval: Interval, moments: Micros) -> Micros:
        """Return the start of the bar that each moment, in any order, belongs to; NO_BAR where the market is closed.

        What a bar is made of: trades, or shorter bars by their starts. An evening belongs to the day of its session.
        """
        if not moments.size:
            return moments
        spans = self._spans(*years_of(int(moments.min()), int(moments.max())))
        return spans.bar_starts(moments, None if interval == "1d" else step_of(interval))

    def missing(self, present: Micros, interval: Interval, start: datetime, end: datetime) -> list[Gap]:
        """Return the gaps in a series over [start, end) that has bars at `present`, in any order and even twice.

        What is present and not expected counts for nothing. The work grows with `present` and not with the window.
        """
        return self._grid(interval, start, end).gaps(present)

    def _grid(self, interval: Interval, start: datetime, end: datetime) -> Grid:
        first, last = to_micros(start), to_micros(end)
        return grid_of(self._spans(*years_of(first, max(first, last))), interval, first, last)

    def _sessions(self, spans: Spans, first: int, past: int) -> list[Session]:
        ordinals = spans.ordinals[spans.owners]
        intervals: dict[int, list[TradingInterval]] = {}
        for at in np.flatnonzero((ordinals >= first) & (ordinals < past)).tolist():
            interval = TradingInterval(from_micros(int(spans.opens[at])), from_micros(int(spans.closes[at])))
            intervals.setdefault(int(ordinals[at]), []).append(interval)
        days = ((date.fromordinal(ordinal), tuple(intervals[ordinal])) for ordinal in sorted(intervals))
        return [Session(day, found, self.schedule.is_known(day)) for day, found in days]

    def _make_year(self, year: int) -> Spans:
        return spans_of_year(self.schedule, self.timezone, year)

    def _make_spans(self, first: int, last: int) -> Spans:
        return concatenated([self._year(year) for year in range(first, last + 1)])


def with_overrides(calendar: Calendar, overrides: Iterable[Override]) -> Calendar:
    """Return a calendar with overrides laid over it in their order: of two for one date the later one holds.

    Raises ValueError where extra hours overlap those that are there.
    """
    return Calendar(calendar.code, calendar.timezone, overridden(calendar.schedule, overrides))
