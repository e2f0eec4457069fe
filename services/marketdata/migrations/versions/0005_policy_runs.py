"""How policies ran that are not TimescaleDB's own."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "policy_run",
        sa.Column("run_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("succeeded", sa.Boolean, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        schema="marketdata",
    )
    op.create_index("ix_policy_run_policy", "policy_run", ["policy", "subject", "started_at"], schema="marketdata")


def downgrade() -> None:
    op.drop_table("policy_run", schema="marketdata")
