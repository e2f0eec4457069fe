"""Tables of feeds: how they are doing, and what is to be published."""

from datetime import datetime

from sqlalchemy import BigInteger, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from services.marketdata.models.base import Base, Big


class FeedSymbol(Base):
    """How one symbol of one source is doing."""

    __tablename__ = "feed_symbol"

    scope: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    symbol: Mapped[str] = mapped_column(primary_key=True)
    rows: Mapped[Big]
    warning: Mapped[Big]
    critical: Mapped[Big]
    last_ts_event: Mapped[datetime | None]
    last_ts_init: Mapped[datetime]


class Outbox(Base):
    """Marks that are stored and not yet published."""

    __tablename__ = "outbox"

    outbox_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    message: Mapped[str]


class BackfillRow(Base):
    """History that is fetched from a source: what, and how far it came."""

    __tablename__ = "backfill"
    __table_args__ = (Index("ix_backfill_state", "state", "created_at"),)

    backfill_id: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str]
    symbol: Mapped[str]
    interval: Mapped[str]
    start_ts: Mapped[datetime]
    end_ts: Mapped[datetime]
    position_ts: Mapped[datetime]
    state: Mapped[str]
    rows: Mapped[Big]
    stored: Mapped[Big]
    error: Mapped[str | None]
    requested_by: Mapped[str]
    reason: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
