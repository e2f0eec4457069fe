"""Judge the streams of one source message by message, in constant time and bounded memory."""

from collections.abc import Mapping
from typing import Any

from services.marketdata.core.stream.issues import NOTHING, Outcome, Standing
from services.marketdata.core.stream.lane import Watch
from services.marketdata.core.stream.lanes import DepthLane, QuoteLane, TradeLane
from services.marketdata.core.stream.messages import DepthUpdate, Message, Quote, Trade


class _Symbol:
    """The three streams of one instrument."""

    __slots__ = ("depth", "quotes", "trades")

    def __init__(self, symbol: str, watch: Watch) -> None:
        self.trades = TradeLane(symbol, watch)
        self.quotes = QuoteLane(symbol, watch)
        self.depth = DepthLane(symbol, watch)

    @property
    def lanes(self) -> tuple[TradeLane, QuoteLane, DepthLane]:
        return self.trades, self.quotes, self.depth


class StreamMonitor:
    """The checks of one source's streams; of instruments it was not told to watch nothing is said.

    An issue that persists is told when it begins, worsens, eases and ends, and counted between. Its clock is the
    receive time of the messages. `dump` and `load` carry it over a restart as plain data that JSON can hold.
    """

    def __init__(self, watches: Mapping[str, Watch]) -> None:
        self._symbols = {symbol: _Symbol(symbol, watch) for symbol, watch in watches.items()}

    def observe(self, message: Message) -> Outcome:
        """Return the findings of a message and the issues that changed by it; mostly the same empty outcome."""
        symbol = self._symbols.get(message.symbol)
        if symbol is None:
            return NOTHING
        if isinstance(message, Quote):
            return symbol.quotes.observe(message)
        if isinstance(message, Trade):
            return symbol.trades.observe(message)
        if isinstance(message, DepthUpdate):
            return symbol.depth.observe(message)
        return symbol.depth.synchronise(message)

    def standing(self) -> list[Standing]:
        """Return the open issues of all instruments."""
        return [issue for symbol in self._symbols.values() for lane in symbol.lanes for issue in lane.standing()]

    def resync_wanted(self, symbol: str) -> bool:
        """Return whether a snapshot of an instrument's book is wanted, as updates of it are missing."""
        return self._symbols[symbol].depth.resync_wanted

    def messages(self, symbol: str) -> int:
        """Return how many messages of an instrument were judged, snapshots aside."""
        return sum(lane.messages for lane in self._symbols[symbol].lanes)

    def skew(self, symbol: str) -> float | None:
        """Return receive time less event time in seconds, of the stream where it is furthest from zero; or None."""
        known = [lane.skew for lane in self._symbols[symbol].lanes if lane.skew is not None]
        return max(known, key=abs, default=None)

    def trade_ids_skipped(self, symbol: str) -> int:
        """Return how many trade ids were left out between trades."""
        return self._symbols[symbol].trades.ids_skipped

    def dump(self) -> dict[str, Any]:
        """Return all that is remembered as plain data."""
        return {name: [lane.dump() for lane in symbol.lanes] for name, symbol in self._symbols.items()}

    def load(self, data: Mapping[str, Any]) -> None:
        """Take over what `dump` returned, of the instruments watched here."""
        for name, symbol in self._symbols.items():
            for lane, remembered in zip(symbol.lanes, data.get(name, ()), strict=False):
                lane.load(remembered)
