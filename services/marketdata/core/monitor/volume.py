"""How many rows come in a slot of the session, against the same slot of the sessions before."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from services.marketdata.core.calendars import Calendar
from services.marketdata.core.calendars.sessions import Session

SLOT = timedelta(minutes=15)
SESSIONS = 20
_FEWEST_SESSIONS = 10
# Twenty sessions of any market are within so many days.
_DAYS_BACK = timedelta(days=60)
# The MAD of a normal distribution times this is its standard deviation.
_MAD_SCALE = 1.4826
_LEAST_SCALE = 0.1


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot of a session that is over, and the same slot of earlier sessions, oldest first."""

    start: datetime
    earlier: tuple[datetime, ...]


def last_slot(calendar: Calendar, until: datetime) -> Slot | None:
    """Return the last slot that was over at a moment of a session, None before the first and where it has a break."""
    session = calendar.session_of(until - timedelta(microseconds=1))
    if session is None:
        return None
    number = (until - session.open) // SLOT - 1
    start = _start(calendar, session, number)
    if number < 0 or start is None:
        return None
    sessions = calendar.sessions(session.date - _DAYS_BACK, session.date)[-SESSIONS:]
    starts = (_start(calendar, earlier, number) for earlier in sessions)
    return Slot(start, tuple(each for each in starts if each is not None))


def _start(calendar: Calendar, session: Session, number: int) -> datetime | None:
    start = session.open + number * SLOT
    return start if calendar.seconds_open(start, start + SLOT) >= SLOT.total_seconds() else None


def volume_score(rows: int, earlier: Sequence[int]) -> float | None:
    """Return how many scaled MADs the rows of a slot are off the median of `earlier` ones; None of fewer than ten.

    On a scale of logarithms, as a busy day has twice the rows and not a hundred more. The scale is at least that of
    counting itself, one over the root of the median, and a tenth.
    """
    known = np.array(earlier, np.float64)
    began = np.flatnonzero(known > 0)
    # Before its first row there was no series.
    known = known[began[0] :] if len(began) else known[:0]
    if len(known) < _FEWEST_SESSIONS:
        return None
    middle = float(np.median(known))
    logs = np.log1p(known)
    scale = _MAD_SCALE * float(np.median(np.abs(logs - np.median(logs))))
    scale = max(scale, 1 / math.sqrt(max(middle, 1.0)), _LEAST_SCALE)
    return abs(float(np.log1p(rows)) - float(np.median(logs))) / scale
