"""Of which shard the journal is."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("leader", sa.Column("shard", sa.SmallInteger), schema="risk")
    op.add_column("leader", sa.Column("shards", sa.SmallInteger), schema="risk")


def downgrade() -> None:
    op.drop_column("leader", "shards", schema="risk")
    op.drop_column("leader", "shard", schema="risk")
