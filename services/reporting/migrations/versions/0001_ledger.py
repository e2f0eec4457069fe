"""The trade ledger, its counts, its roll-ups and its cursor."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_MONEY = sa.Numeric(28, 10)
_SCHEMA = "reporting"
_DAY = (("account_id", sa.Text), ("session_date", sa.Date), ("strategy_id", sa.Text))


def upgrade() -> None:
    op.create_table(
        "cursor",
        sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("updated_at", _TIME),
        sa.CheckConstraint("id = 1", name="one_row"),
        schema=_SCHEMA,
    )
    op.execute("INSERT INTO reporting.cursor (id, seq, hash) VALUES (1, 0, repeat('0', 64))")
    op.create_table(
        "account",
        sa.Column("account_id", sa.Text, primary_key=True),
        sa.Column("simulation_id", sa.Text),
        sa.Column("currency", sa.Text, nullable=False),
        schema=_SCHEMA,
    )
    op.create_index("ix_reporting_account_simulation_id", "account", ["simulation_id"], schema=_SCHEMA)
    op.create_table(
        "trade",
        sa.Column("journal_seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("trade_id", sa.Text, nullable=False),
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("simulation_id", sa.Text),
        sa.Column("session_date", sa.Date, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("client_order_id", "strategy_id", "symbol", "side")),
        *(
            sa.Column(name, _MONEY, nullable=False)
            for name in ("quantity", "price", "fee", "realised_pnl", "position_quantity")
        ),
        sa.Column("ts_event", _TIME, nullable=False),
        sa.Column("telemetry", sa.JSON),
        sa.Column("notional", _MONEY, nullable=False),
        sa.Column("closing", sa.Boolean, nullable=False),
        schema=_SCHEMA,
    )
    op.create_index("ix_trade_account_id_session_date", "trade", ["account_id", "session_date"], schema=_SCHEMA)
    op.create_table(
        "decision_count",
        *(sa.Column(name, kind, primary_key=True) for name, kind in _DAY),
        sa.Column("approved", sa.BigInteger, nullable=False),
        sa.Column("denied", sa.BigInteger, nullable=False),
        schema=_SCHEMA,
    )
    op.create_table(
        "denial_count",
        *(sa.Column(name, kind, primary_key=True) for name, kind in (*_DAY, ("reason", sa.Text))),
        sa.Column("count", sa.BigInteger, nullable=False),
        schema=_SCHEMA,
    )
    op.create_table(
        "daily_rollup",
        *(sa.Column(name, kind, primary_key=True) for name, kind in _DAY),
        sa.Column("simulation_id", sa.Text),
        sa.Column("journal_seq", sa.BigInteger, nullable=False),
        sa.Column("document", sa.JSON, nullable=False),
        schema=_SCHEMA,
    )
    op.create_index("ix_reporting_daily_rollup_journal_seq", "daily_rollup", ["journal_seq"], schema=_SCHEMA)


def downgrade() -> None:
    for table in ("daily_rollup", "denial_count", "decision_count", "trade", "account", "cursor"):
        op.drop_table(table, schema=_SCHEMA)
