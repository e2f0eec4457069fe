"""Sessions as moments, and moments as the whole microseconds that arrays of them hold."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import numpy.typing as npt

Micros = npt.NDArray[np.int64]
"""Moments in microseconds since 1970, UTC."""

MICROS_OF_SECOND = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_OF_DAY = 86_400


@dataclass(frozen=True, slots=True)
class TradingInterval:
    """Trading without a pause: from `open`, and until just before `close`."""

    open: datetime
    close: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """One trading day; several intervals have breaks between them.

    `date` is the market's own, though an evening session may open on the day before. `known` is false for a date for
    which the market has published nothing, which is then taken for a regular one.
    """

    date: date
    intervals: tuple[TradingInterval, ...]
    known: bool = True

    @property
    def open(self) -> datetime:
        """Return when it first opens."""
        return self.intervals[0].open

    @property
    def close(self) -> datetime:
        """Return when it closes for the day."""
        return self.intervals[-1].close


@dataclass(frozen=True, slots=True)
class Gap:
    """Bars in a row that are missing: from the start of the first to the end of the last, and how many they are.

    It goes on over breaks, nights and holidays, as long as no bar comes between.
    """

    start: datetime
    end: datetime
    bars: int


def to_micros(moment: datetime) -> int:
    """Return a moment in microseconds since 1970; raises ValueError for one without a time zone."""
    try:
        since = moment - _EPOCH
    except TypeError:
        raise ValueError(f"a moment needs a time zone: {moment}") from None
    return (since.days * _SECONDS_OF_DAY + since.seconds) * MICROS_OF_SECOND + since.microseconds


def from_micros(micros: int) -> datetime:
    """Return microseconds since 1970 as a moment in UTC."""
    return _EPOCH + timedelta(microseconds=micros)


def micros_array(moments: Iterable[datetime]) -> Micros:
    """Return moments as an array of microseconds since 1970; raises ValueError for one without a time zone."""
    return np.fromiter((to_micros(moment) for moment in moments), dtype=np.int64)
