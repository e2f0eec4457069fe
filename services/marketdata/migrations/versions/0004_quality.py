"""Quality: what was found, from where on a measure is a finding, where symbols are traded, and their markets' hours."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_NAME = sa.Text(collation="C")


def upgrade() -> None:
    op.create_table(
        "quality_issue",
        sa.Column("issue_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        *_columns(_NAME, "scope", "source", "symbol", "subject", "code"),
        sa.Column("severity", sa.SmallInteger, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        *_columns(sa.Float(), "value", "threshold", nullable=True),
        sa.Column("details", JSONB, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        *_columns(_TIME, "first_ts", "last_ts", nullable=True),
        *_columns(_TIME, "first_seen", "last_seen"),
        sa.Column("ended_at", _TIME),
        schema="marketdata",
    )
    op.create_index(
        "uq_quality_issue_open",
        "quality_issue",
        ["scope", "source", "symbol", "subject", "code"],
        unique=True,
        schema="marketdata",
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index("ix_quality_issue_last_seen", "quality_issue", ["last_seen"], schema="marketdata")
    op.create_table(
        "quality_threshold",
        *_keys(_NAME, "symbol", "code"),
        *_columns(sa.Float(), "warning", "critical", nullable=True),
        *_columns(sa.Text(), "set_by", "reason"),
        *_columns(_TIME, "set_at"),
        schema="marketdata",
    )
    op.create_table(
        "symbol_profile",
        *_keys(_NAME, "symbol"),
        *_columns(sa.Text(), "calendar"),
        *_columns(sa.Float(), "price_limit", nullable=True),
        *_columns(sa.Text(), "set_by"),
        *_columns(_TIME, "set_at"),
        schema="marketdata",
    )
    op.create_table(
        "calendar_override",
        *_keys(_NAME, "calendar"),
        sa.Column("day", sa.Date, primary_key=True),
        *_columns(sa.Text(), "kind", "hours", "reason", "set_by"),
        *_columns(_TIME, "set_at"),
        schema="marketdata",
    )


def _columns(kind: Any, *names: str, nullable: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=nullable) for name in names]


def _keys(kind: Any, *names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, primary_key=True) for name in names]


def downgrade() -> None:
    for table in ("calendar_override", "symbol_profile", "quality_threshold", "quality_issue"):
        op.drop_table(table, schema="marketdata")
