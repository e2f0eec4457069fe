"""Table of how policies ran."""

from datetime import datetime

from sqlalchemy import BigInteger, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from services.marketdata.models.base import Base


class PolicyRunRow(Base):
    """A run of a policy that is not TimescaleDB's own."""

    __tablename__ = "policy_run"
    __table_args__ = (Index("ix_policy_run_policy", "policy", "subject", "started_at"),)

    run_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    policy: Mapped[str]
    subject: Mapped[str]
    started_at: Mapped[datetime]
    succeeded: Mapped[bool]
    detail: Mapped[str]
