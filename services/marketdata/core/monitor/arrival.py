"""What is known of a live series, and what a batch adds to it: when rows came, beside when they were."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from services.marketdata.core.flags import Longs

# A row is live if it came so soon after its event, or the end of its period twice over: delayed quotes are
# 15 minutes old. What is older is history, whoever sends it.
_LIVE_WITHIN = timedelta(minutes=20)
_AHEAD = timedelta(hours=1)
# A silence longer than this ends a run of messages, and one of days the time that a series has been fed for.
RUN_BREAK = timedelta(minutes=2)
_FED_BREAK = timedelta(days=7)
# Rates forget: a row counts half after so many others.
_HALF_LIFE = 5_000.0
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class SeriesState:
    """What is known of a series of one source, symbol, subject and interval, of usable rows that said something new.

    `last_ts` is the newest event, `advanced_at` when it came, `message_at` when the last row came that was not older.
    `live_since` and `live_at` are the first and the last receipt of live rows, `still_since` when events began to
    stand still while rows came. `rows`, `repeats` and `late` are counts that forget; `period` is in seconds: a bar's
    length, or the time between two funding rates, else 0. `skew` is the learnt median of receive less event time.
    """

    last_ts: datetime
    advanced_at: datetime
    message_at: datetime
    period: float = 0.0
    live_since: datetime | None = None
    live_at: datetime | None = None
    still_since: datetime | None = None
    rows: float = 0.0
    repeats: float = 0.0
    late: float = 0.0
    skew: float | None = None


@dataclass(frozen=True, slots=True)
class Arrived:
    """What a batch brought of a series: its newest usable event, and how many rows came, again, and late."""

    newest: datetime
    received: datetime
    period: float = 0.0
    rows: int = 0
    repeats: int = 0
    late: int = 0

    @property
    def is_live(self) -> bool:
        """Return whether the rows came about when they happened."""
        return not self.is_past and self.newest - self.received <= _AHEAD + 2 * self.period * _SECOND

    @property
    def is_past(self) -> bool:
        """Return whether the rows happened long before they came."""
        return self.received - self.newest > _LIVE_WITHIN + 2 * self.period * _SECOND


def after(known: SeriesState | None, arrived: Arrived) -> SeriesState:
    """Return what is known of a series once a batch came.

    A batch that lies wholly before the newest event is a correction or fills a gap: it says nothing of the stream.
    """
    if known is None:
        known = SeriesState(arrived.newest, arrived.received, arrived.received, arrived.period)
    elif arrived.newest < known.last_ts:
        return known
    elif arrived.newest == known.last_ts:
        return replace(known, message_at=arrived.received, still_since=_still_since(known, arrived))
    found = replace(
        known,
        last_ts=arrived.newest,
        advanced_at=arrived.received,
        message_at=arrived.received,
        period=arrived.period,
        still_since=None,
    )
    if not arrived.is_live:
        return found
    is_fed = known.live_at is not None and arrived.received - known.live_at <= _FED_BREAK + 2 * known.period * _SECOND
    kept = 0.5 ** (arrived.rows / _HALF_LIFE)
    return replace(
        found,
        live_since=known.live_since if is_fed else arrived.received,
        live_at=arrived.received,
        rows=known.rows * kept + arrived.rows,
        repeats=known.repeats * kept + arrived.repeats,
        late=known.late * kept + arrived.late,
    )


def _still_since(known: SeriesState, arrived: Arrived) -> datetime:
    if arrived.received - known.message_at > RUN_BREAK + known.period * _SECOND:
        return arrived.received
    return known.still_since or known.advanced_at


def late_rows(moments: Longs, newest_before: int | None) -> int:
    """Return how many rows are older than one before them, in the order in which they were sent.

    Rows sent newest first are in order too: it is the way some sources send them.
    """
    if not len(moments):
        return 0
    before = np.iinfo(np.int64).min if newest_before is None else newest_before
    rising = int(np.count_nonzero(moments < np.maximum.accumulate(np.concatenate([[before], moments[:-1]]))))
    turned = moments[::-1]
    falling = int(np.count_nonzero(turned < np.maximum.accumulate(np.concatenate([[before], turned[:-1]]))))
    return min(rising, falling)
