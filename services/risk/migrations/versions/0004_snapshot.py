"""The state as it was at a row of the journal: what a fold begins with."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "snapshot",
        sa.Column("seq", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("row_hash", sa.Text, nullable=False),
        sa.Column("format", sa.Integer, nullable=False),
        sa.Column("build", sa.Text, nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("signature", sa.LargeBinary),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_snapshot"),
        schema="risk",
    )
    # Compressed already.
    op.execute("ALTER TABLE risk.snapshot ALTER COLUMN content SET STORAGE EXTERNAL")


def downgrade() -> None:
    op.drop_table("snapshot", schema="risk")
