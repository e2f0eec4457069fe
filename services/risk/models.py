"""Tables of risk."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Double, Index, Integer, LargeBinary, SmallInteger, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.database import MONEY, TIMESTAMP, schema_metadata

metadata = schema_metadata("risk")


class Base(DeclarativeBase):
    """Base of the tables."""

    metadata = metadata
    type_annotation_map = {datetime: TIMESTAMP, str: Text, int: BigInteger, float: Double, Decimal: MONEY}


class Journal(Base):
    """Every event; rows are only ever added."""

    __tablename__ = "journal"
    __table_args__ = (Index("ix_journal_kind_seq", "kind", "seq"),)

    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    ts: Mapped[datetime]
    epoch: Mapped[int]
    account_id: Mapped[str | None]
    kind: Mapped[str]
    # Text, not jsonb: the hash covers these very bytes.
    body: Mapped[str]
    prev_hash: Mapped[str]
    hash: Mapped[str]


class Leader(Base):
    """Who may append: one row, whose epoch every append must match."""

    __tablename__ = "leader"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    epoch: Mapped[int]
    last_seq: Mapped[int]
    renewed_at: Mapped[datetime]
    backend: Mapped[int | None] = mapped_column(Integer)
    # Of which shard this journal is, written by the first who leads.
    shard: Mapped[int | None] = mapped_column(SmallInteger)
    shards: Mapped[int | None] = mapped_column(SmallInteger)


class _Moment:
    """Which moment of an account a row is of: the first columns of both histories, as their sort order says."""

    account_id: Mapped[str] = mapped_column(primary_key=True, sort_order=-1)
    ts: Mapped[datetime] = mapped_column(primary_key=True, sort_order=-1)
    journal_seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, sort_order=-1)
    state_seq: Mapped[int] = mapped_column(sort_order=-1)
    reason: Mapped[str] = mapped_column(sort_order=-1)
    simulation_id: Mapped[str | None] = mapped_column(sort_order=-1)
    session_date: Mapped[date] = mapped_column(sort_order=-1)


class PortfolioHistory(_Moment, Base):
    """What an account held and was worth, moment by moment; a view of the state, never its source."""

    __tablename__ = "portfolio_history"

    base_currency: Mapped[str]
    equity: Mapped[Decimal]
    cash: Mapped[Decimal]
    start_of_day_equity: Mapped[Decimal]
    high_water_mark: Mapped[Decimal]
    realised_pnl: Mapped[Decimal]
    unrealised_pnl: Mapped[Decimal]
    day_pnl: Mapped[Decimal]
    fees: Mapped[Decimal]
    gross_notional: Mapped[Decimal]
    net_notional: Mapped[Decimal]
    open_orders: Mapped[int] = mapped_column(Integer)
    positions: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)


class RiskMetricsHistory(_Moment, Base):
    """How an account stood against its limits, moment by moment; each row has one of the portfolio beside it."""

    __tablename__ = "risk_metrics_history"
    # The last row of each session of an account, which backtests take.
    __table_args__ = (Index("ix_risk_metrics_history_session", "account_id", "session_date", "ts", "journal_seq"),)

    level: Mapped[str]
    level_reason: Mapped[str]
    kill_switch_active: Mapped[bool]
    drawdown: Mapped[float]
    daily_loss: Mapped[float]
    gross_exposure: Mapped[float]
    net_exposure: Mapped[float]
    leverage: Mapped[float]
    worst_limit: Mapped[str]
    worst_utilisation: Mapped[float]
    tail_risk: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)


class Snapshot(Base):
    """The state at a row of the journal."""

    __tablename__ = "snapshot"

    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    row_hash: Mapped[str]
    format: Mapped[int] = mapped_column(Integer)
    build: Mapped[str]
    taken_at: Mapped[datetime]
    digest: Mapped[str]
    signature: Mapped[bytes | None] = mapped_column(LargeBinary)
    content: Mapped[bytes] = mapped_column(LargeBinary)
