"""What is checked of every message of a stream: its times, its order, and whether it came before."""

from collections.abc import Hashable
from typing import Any, NamedTuple

from services.marketdata.core.stream.issues import Issues, Outcome, Standing
from services.marketdata.core.stream.messages import Stream
from services.marketdata.core.stream.windows import Arrival, Arrivals, Rate, SlidingMedian
from services.marketdata.core.thresholds import Thresholds

# Of so many messages rates are shares, and the skew is the median.
WINDOW = 1_000
# Fewer say nothing of a clock.
LEAST_TO_KNOW_THE_SKEW = 20
# So many older messages in a row are no disorder: the venue counts anew, or one before had a time far ahead.
RESTART = 100
# An event time that stands still for longer says nothing of the skew.
_STANDS_NS = 1_000_000_000
_NS_PER_MS = 1_000_000

SHARED_CODES = (
    "clock_frozen",
    "clock_skew",
    "duplicate",
    "duplicate_conflicting",
    "future_timestamp",
    "out_of_order",
    "price_not_positive",
    "quantity_negative",
)


class Watch(NamedTuple):
    """How one instrument's streams are judged; a `tick_size` of 0 is unknown."""

    thresholds: Thresholds
    tick_size: float = 0.0


class Lane:
    """The checks all streams of an instrument share, and what they remember."""

    __slots__ = (
        "_arrivals",
        "_behind",
        "_duplicates",
        "_event_ms",
        "_future",
        "_lead",
        "_moved_ns",
        "_newest_ms",
        "_older",
        "_position",
        "_skew",
        "issues",
    )

    def __init__(self, symbol: str, stream: Stream, watch: Watch, codes: tuple[str, ...]) -> None:
        self.issues = Issues(symbol, stream, watch.thresholds, codes)
        self._position = 0
        self._arrivals = Arrivals(WINDOW, RESTART)
        self._duplicates = Rate(WINDOW)
        self._older = Rate(WINDOW)
        self._skew = SlidingMedian(WINDOW)
        # By how much the venue's clock is known to run ahead, in seconds; None until it is known.
        self._lead: float | None = None
        self._future = self.issues.least("future_timestamp")
        self._event_ms = -1
        self._moved_ns = 0
        self._newest_ms = -1
        self._behind = 0

    def done(self, now: int) -> Outcome:
        """Return what came of a message, after the issues that nobody sees any more are closed."""
        if self.issues.due(now):
            self.issues.sweep(now, self._current())
        return self.issues.take()

    def _arrive(self, now: int, event_ms: int, number: int, content: Hashable) -> Arrival:
        """Check times, order and repetition; return what the message's number makes of it."""
        self._position += 1
        moves = self._moves(now, event_ms)
        arrival = self._arrivals.arrive(number, content)
        if arrival is Arrival.NEW:
            if self._time(now, event_ms, moves):
                self._out_of_order(now, number, event_ms)
        elif arrival is Arrival.SAME:
            share = self._duplicates.hit(self._position)
            self.issues.find("duplicate", share, now, "the message came before", id=number)
        elif arrival is Arrival.CONFLICTING:
            self.issues.find("duplicate_conflicting", 1.0, now, "another message of this id came before", id=number)
        else:
            self._out_of_order(now, number, event_ms)
        return arrival

    def _amounts(self, now: int, price: float, quantity: float) -> bool:
        """Check the lowest price and quantity of a message; return whether they can be used."""
        if price <= 0:
            self.issues.find("price_not_positive", 1.0, now, "a price is zero or negative", price=price)
        if quantity < 0:
            self.issues.find("quantity_negative", 1.0, now, "a quantity is negative", quantity=quantity)
        return price > 0 and quantity >= 0

    def _moves(self, now: int, event_ms: int) -> bool:
        """Check that event times change while messages come; return whether this one tells what the clock shows."""
        # Nothing but the same time again counts: one wrong time far ahead must not make all later ones stand still.
        if event_ms != self._event_ms:
            self._event_ms = event_ms
            self._moved_ns = now
            return True
        stood = now - self._moved_ns
        if stood < _STANDS_NS:
            return True
        self.issues.measure(
            "clock_frozen", stood / 1e9, now, "the time of events stands still while messages come", event_ms=event_ms
        )
        return False

    def _time(self, now: int, event_ms: int, moves: bool) -> bool:
        """Check the clock; return whether the event is older than one before."""
        lag = (now - event_ms * _NS_PER_MS) / 1e9
        lead = self._lead
        if moves:
            self._learn(now, lag)
        if lead is not None and -lag - lead >= self._future:
            self.issues.find(
                "future_timestamp",
                -lag - lead,
                now,
                "the event is after its receipt by more than the clocks differ",
                event_ms=event_ms,
            )
            # Nothing is older than an event that has not happened.
            return False
        if event_ms >= self._newest_ms:
            self._newest_ms = event_ms
            self._behind = 0
            return False
        self._behind += 1
        if self._behind >= RESTART:
            self._newest_ms = event_ms
            self._behind = 0
        return True

    def _learn(self, now: int, lag: float) -> None:
        median = self._skew.push(lag)
        if self._lead is None and len(self._skew) < LEAST_TO_KNOW_THE_SKEW:
            return
        self._lead = -median if median < 0 else 0.0
        self.issues.measure(
            "clock_skew", abs(median), now, "receive time less event time, the median", median_seconds=median
        )

    def _out_of_order(self, now: int, number: int, event_ms: int) -> None:
        share = self._older.hit(self._position)
        self.issues.find(
            "out_of_order", share, now, "the message is older than one before it", id=number, event_ms=event_ms
        )

    def _current(self) -> dict[str, float]:
        """Return the measures that stand between the messages that raise them."""
        return {"duplicate": self._duplicates.at(self._position), "out_of_order": self._older.at(self._position)}

    @property
    def messages(self) -> int:
        """Return how many messages there were."""
        return self._position

    @property
    def skew(self) -> float | None:
        """Return the median of receive time less event time in seconds, None while it is not known."""
        return self._skew.median if len(self._skew) >= LEAST_TO_KNOW_THE_SKEW else None

    def standing(self) -> list[Standing]:
        """Return the open issues."""
        return self.issues.standing()

    def dump(self) -> dict[str, Any]:
        """Return all that is remembered as plain data."""
        return {
            "issues": self.issues.dump(),
            "position": self._position,
            "arrivals": self._arrivals.dump(),
            "duplicates": self._duplicates.dump(),
            "older": self._older.dump(),
            "skew": self._skew.dump(),
            "lead": self._lead,
            "event_ms": self._event_ms,
            "moved_ns": self._moved_ns,
            "newest_ms": self._newest_ms,
            "behind": self._behind,
        }

    def load(self, data: dict[str, Any]) -> None:
        """Take over what `dump` returned."""
        self.issues.load(data["issues"])
        self._position = data["position"]
        self._arrivals.load(data["arrivals"])
        self._duplicates = Rate(WINDOW, data["duplicates"])
        self._older = Rate(WINDOW, data["older"])
        self._skew = SlidingMedian(WINDOW, data["skew"])
        self._lead = data["lead"]
        self._event_ms = data["event_ms"]
        self._moved_ns = data["moved_ns"]
        self._newest_ms = data["newest_ms"]
        self._behind = data["behind"]
