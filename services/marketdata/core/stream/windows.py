"""Measures over the last values of a stream, in memory that does not grow."""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Hashable, Iterable
from enum import Enum, auto
from math import exp, log
from typing import Any

# Makes the median absolute deviation of normally distributed values their standard deviation.
_MAD_SCALE = 1.4826


class SlidingMedian:
    """The median of the last `size` values, which are kept both in their order and sorted."""

    __slots__ = ("_size", "_sorted", "_values")

    def __init__(self, size: int, values: Iterable[float] = ()) -> None:
        self._size = size
        # What was dumped may be of a longer window.
        self._values = deque(deque(values, maxlen=size))
        self._sorted = sorted(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def push(self, value: float) -> float:
        """Add a value, in place of the oldest where there are `size`, and return the median."""
        ordered = self._sorted
        if len(ordered) == self._size:
            del ordered[bisect_left(ordered, self._values.popleft())]
        self._values.append(value)
        insort(ordered, value)
        middle = len(ordered) >> 1
        return ordered[middle] if len(ordered) & 1 else (ordered[middle - 1] + ordered[middle]) / 2

    @property
    def median(self) -> float:
        """Return the median; there must be a value."""
        ordered = self._sorted
        return (ordered[(len(ordered) - 1) >> 1] + ordered[len(ordered) >> 1]) / 2

    def dump(self) -> list[float]:
        """Return the values, oldest first."""
        return list(self._values)


class Hampel:
    """How far a value lies from the median of the `size` before it, in scaled median absolute deviations.

    Hampel (1974), "The influence curve and its role in robust estimation". Where the price hardly moves, the deviation
    is close to zero and everything is an outlier: it counts as `floor` of the median, or `tick`, at least.
    """

    __slots__ = ("_floor", "_median", "_size", "_tick", "_window")

    def __init__(self, size: int, floor: float, tick: float, values: Iterable[float] = ()) -> None:
        self._size = size
        self._floor = floor
        self._tick = tick
        self._window = SlidingMedian(size, values)
        # Of a full window; None before.
        self._median = self._window.median if len(self._window) == size else None

    def measure(self, value: float, least: float) -> float:
        """Return the distance of a value and add it; below `least` 0 may be returned for it."""
        window = self._window
        distance, median = 0.0, self._median
        if median is not None:
            away = abs(value - median)
            smallest = max(median * self._floor, self._tick)
            # The deviation is sorted out only for the few values that could be outliers at all.
            if away >= least * smallest:
                ordered = sorted(abs(other - median) for other in window.dump())
                deviation = _MAD_SCALE * (ordered[(self._size - 1) >> 1] + ordered[self._size >> 1]) / 2
                distance = away / max(deviation, smallest)
        median = window.push(value)
        if self._median is not None or len(window) == self._size:
            self._median = median
        return distance

    def dump(self) -> list[float]:
        """Return the values, oldest first."""
        return self._window.dump()


class Rate:
    """The share of the last `size` messages that something was said of; the first ones count as of `size` too."""

    __slots__ = ("_hits", "_size")

    def __init__(self, size: int, hits: Iterable[int] = ()) -> None:
        self._size = size
        self._hits = deque(hits)

    def hit(self, position: int) -> float:
        """Count the message of this position, and return the share."""
        self._hits.append(position)
        return self.at(position)

    def at(self, position: int) -> float:
        """Return the share as of the message of this position."""
        hits = self._hits
        while hits and hits[0] <= position - self._size:
            hits.popleft()
        return len(hits) / self._size

    def dump(self) -> list[int]:
        """Return the positions counted."""
        return list(self._hits)


class Arrival(Enum):
    """What an id makes of a message."""

    NEW = auto()
    SAME = auto()
    CONFLICTING = auto()
    OLDER = auto()


class Arrivals:
    """Tell new messages from repeated, conflicting and older ones, by the ids that ascend in a stream.

    The contents of the last `size` ids at least, and of twice as many at most, are remembered; what is older than
    they are counts as older, not as repeated. After `restart` older ones in a row the venue has begun to count anew.
    """

    __slots__ = ("_before", "_behind", "_newest", "_recent", "_restart", "_size")

    def __init__(self, size: int, restart: int) -> None:
        self._size = size
        self._restart = restart
        self._newest = -1
        self._behind = 0
        self._recent: dict[int, Hashable] = {}
        self._before: dict[int, Hashable] = {}

    def arrive(self, number: int, content: Hashable) -> Arrival:
        """Return what a message is, and remember it unless its id is known."""
        if number > self._newest:
            self._newest = number
            self._behind = 0
            arrival = Arrival.NEW
        else:
            known = self._recent.get(number)
            if known is None:
                known = self._before.get(number)
            if known is not None:
                return Arrival.SAME if known == content else Arrival.CONFLICTING
            self._behind += 1
            if self._behind >= self._restart:
                self._newest = number
                self._behind = 0
            arrival = Arrival.OLDER
        if len(self._recent) >= self._size:
            # Two generations instead of one queue: nothing is removed one by one.
            self._before, self._recent = self._recent, {}
        self._recent[number] = content
        return arrival

    def dump(self) -> dict[str, Any]:
        """Return what is remembered as plain data."""
        return {
            "newest": self._newest,
            "behind": self._behind,
            "recent": list(self._recent.items()),
            "before": list(self._before.items()),
        }

    def load(self, data: dict[str, Any]) -> None:
        """Take over what `dump` returned."""
        self._newest, self._behind = data["newest"], data["behind"]
        self._recent = {number: _tuple(content) for number, content in data["recent"]}
        self._before = {number: _tuple(content) for number, content in data["before"]}


def _tuple(content: Any) -> Hashable:
    # JSON knows lists only.
    return tuple(content) if isinstance(content, list) else content


class MedianEstimate:
    """The median of any number of positive fractions, to within 1 %, by counts in buckets 2 % wide.

    Holds a count for every bucket from 1e-8 to 1, some 930 of them; what lies outside counts in the nearest. The bucket
    that holds the median moves by the few counts each value shifts it, so that a value costs the same however
    many there were.
    """

    __slots__ = ("_below", "_bucket", "_counts", "total")

    LOWEST = 1e-8
    _WIDTH = log(1.02)
    _BUCKETS = int(log(1 / LOWEST) / _WIDTH) + 2
    _OFFSET = -log(LOWEST)

    def __init__(self, counts: Iterable[tuple[int, int]] = ()) -> None:
        self._counts = [0] * self._BUCKETS
        self.total = 0
        self._below = 0
        self._bucket = 0
        for bucket, count in counts:
            self._counts[bucket] += count
            self.total += count
        self._settle()

    def add(self, value: float) -> None:
        """Count a value."""
        bucket = 0
        if value > self.LOWEST:
            bucket = min(int((log(value) + self._OFFSET) / self._WIDTH) + 1, self._BUCKETS - 1)
        self._counts[bucket] += 1
        self.total += 1
        if bucket < self._bucket:
            self._below += 1
        self._settle()

    @property
    def median(self) -> float:
        """Return the middle of the bucket that holds the median; 0 where that is the lowest."""
        if self._bucket == 0:
            return 0.0
        return exp((self._bucket - 0.5) * self._WIDTH - self._OFFSET)

    def dump(self) -> list[tuple[int, int]]:
        """Return the buckets that hold anything, each with its count."""
        return [(bucket, count) for bucket, count in enumerate(self._counts) if count]

    def _settle(self) -> None:
        """Move to the bucket that holds value number (total + 1) / 2, rounded down."""
        counts, rank = self._counts, (self.total - 1) >> 1
        while self._below > rank >= 0:
            self._bucket -= 1
            self._below -= counts[self._bucket]
        while self._below + counts[self._bucket] <= rank:
            self._below += counts[self._bucket]
            self._bucket += 1
