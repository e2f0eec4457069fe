"""How many minutes roll-ups leave out for being critical: one table wherever the roll-ups themselves are kept."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_NAME = sa.Text(collation="C")


def upgrade() -> None:
    op.create_table(
        "bar_left_out",
        sa.Column("scope", _NAME, primary_key=True),
        sa.Column("symbol", _NAME, primary_key=True),
        sa.Column("ts", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("source", _NAME, primary_key=True),
        sa.Column("minutes", sa.BigInteger, nullable=False),
        schema="marketdata",
    )
    # Those that are there are counted as what is new is.
    op.execute("""
        INSERT INTO marketdata.roll_up_queue ("of", scope, symbol, source, from_ts, to_ts, queued_at)
        SELECT 'bar', scope, symbol, source, min(ts), max(ts) + INTERVAL '1 microsecond', now()
        FROM marketdata.ohlcv_bar WHERE "interval" = '1m' AND severity = 2
        GROUP BY scope, symbol, source, date_trunc('day', ts, 'UTC')
    """)


def downgrade() -> None:
    op.drop_table("bar_left_out", schema="marketdata")
