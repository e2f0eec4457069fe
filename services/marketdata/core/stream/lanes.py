"""What is checked of trades, of best quotes and of updates of a book, beyond what all share."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from services.marketdata.core.stream.issues import Outcome
from services.marketdata.core.stream.lane import SHARED_CODES, WINDOW, Lane, Watch
from services.marketdata.core.stream.messages import DepthSnapshot, DepthUpdate, Quote, Side, Stream, Trade
from services.marketdata.core.stream.windows import Arrival, Hampel, MedianEstimate, Rate

_HAMPEL_VALUES = 50
# Below this share of the price, moves and spreads are those of a calm market, whatever they are a multiple of.
OUTLIER_FLOOR = 0.0005
SPREAD_FLOOR = 0.0001
# Before so many quotes of a day, the day before says what a spread is like.
_QUOTES_OF_A_MEDIAN = 100
_MS_PER_DAY = 86_400_000

# What each stream is judged by.
CODES: Final[Mapping[Stream, tuple[str, ...]]] = MappingProxyType(
    {
        Stream.TRADES: (*SHARED_CODES, "price_outlier"),
        Stream.QUOTES: (*SHARED_CODES, "price_outlier", "quote_crossed", "quote_locked", "spread_wide"),
        Stream.DEPTH: (*SHARED_CODES, "quote_crossed", "sequence_break"),
    }
)


class TradeLane(Lane):
    """Trades of one instrument.

    Ids that skip are counted, not found: the exchange documents no rule that they follow each other, and says of its
    own sums of trades that some ids are left out of them (payments of the insurance fund, auto-deleveraging).
    """

    __slots__ = ("_hampel", "_last_id", "_outlier", "_tick", "ids_skipped")

    def __init__(self, symbol: str, watch: Watch) -> None:
        super().__init__(symbol, Stream.TRADES, watch, CODES[Stream.TRADES])
        self._tick = watch.tick_size
        self._hampel = Hampel(_HAMPEL_VALUES, OUTLIER_FLOOR, self._tick)
        self._outlier = self.issues.least("price_outlier")
        self._last_id = -1
        self.ids_skipped = 0

    def observe(self, trade: Trade) -> Outcome:
        """Return what a trade shows."""
        now, number, price = trade.received_ns, trade.trade_id, trade.price
        content = (price, trade.quantity, trade.ts_ms, trade.buyer_crossed)
        arrival = self._arrive(now, trade.event_ms, number, content)
        if arrival is Arrival.NEW:
            if self._last_id >= 0:
                self.ids_skipped += max(number - self._last_id - 1, 0)
            self._last_id = number
        # What no order made is at no price of the market's; what came before was judged then.
        if trade.market and (arrival is Arrival.NEW or arrival is Arrival.OLDER):
            fit = self._amounts(now, price, trade.quantity)
            if fit and arrival is Arrival.NEW:
                self._price(now, price)
        return self.done(now)

    def _price(self, now: int, price: float) -> None:
        distance = self._hampel.measure(price, self._outlier)
        if distance >= self._outlier:
            self.issues.find("price_outlier", distance, now, "the price is far from those before", price=price)

    def dump(self) -> dict[str, Any]:
        """Return all that is remembered as plain data."""
        return {
            **super().dump(),
            "prices": self._hampel.dump(),
            "last_id": self._last_id,
            "ids_skipped": self.ids_skipped,
        }

    def load(self, data: dict[str, Any]) -> None:
        """Take over what `dump` returned."""
        super().load(data)
        self._hampel = Hampel(_HAMPEL_VALUES, OUTLIER_FLOOR, self._tick, data["prices"])
        self._last_id = data["last_id"]
        self.ids_skipped = data["ids_skipped"]


class QuoteLane(Lane):
    """Best bids and asks of one instrument; update ids skip, as most updates leave the best levels alone."""

    __slots__ = ("_day", "_hampel", "_locked", "_outlier", "_spreads", "_tick", "_usual", "_wide")

    def __init__(self, symbol: str, watch: Watch) -> None:
        super().__init__(symbol, Stream.QUOTES, watch, CODES[Stream.QUOTES])
        self._tick = watch.tick_size
        self._hampel = Hampel(_HAMPEL_VALUES, OUTLIER_FLOOR, self._tick)
        self._outlier = self.issues.least("price_outlier")
        self._wide = self.issues.least("spread_wide")
        self._locked = Rate(WINDOW)
        self._spreads = MedianEstimate()
        # The median of the day before, while today's is not known; 0 without any.
        self._usual = 0.0
        self._day = -1

    def observe(self, quote: Quote) -> Outcome:
        """Return what a quote shows."""
        now, bid, ask = quote.received_ns, quote.bid, quote.ask
        content = (bid, quote.bid_quantity, ask, quote.ask_quantity, quote.ts_ms)
        arrival = self._arrive(now, quote.event_ms, quote.update_id, content)
        if arrival is Arrival.NEW or arrival is Arrival.OLDER:
            if bid > 0 and ask > 0 and quote.bid_quantity >= 0 and quote.ask_quantity >= 0:
                # Of an older one the spread and the price are no news.
                if arrival is Arrival.NEW:
                    self._two_sided(now, quote.event_ms, bid, ask)
            else:
                # A side with neither price nor quantity is empty, which is no fault of the quote.
                sides = ((bid, quote.bid_quantity), (ask, quote.ask_quantity))
                there = [side for side in sides if side != (0, 0)]
                if there:
                    self._amounts(now, min(price for price, _ in there), min(quantity for _, quantity in there))
        return self.done(now)

    def _two_sided(self, now: int, event_ms: int, bid: float, ask: float) -> None:
        issues = self.issues
        if bid > ask:
            issues.find("quote_crossed", 1.0, now, "the bid is above the ask", bid=bid, ask=ask)
            return
        middle = (bid + ask) / 2
        if bid == ask:
            share = self._locked.hit(self._position)
            issues.measure("quote_locked", share, now, "bids equal asks", bid=bid, ask=ask)
        self._spread(now, event_ms, (ask - bid) / middle)
        distance = self._hampel.measure(middle, self._outlier)
        if distance >= self._outlier:
            issues.find("price_outlier", distance, now, "the mid price is far from those before", mid=middle)

    def _spread(self, now: int, event_ms: int, spread: float) -> None:
        day = event_ms // _MS_PER_DAY
        if day != self._day:
            if self._spreads.total >= _QUOTES_OF_A_MEDIAN:
                self._usual = self._spreads.median
            self._spreads = MedianEstimate()
            self._day = day
        # What could not be wide against the smallest median needs none.
        if spread >= self._wide * SPREAD_FLOOR:
            known = self._spreads.total >= _QUOTES_OF_A_MEDIAN
            usual = self._spreads.median if known else self._usual
            if known or usual:
                times = spread / max(usual, SPREAD_FLOOR)
                if times >= self._wide:
                    self.issues.find(
                        "spread_wide",
                        times,
                        now,
                        "the spread is far above the day's median",
                        spread=spread,
                        median=usual,
                    )
        self._spreads.add(spread)

    def _current(self) -> dict[str, float]:
        return {**super()._current(), "quote_locked": self._locked.at(self._position)}

    def dump(self) -> dict[str, Any]:
        """Return all that is remembered as plain data."""
        return {
            **super().dump(),
            "mids": self._hampel.dump(),
            "locked": self._locked.dump(),
            "spreads": self._spreads.dump(),
            "usual": self._usual,
            "day": self._day,
        }

    def load(self, data: dict[str, Any]) -> None:
        """Take over what `dump` returned."""
        super().load(data)
        self._hampel = Hampel(_HAMPEL_VALUES, OUTLIER_FLOOR, self._tick, data["mids"])
        self._locked = Rate(WINDOW, data["locked"])
        self._spreads = MedianEstimate(data["spreads"])
        self._usual = data["usual"]
        self._day = data["day"]


class DepthLane(Lane):
    """Updates of one instrument's book, each of which must follow the one before it."""

    __slots__ = ("_broken_at", "_last_id")

    def __init__(self, symbol: str, watch: Watch) -> None:
        super().__init__(symbol, Stream.DEPTH, watch, CODES[Stream.DEPTH])
        self._last_id = -1
        # The update that the first one after the last break says it follows; -1 without a break.
        self._broken_at = -1

    @property
    def resync_wanted(self) -> bool:
        """Return whether updates are missing that no snapshot has made good since."""
        return self._broken_at >= 0

    def observe(self, update: DepthUpdate) -> Outcome:
        """Return what an update shows; an older one than the last does not count for the sequence."""
        now = update.received_ns
        content = (update.first_id, update.previous_id, update.ts_ms, update.checksum)
        arrival = self._arrive(now, update.event_ms, update.last_id, content)
        if arrival is Arrival.NEW or arrival is Arrival.OLDER:
            self._levels(now, update.bids, update.asks)
        if arrival is Arrival.NEW:
            if 0 <= self._last_id != update.previous_id:
                self._broken_at = update.previous_id
                self.issues.find(
                    "sequence_break",
                    1.0,
                    now,
                    "updates of the book are missing: a snapshot is wanted",
                    lasting=True,
                    last_id=self._last_id,
                    previous_id=update.previous_id,
                )
            self._last_id = update.last_id
        return self.done(now)

    def synchronise(self, snapshot: DepthSnapshot) -> Outcome:
        """Return what a snapshot shows; one that holds all before the updates since the break makes it good."""
        now = snapshot.received_ns
        self._levels(now, snapshot.bids, snapshot.asks)
        if snapshot.bids.prices and snapshot.asks.prices:
            bid, ask = max(snapshot.bids.prices), min(snapshot.asks.prices)
            if bid > ask:
                self.issues.find("quote_crossed", 1.0, now, "the bid is above the ask", bid=bid, ask=ask)
        if self.resync_wanted and snapshot.last_id >= self._broken_at:
            self._broken_at = -1
            self.issues.end("sequence_break", now)
        return self.done(now)

    def _levels(self, now: int, *sides: Side) -> None:
        for side in sides:
            if side.prices:
                self._amounts(now, min(side.prices), min(side.quantities))

    def dump(self) -> dict[str, Any]:
        """Return all that is remembered as plain data."""
        return {**super().dump(), "last_id": self._last_id, "broken_at": self._broken_at}

    def load(self, data: dict[str, Any]) -> None:
        """Take over what `dump` returned."""
        super().load(data)
        self._last_id = data["last_id"]
        self._broken_at = data["broken_at"]
