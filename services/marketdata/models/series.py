"""Tables of rows of data, their earlier revisions, and what is rolled up from them."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, BigInteger, Identity, Index, Numeric
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from services.marketdata.models.base import NAME, Base, Big, Key, KeyTime, Small, Sum


class Judged:
    """What every row of data has beside its data: its revision, when it was learnt, and the verdict on it.

    `severity` is 0 for ok, 1 for a warning, 2 for critical; `issues` are its findings, NULL without any.
    """

    revision: Mapped[int]
    severity: Mapped[Small]
    issues: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB)
    ts_init: Mapped[datetime]


class Superseded:
    """What a row of an earlier revision has beside: when a later one took its place."""

    superseded_at: Mapped[datetime]


class BarColumns:
    """A bar."""

    scope: Mapped[Key]
    symbol: Mapped[Key]
    interval: Mapped[Key]
    ts: Mapped[KeyTime]
    source: Mapped[Key]
    open: Mapped[Decimal]
    high: Mapped[Decimal]
    low: Mapped[Decimal]
    close: Mapped[Decimal]
    volume: Mapped[Decimal]
    amount: Mapped[Decimal | None]


class TickColumns:
    """A trade."""

    scope: Mapped[Key]
    symbol: Mapped[Key]
    ts: Mapped[KeyTime]
    source: Mapped[Key]
    trade_id: Mapped[Key]
    price: Mapped[Decimal]
    quantity: Mapped[Decimal]
    aggressor: Mapped[str | None]


class OrderBookColumns:
    """The best levels of a book; -1 where the venue numbers no updates."""

    scope: Mapped[Key]
    symbol: Mapped[Key]
    ts: Mapped[KeyTime]
    source: Mapped[Key]
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    previous_sequence: Mapped[int | None] = mapped_column(BigInteger)
    bids: Mapped[list[list[str]]] = mapped_column(JSONB)
    asks: Mapped[list[list[str]]] = mapped_column(JSONB)


class FundingRateColumns:
    """A funding rate."""

    scope: Mapped[Key]
    symbol: Mapped[Key]
    ts: Mapped[KeyTime]
    source: Mapped[Key]
    rate: Mapped[Decimal]
    interval_hours: Mapped[Small]
    mark_price: Mapped[Decimal | None]


class LiquidationColumns:
    """A liquidation."""

    scope: Mapped[Key]
    symbol: Mapped[Key]
    ts: Mapped[KeyTime]
    source: Mapped[Key]
    liquidation_id: Mapped[Key]
    side: Mapped[str]
    price: Mapped[Decimal]
    quantity: Mapped[Decimal]


class StateColumns:
    """A market state as it came; one that does not say when it was is kept at the time when it came.

    `relative_spread` is the median spread near the money as a fraction of the mid: the day's is known by them.
    """

    scope: Mapped[Key]
    symbol: Mapped[Key]
    ts: Mapped[KeyTime]
    source: Mapped[Key]
    timestamp: Mapped[datetime | None]
    market_state_id: Mapped[str] = mapped_column(NAME)
    spot_price: Mapped[Decimal | None]
    total_call_oi: Mapped[Decimal | None]
    total_put_oi: Mapped[Decimal | None]
    option_chain: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))
    content_hash: Mapped[str]
    spot_prices: Mapped[list[str] | None] = mapped_column(JSONB)
    relative_spread: Mapped[Decimal | None]


class OhlcvBar(BarColumns, Judged, Base):
    """A bar in its newest revision."""

    __tablename__ = "ohlcv_bar"


class OhlcvBarRevision(BarColumns, Judged, Superseded, Base):
    """A bar in an earlier revision."""

    __tablename__ = "ohlcv_bar_revision"
    revision: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class TradeTick(TickColumns, Judged, Base):
    """A trade in its newest revision."""

    __tablename__ = "trade_tick"


class TradeTickRevision(TickColumns, Judged, Superseded, Base):
    """A trade in an earlier revision."""

    __tablename__ = "trade_tick_revision"
    revision: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class OrderBookSnapshot(OrderBookColumns, Judged, Base):
    """A book in its newest revision."""

    __tablename__ = "order_book_snapshot"


class OrderBookSnapshotRevision(OrderBookColumns, Judged, Superseded, Base):
    """A book in an earlier revision."""

    __tablename__ = "order_book_snapshot_revision"
    revision: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class FundingRateRow(FundingRateColumns, Judged, Base):
    """A funding rate in its newest revision."""

    __tablename__ = "funding_rate"


class FundingRateRevision(FundingRateColumns, Judged, Superseded, Base):
    """A funding rate in an earlier revision."""

    __tablename__ = "funding_rate_revision"
    revision: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class LiquidationEvent(LiquidationColumns, Judged, Base):
    """A liquidation in its newest revision."""

    __tablename__ = "liquidation_event"


class LiquidationEventRevision(LiquidationColumns, Judged, Superseded, Base):
    """A liquidation in an earlier revision."""

    __tablename__ = "liquidation_event_revision"
    revision: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class MarketStateRow(StateColumns, Judged, Base):
    """A market state in its newest revision."""

    __tablename__ = "market_state"
    __table_args__ = (Index("ix_market_state_market_state_id", "market_state_id"),)


class MarketStateRevision(StateColumns, Judged, Superseded, Base):
    """A market state in an earlier revision."""

    __tablename__ = "market_state_revision"
    __table_args__ = (Index("ix_market_state_revision_market_state_id", "market_state_id"),)
    revision: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class RollUpQueue(Base):
    """A range of time whose roll-ups are out of date: of bars of one minute, or of trades."""

    __tablename__ = "roll_up_queue"
    __table_args__ = (Index("ix_roll_up_queue_symbol", "scope", "symbol"),)

    entry_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    of: Mapped[str]
    scope: Mapped[str] = mapped_column(NAME)
    symbol: Mapped[str] = mapped_column(NAME)
    source: Mapped[str] = mapped_column(NAME)
    from_ts: Mapped[datetime]
    to_ts: Mapped[datetime]
    queued_at: Mapped[datetime]


class BarRollUp(Base):
    """A bar summed from finer ones; kept here where TimescaleDB keeps none of its own."""

    __tablename__ = "bar_roll_up"

    width: Mapped[Key]
    scope: Mapped[Key]
    symbol: Mapped[Key]
    ts: Mapped[KeyTime]
    source: Mapped[Key]
    open: Mapped[Sum]
    high: Mapped[Sum]
    low: Mapped[Sum]
    close: Mapped[Sum]
    volume: Mapped[Sum]
    amount: Mapped[Decimal | None] = mapped_column(Numeric)
    bars: Mapped[Big]
    severity: Mapped[Small]


class BarLeftOut(Base):
    """How many minutes a bar of the finest roll-up leaves out for being critical; no row where it is none."""

    __tablename__ = "bar_left_out"

    scope: Mapped[Key]
    symbol: Mapped[Key]
    ts: Mapped[KeyTime]
    source: Mapped[Key]
    minutes: Mapped[Big]


class VolumeRollUp(Base):
    """What was traded in an hour; kept here where TimescaleDB keeps none of its own."""

    __tablename__ = "volume_roll_up"

    scope: Mapped[Key]
    symbol: Mapped[Key]
    ts: Mapped[KeyTime]
    source: Mapped[Key]
    volume: Mapped[Sum]
    buy_volume: Mapped[Sum]
    sell_volume: Mapped[Sum]
    notional: Mapped[Sum]
    trades: Mapped[Big]
