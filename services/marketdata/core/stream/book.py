"""Keep a book: a snapshot, and the updates after it."""

from bisect import bisect_left, insort
from collections import deque
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum, auto

from services.marketdata.core.stream.messages import DepthSnapshot, DepthUpdate, Side
from shared.schemas.market_events import Level, OrderBook

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Deeper than any book a venue sends; a stream that goes beyond is not kept.
MOST_LEVELS = 20_000
# Seconds of a busy stream: longer than a snapshot takes to come.
_UPDATES_KEPT = 500


class Applied(Enum):
    """What became of an update."""

    APPLIED = auto()
    STALE = auto()
    WAITING = auto()
    BROKEN = auto()


class _Levels:
    """One side: exact texts of price and quantity by price, and the prices sorted."""

    __slots__ = ("_prices", "_texts")

    def __init__(self) -> None:
        self._prices: list[float] = []
        self._texts: dict[float, tuple[str, str]] = {}

    def __len__(self) -> int:
        return len(self._prices)

    def put(self, side: Side) -> None:
        """Set levels to new quantities; zero removes, and removing what is not there is normal."""
        texts, prices = self._texts, self._prices
        pairs = zip(side.texts[::2], side.texts[1::2], strict=True)
        for price, quantity, text in zip(side.prices, side.quantities, pairs, strict=True):
            if quantity > 0:
                if price not in texts:
                    insort(prices, price)
                texts[price] = text
            elif texts.pop(price, None) is not None:
                del prices[bisect_left(prices, price)]

    def lowest(self, count: int) -> list[Level]:
        """Return the lowest prices, lowest first."""
        return [self._level(price) for price in self._prices[:count]]

    def highest(self, count: int) -> list[Level]:
        """Return the highest prices, highest first."""
        return [self._level(price) for price in self._prices[: -count - 1 : -1]]

    def _level(self, price: float) -> Level:
        price_text, quantity = self._texts[price]
        return Decimal(price_text), Decimal(quantity)


class OrderBookBuilder:
    """The book of one instrument, as Binance says to keep it.

    A snapshot comes later than updates that follow it, so the last updates are kept. Of those after a snapshot the
    first must reach over it, and each must follow the one before. Where one does not, the book is broken, and there is
    none until a snapshot that what came since goes back to.
    """

    def __init__(self, symbol: str) -> None:
        self._symbol = symbol
        # The last updates, each following the one before.
        self._recent: deque[DepthUpdate] = deque(maxlen=_UPDATES_KEPT)
        self._clear()

    def _clear(self) -> None:
        self._bids = _Levels()
        self._asks = _Levels()
        self._last_id = -1
        self._previous_id: int | None = None
        self._ts_ms = 0
        self._ready = False

    @property
    def ready(self) -> bool:
        """Return whether there is a book: a snapshot, and nothing missing since."""
        return self._ready

    def snapshot(self, snapshot: DepthSnapshot) -> Applied:
        """Begin anew with a snapshot and the updates since; WAITING where some between them did not come."""
        self._clear()
        self._put(snapshot.bids, snapshot.asks)
        self._last_id = snapshot.last_id
        self._ts_ms = snapshot.ts_ms
        since = [update for update in self._recent if update.last_id >= snapshot.last_id]
        if since and not _reaches(since[0], snapshot.last_id):
            self._clear()
            return Applied.WAITING
        self._ready = True
        for update in since:
            self._advance(update)
        return Applied.APPLIED

    def apply(self, update: DepthUpdate) -> Applied:
        """Apply an update, if it is the next."""
        recent = self._recent
        if recent and update.last_id <= recent[-1].last_id:
            return Applied.STALE
        if recent and update.previous_id != recent[-1].last_id:
            recent.clear()
        recent.append(update)
        if not self._ready:
            return Applied.WAITING
        fresh = self._previous_id is None
        if fresh and update.last_id < self._last_id:
            return Applied.STALE
        follows = _reaches(update, self._last_id) if fresh else update.previous_id == self._last_id
        if follows:
            self._advance(update)
        if not follows or len(self._bids) > MOST_LEVELS or len(self._asks) > MOST_LEVELS:
            self._clear()
            return Applied.BROKEN
        return Applied.APPLIED

    def _advance(self, update: DepthUpdate) -> None:
        self._put(update.bids, update.asks)
        self._previous_id, self._last_id = update.previous_id, update.last_id
        self._ts_ms = update.ts_ms

    def _put(self, bids: Side, asks: Side) -> None:
        self._bids.put(bids)
        self._asks.put(asks)

    def top(self, levels: int) -> OrderBook | None:
        """Return the best levels of each side, best first; None while there is no book."""
        if not self._ready:
            return None
        return OrderBook(
            symbol=self._symbol,
            ts=_EPOCH + timedelta(milliseconds=self._ts_ms),
            bids=self._bids.highest(levels),
            asks=self._asks.lowest(levels),
            sequence=self._last_id,
            previous_sequence=self._previous_id,
        )


def _reaches(update: DepthUpdate, last_id: int) -> bool:
    """Return whether the first update after a snapshot leaves nothing out between them."""
    # Ids also skip between updates: one that names the snapshot's as the one before follows it as well.
    return update.first_id <= last_id <= update.last_id or update.previous_id == last_id
