"""Tables of marketdata."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, BigInteger, Identity, Index, Integer, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.database import MONEY, TIMESTAMP, schema_metadata

metadata = schema_metadata("marketdata")


class Base(DeclarativeBase):
    """Base of the tables; `scope` is the simulation, or empty for live data."""

    metadata = metadata
    type_annotation_map = {datetime: TIMESTAMP, str: Text, Decimal: MONEY}


class OhlcvBar(Base):
    """A bar in its newest revision, with the verdict on it."""

    __tablename__ = "ohlcv_bar"

    scope: Mapped[str] = mapped_column(primary_key=True)
    symbol: Mapped[str] = mapped_column(primary_key=True)
    interval: Mapped[str] = mapped_column(primary_key=True)
    ts: Mapped[datetime] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    open: Mapped[Decimal]
    high: Mapped[Decimal]
    low: Mapped[Decimal]
    close: Mapped[Decimal]
    volume: Mapped[Decimal]
    revision: Mapped[int] = mapped_column(Integer)
    severity: Mapped[str]
    issues: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    ts_init: Mapped[datetime]


class MarketStateRow(Base):
    """A market state as it came, with the verdict on it."""

    __tablename__ = "market_state"
    __table_args__ = (Index("ix_market_state_scope_symbol_ts", "scope", "symbol", "ts", "market_state_id"),)

    market_state_id: Mapped[str] = mapped_column(primary_key=True)
    scope: Mapped[str]
    source: Mapped[str]
    symbol: Mapped[str]
    ts: Mapped[datetime | None]
    spot_price: Mapped[Decimal | None]
    total_call_oi: Mapped[Decimal | None]
    total_put_oi: Mapped[Decimal | None]
    option_chain: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))
    content_hash: Mapped[str]
    severity: Mapped[str]
    issues: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    ts_init: Mapped[datetime]


class FeedSymbol(Base):
    """How one symbol of one source is doing."""

    __tablename__ = "feed_symbol"

    scope: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    symbol: Mapped[str] = mapped_column(primary_key=True)
    rows: Mapped[int] = mapped_column(BigInteger)
    warning: Mapped[int] = mapped_column(BigInteger)
    critical: Mapped[int] = mapped_column(BigInteger)
    last_ts_event: Mapped[datetime | None]
    last_ts_init: Mapped[datetime]


class Outbox(Base):
    """Marks that are stored and not yet published."""

    __tablename__ = "outbox"

    outbox_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    message: Mapped[str]
