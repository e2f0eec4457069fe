"""A cursor for each shard of risk, and an order of the ledger's own for what comes from several journals."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SCHEMA = "reporting"
# What is listed the newest first, so far by the one journal.
_BOOKED = ("trade", "daily_rollup")
_NUMBER = (
    """
    UPDATE reporting.trade AS booked SET id = counted.number FROM (
        SELECT ctid AS place, row_number() OVER (ORDER BY journal_seq) AS number FROM reporting.trade
    ) AS counted WHERE booked.ctid = counted.place
    """,
    """
    UPDATE reporting.daily_rollup AS booked SET id = counted.number FROM (
        SELECT ctid AS place, row_number() OVER (ORDER BY journal_seq, strategy_id) AS number
        FROM reporting.daily_rollup
    ) AS counted WHERE booked.ctid = counted.place
    """,
)
_GO_ON = (
    """
    SELECT setval(pg_get_serial_sequence('reporting.trade', 'id'), coalesce(max(id), 0) + 1, false)
    FROM reporting.trade
    """,
    """
    SELECT setval(pg_get_serial_sequence('reporting.daily_rollup', 'id'), coalesce(max(id), 0) + 1, false)
    FROM reporting.daily_rollup
    """,
)


def upgrade() -> None:
    op.drop_constraint("ck_cursor_one_row", "cursor", schema=_SCHEMA)
    # The one row there is becomes that of shard 0.
    op.execute("UPDATE reporting.cursor SET id = 0")
    op.alter_column("cursor", "id", new_column_name="shard", schema=_SCHEMA)
    for table, number, go_on in zip(_BOOKED, _NUMBER, _GO_ON, strict=True):
        op.add_column(table, sa.Column("shard", sa.SmallInteger, nullable=False, server_default="0"), schema=_SCHEMA)
        op.alter_column(table, "shard", server_default=None, schema=_SCHEMA)
        op.add_column(table, sa.Column("id", sa.BigInteger), schema=_SCHEMA)
        op.execute(number)
        op.alter_column(table, "id", nullable=False, schema=_SCHEMA)
        op.execute(f"ALTER TABLE reporting.{table} ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY")
        op.execute(go_on)
    op.drop_constraint("pk_trade", "trade", schema=_SCHEMA)
    op.create_primary_key("pk_trade", "trade", ["id"], schema=_SCHEMA)
    op.create_unique_constraint("uq_trade_shard_journal_seq", "trade", ["shard", "journal_seq"], schema=_SCHEMA)
    op.drop_index("ix_reporting_daily_rollup_journal_seq", "daily_rollup", schema=_SCHEMA)
    op.create_index("ix_reporting_daily_rollup_id", "daily_rollup", ["id"], schema=_SCHEMA)


def downgrade() -> None:
    op.drop_index("ix_reporting_daily_rollup_id", "daily_rollup", schema=_SCHEMA)
    op.create_index("ix_reporting_daily_rollup_journal_seq", "daily_rollup", ["journal_seq"], schema=_SCHEMA)
    op.drop_constraint("uq_trade_shard_journal_seq", "trade", schema=_SCHEMA)
    op.drop_constraint("pk_trade", "trade", schema=_SCHEMA)
    op.create_primary_key("pk_trade", "trade", ["journal_seq"], schema=_SCHEMA)
    for table in _BOOKED:
        op.drop_column(table, "id", schema=_SCHEMA)
        op.drop_column(table, "shard", schema=_SCHEMA)
    op.alter_column("cursor", "shard", new_column_name="id", schema=_SCHEMA)
    op.execute("UPDATE reporting.cursor SET id = 1")
    op.create_check_constraint("one_row", "cursor", "id = 1", schema=_SCHEMA)
