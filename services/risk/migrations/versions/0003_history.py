"""What accounts held and how they stood, minute by minute."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_MONEY = sa.Numeric(28, 10)


def upgrade() -> None:
    op.create_table(
        "portfolio_history",
        *_key(),
        sa.Column("base_currency", sa.Text, nullable=False),
        *_columns(_MONEY, "equity", "cash", "start_of_day_equity", "high_water_mark"),
        *_columns(_MONEY, "realised_pnl", "unrealised_pnl", "day_pnl", "fees", "gross_notional", "net_notional"),
        sa.Column("open_orders", sa.Integer, nullable=False),
        sa.Column("positions", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "ts", "journal_seq", name="pk_portfolio_history"),
        schema="risk",
    )
    op.create_table(
        "risk_metrics_history",
        *_key(),
        *_columns(sa.Text(), "level", "level_reason"),
        sa.Column("kill_switch_active", sa.Boolean, nullable=False),
        *_columns(sa.Double(), "drawdown", "daily_loss", "gross_exposure", "net_exposure", "leverage"),
        sa.Column("worst_limit", sa.Text, nullable=False),
        sa.Column("worst_utilisation", sa.Double, nullable=False),
        sa.Column("tail_risk", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "ts", "journal_seq", name="pk_risk_metrics_history"),
        schema="risk",
    )
    op.create_index(
        "ix_risk_metrics_history_session",
        "risk_metrics_history",
        ["account_id", "session_date", "ts", "journal_seq"],
        schema="risk",
    )


def downgrade() -> None:
    op.drop_table("risk_metrics_history", schema="risk")
    op.drop_table("portfolio_history", schema="risk")


def _key() -> list[sa.Column[Any]]:
    return [
        sa.Column("account_id", sa.Text, nullable=False),
        sa.Column("ts", sa.DateTime(timezone=True), nullable=False),
        sa.Column("journal_seq", sa.BigInteger, nullable=False),
        sa.Column("state_seq", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("simulation_id", sa.Text),
        sa.Column("session_date", sa.Date, nullable=False),
    ]


def _columns(kind: sa.types.TypeEngine[Any], *names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, kind, nullable=False) for name in names]
