"""Backfills: history that is fetched from a source, and how far it came."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "backfill",
        sa.Column("backfill_id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("source", "symbol", "interval")),
        *(sa.Column(name, _TIME, nullable=False) for name in ("start_ts", "end_ts", "position_ts")),
        sa.Column("state", sa.Text, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("rows", "stored")),
        sa.Column("error", sa.Text),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("requested_by", "reason")),
        *(sa.Column(name, _TIME, nullable=False) for name in ("created_at", "updated_at")),
        schema="marketdata",
    )
    op.create_index("ix_backfill_state", "backfill", ["state", "created_at"], schema="marketdata")


def downgrade() -> None:
    op.drop_table("backfill", schema="marketdata")
