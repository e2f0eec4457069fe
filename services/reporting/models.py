"""Tables of reporting."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, BigInteger, Date, Identity, Index, SmallInteger, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.database import MONEY, TIMESTAMP, schema_metadata

metadata = schema_metadata("reporting")


class Base(DeclarativeBase):
    """Base of the tables."""

    metadata = metadata
    type_annotation_map = {datetime: TIMESTAMP, str: Text, Decimal: MONEY, int: BigInteger, date: Date}


class Cursor(Base):
    """The newest row the ledger has taken in of each shard's journal."""

    __tablename__ = "cursor"

    shard: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    seq: Mapped[int]
    hash: Mapped[str]
    updated_at: Mapped[datetime | None]


class LedgerAccount(Base):
    """An account as the journal opened it."""

    __tablename__ = "account"

    account_id: Mapped[str] = mapped_column(primary_key=True)
    simulation_id: Mapped[str | None] = mapped_column(index=True)
    currency: Mapped[str]


class TradeRow(Base):
    """A trade; rows never change."""

    __tablename__ = "trade"
    __table_args__ = (
        Index("ix_trade_account_id_session_date", "account_id", "session_date"),
        UniqueConstraint("shard", "journal_seq", name="uq_trade_shard_journal_seq"),
    )

    # The order of the ledger: those of several journals have none in common.
    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    shard: Mapped[int] = mapped_column(SmallInteger)
    journal_seq: Mapped[int]
    trade_id: Mapped[str]
    account_id: Mapped[str]
    simulation_id: Mapped[str | None]
    session_date: Mapped[date]
    client_order_id: Mapped[str]
    strategy_id: Mapped[str]
    symbol: Mapped[str]
    side: Mapped[str]
    quantity: Mapped[Decimal]
    price: Mapped[Decimal]
    fee: Mapped[Decimal]
    realised_pnl: Mapped[Decimal]
    position_quantity: Mapped[Decimal]
    ts_event: Mapped[datetime]
    telemetry: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    notional: Mapped[Decimal]
    closing: Mapped[bool]


class DecisionCount(Base):
    """Orders approved and denied in a day."""

    __tablename__ = "decision_count"

    account_id: Mapped[str] = mapped_column(primary_key=True)
    session_date: Mapped[date] = mapped_column(primary_key=True)
    strategy_id: Mapped[str] = mapped_column(primary_key=True)
    approved: Mapped[int]
    denied: Mapped[int]


class DenialCount(Base):
    """Reasons orders were denied for in a day."""

    __tablename__ = "denial_count"

    account_id: Mapped[str] = mapped_column(primary_key=True)
    session_date: Mapped[date] = mapped_column(primary_key=True)
    strategy_id: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int]


class RollupRow(Base):
    """A closed day; `strategy_id` is empty for the whole account."""

    __tablename__ = "daily_rollup"

    account_id: Mapped[str] = mapped_column(primary_key=True)
    session_date: Mapped[date] = mapped_column(primary_key=True)
    strategy_id: Mapped[str] = mapped_column(primary_key=True)
    simulation_id: Mapped[str | None]
    id: Mapped[int] = mapped_column(Identity(always=True), index=True)
    shard: Mapped[int] = mapped_column(SmallInteger)
    journal_seq: Mapped[int]
    document: Mapped[dict[str, Any]] = mapped_column(JSON)
