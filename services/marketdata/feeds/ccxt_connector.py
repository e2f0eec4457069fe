"""An exchange by way of ccxt: bars, trades, order books and funding rates, polled."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import InvalidOperation
from functools import partial
from typing import Any, TypeVar

from pydantic import ValidationError

from services.marketdata.feeds.ccxt_exchange import Reach, close_exchange, open_exchange
from services.marketdata.feeds.ccxt_rows import milliseconds, read_bar, read_book, read_funding, read_tick
from services.marketdata.feeds.connector import Delivery, Poll, Row, Stream, batches_of
from services.marketdata.feeds.errors import FeedError, Throttled, Unreachable, Unsupported
from services.marketdata.feeds.metrics import BAD_ROWS
from shared.clock import Clock
from shared.logging import Category, get_trading_logger
from shared.schemas.marketdata import INTERVAL_LENGTH, Bar, Interval

_LOG = get_trading_logger("keelson.marketdata.feeds", Category.MARKET_DATA)
R = TypeVar("R", bound=Row)

_PAGE = 1_000
# So many new trades in an answer, some of which are known already, say that it was a full one.
_TICKS = _PAGE // 2
_LEVELS = 50
# Of bars, the newest that ended; what is older is for a backfill.
_FIRST_BARS = 3
_FUNDING_SECONDS = 300.0
# An exchange that throttles and does not say for how long.
_PAUSE_SECONDS = 60.0
_NO_NUMBER = (TypeError, KeyError, IndexError, ValueError, InvalidOperation, OverflowError)


@dataclass(frozen=True, slots=True)
class CcxtPlan:
    """What to poll of an exchange: `symbols` maps our symbols to its own (`BTC/USDT`), `kinds` as in the settings."""

    exchange: str
    symbols: Mapping[str, str]
    kinds: Sequence[str] = ("bars",)
    intervals: Sequence[Interval] = ("1m",)
    poll_seconds: float = 5.0


class CcxtConnector:
    """Polls one exchange."""

    def __init__(self, name: str, plan: CcxtPlan, reach: Reach, clock: Clock) -> None:
        self.name = name
        self._plan = plan
        self._reach = reach
        self._clock = clock
        self._exchange: Any = None
        # Where each poll goes on: the start of the next bar, the newest trade, the newest funding rate.
        self._since: dict[tuple[str, str], datetime] = {}
        self._seen: dict[str, set[str]] = {}

    async def open(self) -> None:
        """Load the exchange's markets. Raises FeedError where it is unknown, lacks a symbol or does not answer."""
        await self.close()
        swaps = any(":" in theirs for theirs in self._plan.symbols.values())
        self._exchange = open_exchange(self._plan.exchange, swaps, self._reach)
        try:
            await self._ask("load_markets")
            for symbol, theirs in self._plan.symbols.items():
                if theirs not in self._exchange.markets and theirs not in (self._exchange.markets_by_id or {}):
                    raise Unsupported(f"{self._plan.exchange} has no {theirs} (for {symbol})")
        except BaseException:
            # One whose loading was cancelled would wait for it for ever.
            await self.close()
            raise

    def jobs(self) -> Sequence[Poll | Stream]:
        """Return a poll for each symbol and kind; bars are asked for as they end."""
        jobs: list[Poll | Stream] = []
        for symbol in self._plan.symbols:
            if "bars" in self._plan.kinds:
                for interval in self._plan.intervals:
                    every = min(self._plan.poll_seconds, INTERVAL_LENGTH[interval].total_seconds() / 4)
                    jobs.append(Poll(f"bars {symbol} {interval}", every, partial(self._bars, symbol, interval), _PAGE))
            if "ticks" in self._plan.kinds:
                jobs.append(Poll(f"ticks {symbol}", self._plan.poll_seconds, partial(self._ticks, symbol), _TICKS))
            if "order_books" in self._plan.kinds:
                jobs.append(Poll(f"order book {symbol}", self._plan.poll_seconds, partial(self._book, symbol)))
            if "funding_rates" in self._plan.kinds:
                jobs.append(Poll(f"funding {symbol}", _FUNDING_SECONDS, partial(self._funding, symbol)))
        return jobs

    async def fetch_bars(self, symbol: str, interval: Interval, start: datetime, end: datetime) -> list[Bar]:
        """Return the first bars in [start, end) that have ended, oldest first, up to 1,000."""
        raw = await self._ask("fetch_ohlcv", self._theirs(symbol), interval, milliseconds(start), _PAGE)
        length, now = INTERVAL_LENGTH[interval], self._clock.now()
        bars = self._read(raw, lambda row: read_bar(symbol, interval, row))
        # The one in the making changes still; an exchange may also answer with what was not asked for.
        kept = {bar.ts: bar for bar in bars if start <= bar.ts < end and bar.ts + length <= now}
        return [kept[ts] for ts in sorted(kept)]

    async def close(self) -> None:
        """Close the connections."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            await close_exchange(exchange)

    async def _bars(self, symbol: str, interval: Interval) -> list[Delivery]:
        key, now = (symbol, interval), self._clock.now()
        start = self._since.get(key, now - (_FIRST_BARS + 1) * INTERVAL_LENGTH[interval])
        bars = await self.fetch_bars(symbol, interval, start, now)
        # The newest is asked for again: just after its end it may not have been final.
        return self._deliver(bars, key, bars[-1].ts if bars else start)

    async def _ticks(self, symbol: str) -> list[Delivery]:
        key = (symbol, "ticks")
        since = self._since.get(key)
        raw = await self._ask("fetch_trades", self._theirs(symbol), milliseconds(since) if since else None, _PAGE)
        ticks = self._read(raw, lambda row: read_tick(symbol, row))
        seen = self._seen.get(symbol, set())
        new = {tick.trade_id: tick for tick in ticks if tick.trade_id not in seen and (not since or tick.ts >= since)}
        rows = sorted(new.values(), key=lambda tick: tick.ts)
        if not rows and since and len(ticks) >= _PAGE:
            # A millisecond with more trades than an answer holds would be asked for for ever.
            self._since[key] = since + timedelta(milliseconds=1)
        newest = rows[-1].ts if rows else since

        def taken() -> None:
            # A millisecond holds many trades: it is asked for again, and those that were had are left out.
            ids = {tick.trade_id for tick in rows if tick.ts == newest}
            self._seen[symbol] = ids | seen if newest == since else ids

        return self._deliver(rows, key, newest, taken)

    async def _book(self, symbol: str) -> list[Delivery]:
        raw = await self._ask("fetch_order_book", self._theirs(symbol), _LEVELS)
        books = self._read([raw], lambda row: read_book(symbol, row, self._clock.now()))
        return self._deliver(books, (symbol, "book"), None)

    async def _funding(self, symbol: str) -> list[Delivery]:
        key = (symbol, "funding")
        since = self._since.get(key)
        asked = milliseconds(since) if since else None
        raw = await self._ask("fetch_funding_rate_history", self._theirs(symbol), asked, 100)
        rates = self._read(raw, lambda row: read_funding(symbol, row))
        new = {rate.ts: rate for rate in rates if since is None or rate.ts > since}
        return self._deliver([new[ts] for ts in sorted(new)], key, max(new, default=None))

    def _deliver(
        self, rows: Sequence[Row], key: tuple[str, str], since: datetime | None, more: Callable[[], None] | None = None
    ) -> list[Delivery]:
        def taken() -> None:
            if since is not None:
                self._since[key] = since
            if more is not None:
                more()

        return [Delivery(batch, taken) for batch in batches_of(self.name, rows)]

    def _theirs(self, symbol: str) -> str:
        return self._plan.symbols.get(symbol, symbol)

    def _read(self, raw: Any, make: Callable[[Any], R]) -> list[R]:
        """Return rows of an answer; one that cannot be read is counted and left out, unless none can be."""
        if not isinstance(raw, list):
            raise Unreachable(f"{self.name} answered something that cannot be read")
        rows, bad = [], ""
        for each in raw:
            try:
                rows.append(make(each))
            except ValidationError as error:
                bad = str(error.errors(include_url=False, include_input=False)[0]["msg"])
            except _NO_NUMBER as error:
                bad = f"{type(error).__name__}: {error}"
        if len(rows) < len(raw):
            BAD_ROWS.labels(self.name).inc(len(raw) - len(rows))
            if not rows:
                raise Unreachable(f"{self.name} answered no row that can be read: {bad}")
            _LOG.warning("rows cannot be read", source=self.name, rows=len(raw) - len(rows), reason=bad)
        return rows

    async def _ask(self, method: str, *arguments: Any) -> Any:
        """Return what a method of ccxt answers. Raises FeedError."""
        import aiohttp
        import ccxt

        if self._exchange is None:
            raise Unreachable(f"{self.name} is closed")
        self._exchange.last_response_headers = {}
        try:
            return await getattr(self._exchange, method)(*arguments)
        except (ccxt.DDoSProtection, ccxt.RateLimitExceeded) as error:
            raise Throttled(_short(error), _retry_after(self._exchange.last_response_headers)) from error
        except (ccxt.BadSymbol, ccxt.NotSupported) as error:
            raise Unsupported(_short(error)) from error
        except (ccxt.OperationFailed, OSError) as error:
            raise Unreachable(_short(error)) from error
        except ccxt.BaseError as error:
            # What its HTTP client fails with, a proxy that refuses for one, ccxt calls an error of the exchange.
            kind = Unreachable if isinstance(error.__cause__, aiohttp.ClientError) else FeedError
            raise kind(_short(error)) from error
        except (*_NO_NUMBER, AttributeError) as error:
            # ccxt reads an answer that is no JSON as text, and trips over it.
            raise Unreachable(f"{self.name} answered something that cannot be read ({type(error).__name__})") from error


def _retry_after(headers: Mapping[str, str] | None) -> float:
    text = next((value for name, value in (headers or {}).items() if name.lower() == "retry-after"), "")
    return float(text) if text.strip().isdigit() else _PAUSE_SECONDS


def _short(error: Exception) -> str:
    # The whole of an error page may be in it. Of its cause the name alone: a proxy's URL may have a password.
    cause = f" ({type(error.__cause__).__name__})" if error.__cause__ else ""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300] + cause
