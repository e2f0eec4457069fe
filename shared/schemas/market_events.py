"""Trades, order books, funding rates and liquidations of one instrument each."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from shared.money import Amount, NonNegativeAmount, Sum
from shared.schemas.base import Contract, Identifier, Severity, Symbol, UtcDatetime, Whole
from shared.schemas.marketdata import QualityIssue

MOST_ROWS = 50_000
# Deeper books are snapshots of thousands of levels that nobody trades through.
MOST_LEVELS = 1_000

Sequence = Annotated[Whole, Field(ge=0, lt=2**63)]
Level = tuple[Amount, NonNegativeAmount]


def _with_quantity(levels: list[Level]) -> list[Level]:
    return [level for level in levels if level[1]]


# What venues say of a price that nobody quotes any more is a quantity of zero.
Levels = Annotated[list[Level], Field(max_length=MOST_LEVELS), AfterValidator(_with_quantity)]


class Aggressor(StrEnum):
    """Who crossed the spread."""

    BUY = "buy"
    SELL = "sell"


class Tick(Contract):
    """One trade at a venue; `trade_id` is the venue's own, which makes a trade sent twice one trade."""

    symbol: Symbol
    ts: UtcDatetime
    trade_id: Identifier
    price: Amount
    quantity: Amount
    aggressor: Aggressor | None = None


class OrderBook(Contract):
    """The best levels of a book at one moment, best first, as price and quantity; one without a quantity is left out.

    `sequence` is the venue's last update in it; `previous_sequence` the one it follows, where the venue says so.
    """

    symbol: Symbol
    ts: UtcDatetime
    bids: Levels
    asks: Levels
    sequence: Sequence | None = None
    previous_sequence: Sequence | None = None


class FundingRate(Contract):
    """What longs pay shorts of a perpetual at one moment, as a fraction of the notional."""

    symbol: Symbol
    ts: UtcDatetime
    rate: Amount
    interval_hours: Annotated[Whole, Field(ge=1, le=24)] = 8
    mark_price: Amount | None = None


class Liquidation(Contract):
    """A position closed by the venue; without an id of the venue's, its side, price and quantity tell it apart."""

    symbol: Symbol
    ts: UtcDatetime
    side: Aggressor
    price: Amount
    quantity: Amount
    liquidation_id: Identifier | None = None


class TickBatch(Contract):
    """Trades of one source; `simulation_id` keeps replayed data away from live ones."""

    source: Identifier
    simulation_id: Identifier | None = None
    ticks: Annotated[list[Tick], Field(min_length=1, max_length=MOST_ROWS)]


class OrderBookBatch(Contract):
    """Order books of one source; `simulation_id` keeps replayed data away from live ones."""

    source: Identifier
    simulation_id: Identifier | None = None
    order_books: Annotated[list[OrderBook], Field(min_length=1, max_length=MOST_ROWS)]


class FundingRateBatch(Contract):
    """Funding rates of one source; `simulation_id` keeps replayed data away from live ones."""

    source: Identifier
    simulation_id: Identifier | None = None
    funding_rates: Annotated[list[FundingRate], Field(min_length=1, max_length=MOST_ROWS)]


class LiquidationBatch(Contract):
    """Liquidations of one source; `simulation_id` keeps replayed data away from live ones."""

    source: Identifier
    simulation_id: Identifier | None = None
    liquidations: Annotated[list[Liquidation], Field(min_length=1, max_length=MOST_ROWS)]


class StoredRow(Contract):
    """What is known of a stored row beside the row: where it is from, which revision it is, and the verdict on it."""

    source: Identifier
    revision: int
    severity: Severity
    issues: list[QualityIssue] = []
    ts_init: UtcDatetime


class StoredTick(Tick, StoredRow):
    """A trade as it was stored."""


class StoredOrderBook(OrderBook, StoredRow):
    """An order book as it was stored."""


class StoredFundingRate(FundingRate, StoredRow):
    """A funding rate as it was stored."""


class StoredLiquidation(Liquidation, StoredRow):
    """A liquidation as it was stored."""


class HourlyVolume(Contract):
    """What was traded of a symbol at a source in one hour; `ts` is its start, `notional` the sum of price by quantity.

    Trades whose aggressor is not known are part of the volume, and of neither side.
    """

    symbol: Symbol
    source: Identifier
    ts: UtcDatetime
    volume: Sum
    buy_volume: Sum
    sell_volume: Sum
    notional: Sum
    trades: int
