"""The kinds of rows that are taken in: what one is on the wire, and its columns."""

from dataclasses import dataclass, field

import pyarrow as pa

from services.marketdata.core.catalogue import Subject
from shared.schemas.base import Contract
from shared.schemas.market_events import FundingRate, Liquidation, OrderBook, Tick
from shared.schemas.marketdata import Bar, MarketState

MONEY = pa.decimal128(28, 10)
TIME = pa.timestamp("us", "UTC")
TEXT = pa.string()

MOST_READ = 200_000

_SERIES = (("symbol", TEXT), ("ts", TIME))


@dataclass(frozen=True)
class RowKind:
    """A kind of rows: `plural` is its field of a JSON batch, `columns` are in the order of the wire contract."""

    subject: Subject
    plural: str
    model: type[Contract]
    columns: tuple[tuple[str, pa.DataType], ...]
    optional: frozenset[str] = frozenset()
    # Hold more than one value each: JSON where a form has single values only. Such rows are read one by one.
    json: frozenset[str] = frozenset()
    # Rows of a page that is not JSON: what is held at once, here and in PostgreSQL.
    most: int = MOST_READ
    schema: pa.Schema = field(init=False)

    def __post_init__(self) -> None:
        fields = [pa.field(name, kind, nullable=name in self.optional) for name, kind in self.columns]
        object.__setattr__(self, "schema", pa.schema(fields))

    @property
    def name(self) -> str:
        """Return the name of one row."""
        return self.subject.value


BARS = RowKind(
    Subject.BAR,
    "bars",
    Bar,
    (
        ("symbol", TEXT),
        ("interval", TEXT),
        ("ts", TIME),
        *((name, MONEY) for name in ("open", "high", "low", "close", "volume", "amount")),
    ),
    optional=frozenset({"amount"}),
)
TICKS = RowKind(
    Subject.TICK,
    "ticks",
    Tick,
    (*_SERIES, ("trade_id", TEXT), ("price", MONEY), ("quantity", MONEY), ("aggressor", TEXT)),
    optional=frozenset({"aggressor"}),
)
ORDER_BOOKS = RowKind(
    Subject.ORDER_BOOK,
    "order_books",
    OrderBook,
    (*_SERIES, ("bids", TEXT), ("asks", TEXT), ("sequence", pa.int64()), ("previous_sequence", pa.int64())),
    optional=frozenset({"sequence", "previous_sequence"}),
    json=frozenset({"bids", "asks"}),
    most=20_000,
)
FUNDING_RATES = RowKind(
    Subject.FUNDING_RATE,
    "funding_rates",
    FundingRate,
    (*_SERIES, ("rate", MONEY), ("interval_hours", pa.int16()), ("mark_price", MONEY)),
    optional=frozenset({"interval_hours", "mark_price"}),
)
LIQUIDATIONS = RowKind(
    Subject.LIQUIDATION,
    "liquidations",
    Liquidation,
    (*_SERIES, ("side", TEXT), ("price", MONEY), ("quantity", MONEY), ("liquidation_id", TEXT)),
    optional=frozenset({"liquidation_id"}),
)
MARKET_STATES = RowKind(
    Subject.MARKET_STATE,
    "states",
    MarketState,
    (
        ("symbol", TEXT),
        ("timestamp", TIME),
        ("spot_price", MONEY),
        ("spot_prices", TEXT),
        ("total_call_oi", MONEY),
        ("total_put_oi", MONEY),
        ("option_chain", TEXT),
    ),
    optional=frozenset({"timestamp", "spot_price", "spot_prices", "total_call_oi", "total_put_oi", "option_chain"}),
    json=frozenset({"spot_prices", "option_chain"}),
)
KINDS = (BARS, TICKS, ORDER_BOOKS, FUNDING_RATES, LIQUIDATIONS)
