"""What is judged over time: whole series as the monitor of live data knows them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from services.marketdata.calendars import calendar_of
from services.marketdata.core.calendars import Micros
from services.marketdata.core.catalogue import Subject
from services.marketdata.core.monitor.arrival import Arrived, SeriesState, after
from services.marketdata.core.monitor.cross_source import Prices, compare
from services.marketdata.core.monitor.skew import skew_of
from services.marketdata.core.monitor.timed import age, clock_frozen, is_fed, stale_age, usual_wait
from services.marketdata.core.monitor.volume import volume_score
from services.marketdata.core.thresholds import DEFAULTS
from services.marketdata.handlers.gaps import Scan, missing_share
from shared.schemas.marketdata import Interval, QualityIssue

LIVE_CHECKS = ("stale_age", "clock_frozen", "clock_skew", "cross_source", "row_volume", "gap")
# As the monitor asks for them: waits of the last rows, and how far apart prices may be that are compared.
_WAITS_SHARE = 95
_NEAR = timedelta(seconds=5)


class Live(Protocol):
    """Something that is judged over time."""

    def found(self) -> Collection[str]:
        """Return the codes of what is found."""


def judge_live(given: Live) -> Collection[str]:
    """Return the codes of what is found."""
    return given.found()


def _code(issue: QualityIssue | None) -> set[str]:
    return set() if issue is None else {issue.code}


@dataclass(slots=True)
class Feed:
    """Batches of one series as they came, looked at `now`; `moments` are the events its usual wait is told from."""

    subject: Subject
    calendar: str
    arrived: Sequence[Arrived]
    now: datetime
    moments: Micros | None = None

    def found(self) -> Collection[str]:
        """Return the codes of what is found."""
        state: SeriesState | None = None
        for each in self.arrived:
            state = after(state, each)
        calendar = calendar_of(self.calendar)
        if state is None or not is_fed(state, calendar, self.now):
            return set()
        codes = _code(clock_frozen(state, self.subject, calendar, self.now, DEFAULTS))
        seconds = age(state, self.subject, calendar, self.now)
        if seconds is not None:
            wait = 0.0
            if self.moments is not None:
                wait = usual_wait(self.moments, calendar, state.period, _WAITS_SHARE)
            codes |= _code(stale_age(state, self.subject, seconds, wait, DEFAULTS))
        return codes


@dataclass(slots=True)
class Delays:
    """Of batches when they came, and the least of receive less event time in seconds."""

    batches: Sequence[tuple[datetime, float]]

    def found(self) -> Collection[str]:
        """Return the codes of what is found."""
        skew = skew_of(self.batches)
        return set() if skew is None else _code(DEFAULTS.issue("clock_skew", abs(skew), ""))


@dataclass(slots=True)
class SideBySide:
    """Prices of several sources, oldest first; of bars with the length of one."""

    prices: Mapping[str, Prices]
    period: timedelta = timedelta(0)

    def found(self) -> Collection[str]:
        """Return the codes of what is found."""
        behind, tolerance = (2 * self.period, timedelta(0)) if self.period else (_NEAR, _NEAR)
        compared = compare(self.prices, behind, tolerance).values()
        worst = max((one.basis_points for one in compared), default=0.0)
        return _code(DEFAULTS.issue("cross_source", worst, ""))


@dataclass(slots=True)
class Slot:
    """Rows of a slot, and of the same slot of the sessions before."""

    rows: int
    earlier: Sequence[int]

    def found(self) -> Collection[str]:
        """Return the codes of what is found."""
        score = volume_score(self.rows, self.earlier)
        return set() if score is None else _code(DEFAULTS.issue("row_volume", score, ""))


@dataclass(slots=True)
class Present:
    """The bars there are of [start, end)."""

    calendar: str
    interval: Interval
    bars: Micros
    start: datetime
    end: datetime

    def found(self) -> Collection[str]:
        """Return the codes of what is found."""
        scan = Scan(self.start, self.end, self.bars)
        share, _ = missing_share(scan, self.interval, calendar_of(self.calendar))
        return _code(DEFAULTS.issue("gap", share, ""))
