"""Recorded messages of Binance's futures streams: a line is the receive time in ns since 1970, a space, and the JSON.

Of trades only those of the market are ticks. A best quote is a book of one level, an update a book of the best twenty
as it is then, once a snapshot is there; both are dated at the transaction, not at the sending.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from services.marketdata.core.stream.book import Applied, OrderBookBuilder
from services.marketdata.core.stream.messages import (
    BadMessage,
    DepthSnapshot,
    DepthUpdate,
    Message,
    Quote,
    Stream,
    Trade,
)
from services.marketdata.formats.binance_messages import parse_message
from services.marketdata.formats.dataset import Hear, Report
from services.marketdata.formats.reading import Line, TimeOrder, reporting, text_lines
from shared.schemas.market_events import Aggressor, Level, OrderBook, Tick

BOOK_LEVELS = 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The year 2262, and all that numpy and PostgreSQL drivers hold in 64 bits.
_LATEST_NS = 2**63


def _unheard(_: Message) -> None:
    return None


def parse_line(text: str, snapshot_symbol: str) -> Message | BadMessage:
    """Return the message of a line, or why there is none; never raises."""
    stamp, _, payload = text.partition(" ")
    if not (stamp.isascii() and stamp.isdigit()) or len(stamp) > 19 or int(stamp) >= _LATEST_NS:
        return BadMessage(f"{stamp[:40]!r} is not nanoseconds since 1970")
    return parse_message(int(stamp), payload, snapshot_symbol)


def read_messages(
    paths: Sequence[Path],
    *,
    symbol: str,
    report: Report,
    streams: Sequence[Stream | None] = (*Stream, None),
) -> Iterator[tuple[Line, Message]]:
    """Yield the messages of `symbol` in the order they were received; raises FormatError.

    Bad lines are reported that are of one of `streams`; None stands for those that do not tell of which they are.
    """
    for path in sorted(paths):
        with closing(text_lines(path)) as lines:
            for line in lines:
                message = parse_line(line.text, symbol)
                if isinstance(message, BadMessage):
                    if message.stream in streams:
                        report(line.bad(message.reason))
                elif message.symbol == symbol:
                    yield line, message
                elif None in streams:
                    report(line.bad(f"the symbol is {message.symbol!r}, not {symbol!r}"))


def read_trades(paths: Sequence[Path], *, symbol: str, report: Report, hear: Hear = _unheard) -> Iterator[Tick]:
    """Yield the trades, and report lines that are nothing at all; raises FormatError.

    Each of the three readers tells `hear` the messages of its own stream, so that all three tell each message once.
    """
    order = TimeOrder(report, ties=True)
    for line, message in read_messages(paths, symbol=symbol, report=report, streams=(Stream.TRADES, None)):
        if not isinstance(message, Trade):
            continue
        hear(message)
        if message.market:
            with reporting(line, report):
                tick = tick_of(message)
                if order.accepts(tick.ts, line):
                    yield tick


def read_quotes(paths: Sequence[Path], *, symbol: str, report: Report, hear: Hear = _unheard) -> Iterator[OrderBook]:
    """Yield the best quotes as books of one level; raises FormatError."""
    order = TimeOrder(report, ties=True)
    for line, message in read_messages(paths, symbol=symbol, report=report, streams=(Stream.QUOTES,)):
        if isinstance(message, Quote):
            hear(message)
            with reporting(line, report):
                book = book_of(message)
                if order.accepts(book.ts, line):
                    yield book


def read_books(paths: Sequence[Path], *, symbol: str, report: Report, hear: Hear = _unheard) -> Iterator[OrderBook]:
    """Yield the book after the snapshot and after each update; one that breaks the sequence is reported."""
    order = TimeOrder(report, ties=True)
    builder = OrderBookBuilder(symbol)
    for line, message in read_messages(paths, symbol=symbol, report=report, streams=(Stream.DEPTH,)):
        if isinstance(message, DepthSnapshot):
            hear(message)
            builder.snapshot(message)
        elif isinstance(message, DepthUpdate):
            hear(message)
            applied = builder.apply(message)
            if applied is Applied.BROKEN:
                report(line.bad(f"the update follows {message.previous_id}, which did not come: the book is lost"))
            if applied is not Applied.APPLIED:
                continue
        else:
            continue
        with reporting(line, report):
            book = builder.top(BOOK_LEVELS)
            if book is not None and order.accepts(book.ts, line):
                yield book


def tick_of(trade: Trade) -> Tick:
    """Return a trade as it goes on the wire; raises ValidationError."""
    return Tick(
        symbol=trade.symbol,
        ts=_moment(trade.ts_ms),
        trade_id=str(trade.trade_id),
        price=Decimal(trade.price_text),
        quantity=Decimal(trade.quantity_text),
        aggressor=Aggressor.BUY if trade.buyer_crossed else Aggressor.SELL,
    )


def book_of(quote: Quote) -> OrderBook:
    """Return a best quote as a book of one level, an empty side without any; raises ValidationError."""
    bid, bid_quantity, ask, ask_quantity = (Decimal(text) for text in quote.texts)
    return OrderBook(
        symbol=quote.symbol,
        ts=_moment(quote.ts_ms),
        bids=_side(bid, bid_quantity),
        asks=_side(ask, ask_quantity),
        sequence=quote.update_id,
    )


def _side(price: Decimal, quantity: Decimal) -> list[Level]:
    return [(price, quantity)] if price or quantity else []


def _moment(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)
