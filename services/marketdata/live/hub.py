"""Pass marks on to whoever reads them in this process; nobody is waited for."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

from services.marketdata.core.live.buffer import ConflatingBuffer
from services.marketdata.live.latest import live_mark
from services.marketdata.metrics import STREAM_CONFLATED, STREAM_SUBSCRIBERS
from shared.problems import DependencyUnavailable
from shared.schemas.marketdata import MarkMessage

Gap = Literal["redis_away", "lagged"]


class Subscription:
    """One reader of some symbols: what waits for it, and what it is still to be told."""

    def __init__(self, scope: str, symbols: Iterable[str]) -> None:
        self.scope = scope
        self.buffer = ConflatingBuffer(symbols)
        self.changed = asyncio.Event()
        self.gap: Gap | None = None
        self.snapshot_due = False


class Hub:
    """Know the readers of this process, each by the symbols it asked for."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._number = 0
        self._readers: dict[tuple[str, str], set[Subscription]] = {}
        self.live = False

    @contextmanager
    def subscribe(self, scope: str, symbols: Iterable[str]) -> Iterator[Subscription]:
        """Yield what is published of symbols from here on. Raises DependencyUnavailable where as many read as may."""
        if self._number >= self._most:
            raise DependencyUnavailable(
                "As many read as may (TRADING_MARKETDATA_STREAMS)", headers={"Retry-After": "1"}
            )
        subscription = Subscription(scope, symbols)
        if not self.live:
            subscription.gap = "redis_away"
        keys = [(scope, symbol) for symbol in subscription.buffer.symbols]
        self._number += 1
        STREAM_SUBSCRIBERS.inc()
        for key in keys:
            self._readers.setdefault(key, set()).add(subscription)
        try:
            yield subscription
        finally:
            self._number -= 1
            STREAM_SUBSCRIBERS.dec()
            for key in keys:
                self._readers[key].discard(subscription)
                if not self._readers[key]:
                    del self._readers[key]

    @property
    def listening(self) -> int:
        """Return how many read."""
        return self._number

    def deliver(self, message: MarkMessage) -> None:
        """Pass a mark on to those who read its symbol."""
        readers = self._readers.get((message.simulation_id or "", message.symbol))
        if not readers:
            return
        text = live_mark(message).model_dump_json()
        for reader in readers:
            left_out = reader.buffer.put(message.symbol, message.ts_event, text)
            if left_out:
                STREAM_CONFLATED.inc(left_out)
            reader.changed.set()

    def lose(self) -> None:
        """Tell everybody that nothing comes any more for now."""
        self.live = False
        for reader in self._everybody():
            reader.gap = "redis_away"
            reader.changed.set()

    def resume(self, gap: Gap | None = None) -> None:
        """Have everybody begin again from a snapshot: from here on marks come without a gap."""
        self.live = True
        for reader in self._everybody():
            reader.gap = gap or reader.gap
            reader.snapshot_due = True
            reader.buffer.clear()
            reader.changed.set()

    def _everybody(self) -> set[Subscription]:
        return {reader for readers in self._readers.values() for reader in readers}
