"""The journal and its leader."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "journal",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("ts", sa.DateTime(timezone=True), nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("account_id", sa.Text),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("prev_hash", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        schema="risk",
    )
    op.create_index("ix_journal_kind_seq", "journal", ["kind", "seq"], schema="risk")
    op.create_table(
        "leader",
        sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.CheckConstraint("id = 1", name="one_row"),
        schema="risk",
    )
    op.execute("INSERT INTO risk.leader (id, epoch, last_seq) VALUES (1, 0, 0)")
    op.execute("""
        CREATE FUNCTION risk.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'risk.journal is append only';
        END $$
    """)
    op.execute("""
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON risk.journal
        FOR EACH STATEMENT EXECUTE FUNCTION risk.refuse_change()
    """)


def downgrade() -> None:
    op.drop_table("leader", schema="risk")
    op.drop_table("journal", schema="risk")
    op.execute("DROP FUNCTION risk.refuse_change()")
