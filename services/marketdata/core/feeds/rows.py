"""What the quality checks said of a source's rows lately."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Observed:
    """What a batch of one source showed once it was judged; rows that were refused count as critical.

    `newest` is the latest moment its rows were known at (the end of a bar), `newest_good` that of those that are not
    critical, `first_good` from when on these say something (the start of a bar). `cadence` is the shortest interval
    of bars, nothing for other rows: how long after `newest` the next row can be known.
    """

    rows: int
    warning: int = 0
    critical: int = 0
    newest: datetime | None = None
    newest_good: datetime | None = None
    first_good: datetime | None = None
    cadence: timedelta = timedelta(0)


@dataclass(slots=True)
class _Slot:
    start: datetime
    rows: int = 0
    warning: int = 0
    critical: int = 0


@dataclass(frozen=True, slots=True)
class Shares:
    """Rows judged within the window, and the shares with a warning and with a critical finding."""

    rows: int = 0
    warning: float = 0.0
    critical: float = 0.0


class RowWindow:
    """Counts of verdicts over the last `seconds`, in slots, so that no burst makes it grow."""

    def __init__(self, seconds: float = 300.0, slots: int = 60) -> None:
        self._length = timedelta(seconds=seconds)
        self._slot = timedelta(seconds=seconds / slots)
        self._slots: deque[_Slot] = deque(maxlen=slots + 1)

    def add(self, now: datetime, rows: int, warning: int, critical: int) -> None:
        """Count rows judged now."""
        if not self._slots or now >= self._slots[-1].start + self._slot:
            self._slots.append(_Slot(now))
        slot = self._slots[-1]
        slot.rows += rows
        slot.warning += warning
        slot.critical += critical

    def shares(self, now: datetime) -> Shares:
        """Return what the window holds."""
        while self._slots and self._slots[0].start + self._length <= now:
            self._slots.popleft()
        rows = sum(slot.rows for slot in self._slots)
        if rows == 0:
            return Shares()
        warning = sum(slot.warning for slot in self._slots)
        critical = sum(slot.critical for slot in self._slots)
        return Shares(rows, warning / rows, critical / rows)
