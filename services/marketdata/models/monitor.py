"""Tables of the quality monitor: what is known of live series, their gaps, and how many rows come when."""

from datetime import datetime

from sqlalchemy import BigInteger, Float, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from services.marketdata.models.base import NAME, Base, Big, Key, KeyTime


class LiveSeries(Base):
    """What is known of the rows of a series; `interval` is empty where they are no bars."""

    __tablename__ = "live_series"

    source: Mapped[Key]
    symbol: Mapped[Key]
    subject: Mapped[Key]
    interval: Mapped[Key]
    last_ts: Mapped[datetime]
    advanced_at: Mapped[datetime]
    message_at: Mapped[datetime]
    period: Mapped[float] = mapped_column(Float)
    live_since: Mapped[datetime | None]
    live_at: Mapped[datetime | None]
    still_since: Mapped[datetime | None]
    rows: Mapped[float] = mapped_column(Float)
    repeats: Mapped[float] = mapped_column(Float)
    late: Mapped[float] = mapped_column(Float)
    skew: Mapped[float | None] = mapped_column(Float)


class BarGap(Base):
    """Bars in a row that are missing by the calendar; `filled_at` is when they were found to have come."""

    __tablename__ = "bar_gap"
    __table_args__ = (
        Index(
            "uq_bar_gap_open",
            "scope",
            "symbol",
            "interval",
            "source",
            "from_ts",
            unique=True,
            postgresql_where=text("filled_at IS NULL"),
        ),
        Index("ix_bar_gap_series", "scope", "symbol", "interval", "from_ts"),
    )

    gap_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    scope: Mapped[str] = mapped_column(NAME)
    source: Mapped[str] = mapped_column(NAME)
    symbol: Mapped[str] = mapped_column(NAME)
    interval: Mapped[str] = mapped_column(NAME)
    from_ts: Mapped[datetime]
    to_ts: Mapped[datetime]
    bars: Mapped[Big]
    found_at: Mapped[datetime]
    filled_at: Mapped[datetime | None]


class RowVolume(Base):
    """How many rows of a series came in a slot of a session that is over."""

    __tablename__ = "row_volume"

    source: Mapped[Key]
    symbol: Mapped[Key]
    subject: Mapped[Key]
    interval: Mapped[Key]
    slot: Mapped[KeyTime]
    rows: Mapped[Big]
