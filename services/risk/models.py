"""Tables of risk."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, Integer, SmallInteger, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.database import TIMESTAMP, schema_metadata

metadata = schema_metadata("risk")


class Base(DeclarativeBase):
    """Base of the tables."""

    metadata = metadata
    type_annotation_map = {datetime: TIMESTAMP, str: Text, int: BigInteger}


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
