"""Bars, market states, feeds and the outbox of marks."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_MONEY = sa.Numeric(28, 10)


def upgrade() -> None:
    op.create_table(
        "ohlcv_bar",
        *(
            sa.Column(name, kind, primary_key=True)
            for name, kind in (
                ("scope", sa.Text),
                ("symbol", sa.Text),
                ("interval", sa.Text),
                ("ts", _TIME),
                ("source", sa.Text),
            )
        ),
        *(sa.Column(name, _MONEY, nullable=False) for name in ("open", "high", "low", "close", "volume")),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("issues", sa.JSON, nullable=False),
        sa.Column("ts_init", _TIME, nullable=False),
        schema="marketdata",
    )
    op.create_table(
        "market_state",
        sa.Column("market_state_id", sa.Text, primary_key=True),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("ts", _TIME),
        *(sa.Column(name, _MONEY) for name in ("spot_price", "total_call_oi", "total_put_oi")),
        sa.Column("option_chain", sa.JSON),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("issues", sa.JSON, nullable=False),
        sa.Column("ts_init", _TIME, nullable=False),
        schema="marketdata",
    )
    op.create_index(
        "ix_market_state_scope_symbol_ts",
        "market_state",
        ["scope", "symbol", "ts", "market_state_id"],
        schema="marketdata",
    )
    op.create_table(
        "feed_symbol",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("scope", "source", "symbol")),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("rows", "warning", "critical")),
        sa.Column("last_ts_event", _TIME),
        sa.Column("last_ts_init", _TIME, nullable=False),
        schema="marketdata",
    )
    op.create_table(
        "outbox",
        sa.Column("outbox_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("message", sa.Text, nullable=False),
        schema="marketdata",
    )


def downgrade() -> None:
    for table in ("outbox", "feed_symbol", "market_state", "ohlcv_bar"):
        op.drop_table(table, schema="marketdata")
