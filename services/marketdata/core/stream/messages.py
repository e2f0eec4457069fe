"""Messages of a stream: light and immutable, as tens of thousands a second are made of them.

Times are integers, `received_ns` since 1970 in nanoseconds, `event_ms` (when the venue sent it) and `ts_ms` (when it
happened) in milliseconds. Prices and quantities are floats to judge by; the texts beside them are exact.
"""

from enum import StrEnum
from typing import NamedTuple


class Stream(StrEnum):
    """The streams of one instrument; messages are in order within each, not across."""

    TRADES = "trades"
    QUOTES = "quotes"
    DEPTH = "depth"


class Trade(NamedTuple):
    """One trade; `market` is false of what no order made, such as a payment of the insurance fund."""

    received_ns: int
    event_ms: int
    ts_ms: int
    symbol: str
    trade_id: int
    price: float
    quantity: float
    price_text: str
    quantity_text: str
    buyer_crossed: bool
    market: bool


class Quote(NamedTuple):
    """The best bid and ask; a side with neither price nor quantity is empty."""

    received_ns: int
    event_ms: int
    ts_ms: int
    symbol: str
    update_id: int
    bid: float
    bid_quantity: float
    ask: float
    ask_quantity: float
    texts: tuple[str, str, str, str]


class Side(NamedTuple):
    """Levels of one side of a book: prices and quantities, and `texts` of both by turns."""

    # Flat: a list for every level would be millions for the garbage collector to look at.
    texts: list[str]
    prices: list[float]
    quantities: list[float]


class DepthUpdate(NamedTuple):
    """New quantities of some levels, zero where one is gone; it follows the update `previous_id`."""

    received_ns: int
    event_ms: int
    ts_ms: int
    symbol: str
    first_id: int
    last_id: int
    previous_id: int
    bids: Side
    asks: Side
    checksum: int


class DepthSnapshot(NamedTuple):
    """The best levels of a book as they were after the update `last_id`."""

    received_ns: int
    event_ms: int
    ts_ms: int
    symbol: str
    last_id: int
    bids: Side
    asks: Side


Message = Trade | Quote | DepthUpdate | DepthSnapshot


class BadMessage(NamedTuple):
    """What could not be taken for a message, and of which stream it claimed to be."""

    reason: str
    stream: Stream | None = None
