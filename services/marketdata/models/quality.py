"""Tables of quality: what was found, and what it is found by."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Float, Identity, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from services.marketdata.models.base import NAME, Base, Big, Key, Small


class QualityIssueRow(Base):
    """Something that is wrong, for as long as it is found again; `symbol` is empty where it is a whole feed."""

    __tablename__ = "quality_issue"
    __table_args__ = (
        Index(
            "uq_quality_issue_open",
            "scope",
            "source",
            "symbol",
            "subject",
            "code",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index("ix_quality_issue_last_seen", "last_seen"),
    )

    issue_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    scope: Mapped[str] = mapped_column(NAME)
    source: Mapped[str] = mapped_column(NAME)
    symbol: Mapped[str] = mapped_column(NAME)
    subject: Mapped[str] = mapped_column(NAME)
    code: Mapped[str] = mapped_column(NAME)
    severity: Mapped[Small]
    message: Mapped[str]
    value: Mapped[float | None] = mapped_column(Float)
    threshold: Mapped[float | None] = mapped_column(Float)
    details: Mapped[dict[str, Any]] = mapped_column(JSONB)
    count: Mapped[Big]
    first_ts: Mapped[datetime | None]
    last_ts: Mapped[datetime | None]
    first_seen: Mapped[datetime]
    last_seen: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class QualityThreshold(Base):
    """Bands that were set for a check and a symbol, or for all where the symbol is `*`."""

    __tablename__ = "quality_threshold"

    symbol: Mapped[Key]
    code: Mapped[Key]
    warning: Mapped[float | None] = mapped_column(Float)
    critical: Mapped[float | None] = mapped_column(Float)
    set_by: Mapped[str]
    reason: Mapped[str]
    set_at: Mapped[datetime]


class SymbolProfileRow(Base):
    """Where a symbol is traded."""

    __tablename__ = "symbol_profile"

    symbol: Mapped[Key]
    calendar: Mapped[str]
    price_limit: Mapped[float | None] = mapped_column(Float)
    set_by: Mapped[str]
    set_at: Mapped[datetime]


class CalendarOverride(Base):
    """A date on which a market keeps other hours than its calendar says; `hours` are as `09:15-10:00 11:30-12:30`."""

    __tablename__ = "calendar_override"

    calendar: Mapped[Key]
    day: Mapped[date] = mapped_column(primary_key=True)
    kind: Mapped[str]
    hours: Mapped[str]
    reason: Mapped[str]
    set_by: Mapped[str]
    set_at: Mapped[datetime]
