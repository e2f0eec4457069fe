"""The hours of a trading day, in minutes from the local midnight of its date, and how they are written."""

import re
from collections.abc import Iterable
from itertools import pairwise

Hours = tuple[tuple[int, int], ...]
"""Intervals [open, close), in order and apart; minutes below 0 are the evening before, those over 1440 the night after.

Without an interval the market is closed.
"""

CLOSED: Hours = ()
MINUTES_OF_DAY = 1_440

_INTERVAL = re.compile(r"(<?)(\d\d):([0-5]\d)-(<?)(\d\d):([0-5]\d)")


def joined(intervals: Iterable[tuple[int, int]]) -> Hours:
    """Return intervals as hours of one day, in order.

    Raises ValueError for one that is empty, that overlaps another, or that leaves the days before and after.
    """
    hours = tuple(sorted(intervals))
    for opens, closes in hours:
        if not -MINUTES_OF_DAY <= opens < closes <= 2 * MINUTES_OF_DAY:
            raise ValueError(f"not an interval of a day: {opens} to {closes} minutes from midnight")
    for before, after in pairwise(hours):
        if before[1] > after[0]:
            raise ValueError(f"intervals overlap: {written((before, after))}")
    return hours


def parsed(text: str) -> Hours:
    """Return the hours written as "09:30-11:30 13:00-15:00"; "<17:00" is 17:00 of the day before, 25:00 past midnight.

    Raises ValueError for what is none.
    """
    intervals = []
    for part in text.split():
        found = _INTERVAL.fullmatch(part)
        if found is None:
            raise ValueError(f"not an interval like 09:15-15:30: {part}")
        before, hour, minute, before_close, hour_close, minute_close = found.groups()
        intervals.append((_minutes(before, hour, minute), _minutes(before_close, hour_close, minute_close)))
    return joined(intervals)


def written(hours: Hours) -> str:
    """Return hours as `parsed` reads them."""
    return " ".join(f"{_written(opens)}-{_written(closes)}" for opens, closes in hours)


def _minutes(before: str, hour: str, minute: str) -> int:
    return int(hour) * 60 + int(minute) - (MINUTES_OF_DAY if before else 0)


def _written(minutes: int) -> str:
    before = "<" if minutes < 0 else ""
    hour, minute = divmod(minutes % MINUTES_OF_DAY if before else minutes, 60)
    return f"{before}{hour:02}:{minute:02}"
