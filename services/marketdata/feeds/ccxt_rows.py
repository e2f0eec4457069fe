"""Rows of ccxt's unified answers as our contracts. Each raises ValueError, or what a missing part raises."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from shared.schemas.market_events import Aggressor, FundingRate, OrderBook, Tick
from shared.schemas.marketdata import Bar, Interval

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_bar(symbol: str, interval: Interval, row: Any) -> Bar:
    """Return a bar."""
    start, opened, high, low, close, volume = row[:6]
    # ccxt leaves out the money traded.
    return Bar(
        symbol=symbol,
        interval=interval,
        ts=moment_of(start),
        open=exact(opened),
        high=exact(high),
        low=exact(low),
        close=exact(close),
        volume=exact(volume),
    )


def read_tick(symbol: str, row: Any) -> Tick:
    """Return a trade."""
    return Tick(
        symbol=symbol,
        ts=moment_of(row["timestamp"]),
        trade_id=str(row["id"]),
        price=exact(row["price"]),
        quantity=exact(row["amount"]),
        aggressor=Aggressor(row["side"]) if row.get("side") else None,
    )


def read_book(symbol: str, row: Any, now: datetime) -> OrderBook:
    """Return an order book; many exchanges do not say of when it is: it is then of when it came."""

    def levels(side: str) -> list[tuple[Decimal, Decimal]]:
        return [(exact(level[0]), exact(level[1])) for level in row[side]]

    nonce, moment = row.get("nonce"), row.get("timestamp")
    return OrderBook(
        symbol=symbol,
        ts=moment_of(moment) if moment else now,
        bids=levels("bids"),
        asks=levels("asks"),
        sequence=int(nonce) if nonce is not None else None,
    )


def read_funding(symbol: str, row: Any) -> FundingRate:
    """Return a funding rate."""
    return FundingRate(symbol=symbol, ts=moment_of(row["timestamp"]), rate=exact(row["fundingRate"]))


def exact(value: Any) -> Decimal:
    """Return a number as the exchange wrote it; of a float, what few exchanges still leave one, its shortest text."""
    if value is None or isinstance(value, bool):
        raise ValueError("a number is missing")
    return Decimal(repr(value) if isinstance(value, float) else str(value))


def moment_of(value: Any) -> datetime:
    """Return the moment of milliseconds since 1970."""
    return _EPOCH + timedelta(milliseconds=int(value))


def milliseconds(moment: datetime) -> int:
    """Return the milliseconds since 1970 of a moment."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)
