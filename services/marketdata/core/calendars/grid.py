"""The bars a calendar expects in a window: countable and searchable without making each of them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.marketdata.core.calendars.sessions import MICROS_OF_SECOND, Gap, Micros, from_micros
from services.marketdata.core.calendars.spans import Spans
from shared.schemas.marketdata import INTERVAL_LENGTH, Interval

# 80 MB as an array.
MOST_STARTS = 10_000_000


@dataclass(frozen=True, slots=True)
class Grid:
    """Runs of bars, a `step` apart within each, in order: where each begins, how many they are, where its last ends.

    `before` is how many bars there are before each run, and the number of all at its end.
    """

    firsts: Micros
    counts: npt.NDArray[np.int64]
    ends: Micros
    before: npt.NDArray[np.int64]
    step: int

    @property
    def total(self) -> int:
        """Return how many bars are expected."""
        return int(self.before[-1])

    def starts(self) -> Micros:
        """Return the start of every bar; raises ValueError above ten million."""
        if self.total > MOST_STARTS:
            raise ValueError(f"{self.total} bars are more than {MOST_STARTS}: ask for a shorter window")
        return self._starts(np.arange(self.total, dtype=np.int64))

    def ranks(self, moments: Micros) -> npt.NDArray[np.int64]:
        """Return which bar starts at each moment, counted from 0, and -1 where none does."""
        if not self.firsts.size:
            return np.full(moments.shape, -1, dtype=np.int64)
        run = np.searchsorted(self.firsts, moments, side="right") - 1
        place, rest = np.divmod(moments - self.firsts[run], self.step)
        exact = (run >= 0) & (rest == 0) & (place < self.counts[run])
        return np.where(exact, self.before[run] + place, -1)

    def gaps(self, present: Micros) -> list[Gap]:
        """Return the bars that do not start at any of `present`, in any order, as gaps."""
        ranks = self.ranks(present)
        there = np.concatenate(([-1], np.sort(ranks[ranks >= 0]), [self.total]))
        holes = np.flatnonzero(np.diff(there) > 1)
        firsts, lasts = there[holes] + 1, there[holes + 1] - 1
        starts, ends, bars = self._starts(firsts), self._ends(lasts), lasts - firsts + 1
        return [
            Gap(from_micros(start), from_micros(end), number)
            for start, end, number in zip(starts.tolist(), ends.tolist(), bars.tolist(), strict=True)
        ]

    def _run(self, ranks: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
        return np.searchsorted(self.before, ranks, side="right") - 1

    def _starts(self, ranks: npt.NDArray[np.int64]) -> Micros:
        run = self._run(ranks)
        starts: Micros = self.firsts[run] + (ranks - self.before[run]) * self.step
        return starts

    def _ends(self, ranks: npt.NDArray[np.int64]) -> Micros:
        run = self._run(ranks)
        last = ranks == self.before[run] + self.counts[run] - 1
        return np.where(last, self.ends[run], self._starts(ranks) + self.step)


def step_of(interval: Interval) -> int:
    """Return how long a bar is, in microseconds."""
    return int(INTERVAL_LENGTH[interval].total_seconds()) * MICROS_OF_SECOND


def grid_of(spans: Spans, interval: Interval, start: int, end: int) -> Grid:
    """Return the bars that start in [start, end), in microseconds.

    A day starts at local midnight. A shorter bar is counted from where its interval opens, so that the first one after
    a break starts with it; one that would go on past the close ends there.
    """
    step = step_of(interval)
    if interval == "1d":
        days = np.unique(spans.owners)
        inside = days[(spans.midnights[days] >= start) & (spans.midnights[days] < end)]
        return _grid(spans.midnights[inside], np.ones(inside.size, dtype=np.int64), spans.next_midnights[inside], step)
    first = np.maximum(0, -((spans.opens - start) // step))
    past = np.minimum(-((spans.opens - spans.closes) // step), -((spans.opens - end) // step))
    some = past > first
    opens, closes, first, past = spans.opens[some], spans.closes[some], first[some], past[some]
    return _grid(opens + first * step, past - first, np.minimum(opens + past * step, closes), step)


def _grid(firsts: Micros, counts: npt.NDArray[np.int64], ends: Micros, step: int) -> Grid:
    return Grid(firsts, counts, ends, np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(counts))), step)
