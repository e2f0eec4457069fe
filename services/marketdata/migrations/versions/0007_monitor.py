"""The quality monitor: what is known of live series, the gap ledger, rows by slot, and what states are held against."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_NAME = sa.Text(collation="C")
_STATES = ("market_state", "market_state_revision")


def upgrade() -> None:
    for table in _STATES:
        op.add_column(table, sa.Column("spot_prices", JSONB), schema="marketdata")
        op.add_column(table, sa.Column("relative_spread", sa.Numeric(28, 10)), schema="marketdata")
    op.create_table(
        "live_series",
        *_keys(_NAME, "source", "symbol", "subject", "interval"),
        *_columns(_TIME, "last_ts", "advanced_at", "message_at"),
        *_columns(sa.Float(), "period"),
        *_columns(_TIME, "live_since", "live_at", "still_since", nullable=True),
        *_columns(sa.Float(), "rows", "repeats", "late"),
        *_columns(sa.Float(), "skew", nullable=True),
        schema="marketdata",
    )
    op.create_table(
        "bar_gap",
        sa.Column("gap_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        *_columns(_NAME, "scope", "source", "symbol", "interval"),
        *_columns(_TIME, "from_ts", "to_ts"),
        *_columns(sa.BigInteger(), "bars"),
        *_columns(_TIME, "found_at"),
        *_columns(_TIME, "filled_at", nullable=True),
        schema="marketdata",
    )
    op.create_index(
        "uq_bar_gap_open",
        "bar_gap",
        ["scope", "symbol", "interval", "source", "from_ts"],
        unique=True,
        schema="marketdata",
        postgresql_where=sa.text("filled_at IS NULL"),
    )
    op.create_index("ix_bar_gap_series", "bar_gap", ["scope", "symbol", "interval", "from_ts"], schema="marketdata")
    op.create_table(
        "row_volume",
        *_keys(_NAME, "source", "symbol", "subject", "interval"),
        sa.Column("slot", _TIME, primary_key=True),
        *_columns(sa.BigInteger(), "rows"),
        schema="marketdata",
    )


def _columns(kind: Any, *names: str, nullable: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=nullable) for name in names]


def _keys(kind: Any, *names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, primary_key=True) for name in names]


def downgrade() -> None:
    for table in ("row_volume", "bar_gap", "live_series"):
        op.drop_table(table, schema="marketdata")
    for table in _STATES:
        for column in ("relative_spread", "spot_prices"):
            op.drop_column(table, column, schema="marketdata")
