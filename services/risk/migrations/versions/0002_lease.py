"""When the leader was last heard of, and on which connection."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "leader",
        sa.Column("renewed_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        schema="risk",
    )
    op.add_column("leader", sa.Column("backend", sa.Integer), schema="risk")


def downgrade() -> None:
    op.drop_column("leader", "backend", schema="risk")
    op.drop_column("leader", "renewed_at", schema="risk")
