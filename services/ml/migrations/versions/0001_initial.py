"""Models, aliases and predictions."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "model",
        sa.Column("model_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("manifest_hash", sa.Text, nullable=False),
        sa.Column("onnx", sa.LargeBinary, nullable=False),
        sa.Column("signature", sa.JSON, nullable=False),
        sa.Column("training_data_hash", sa.Text, nullable=False),
        sa.Column("metrics", sa.JSON, nullable=False),
        sa.Column("trained_at", _TIME, nullable=False),
        sa.Column("registered_at", _TIME, nullable=False),
        sa.Column("registered_by", sa.Text, nullable=False),
        sa.UniqueConstraint("name", "version", name="uq_model_name"),
        schema="ml",
    )
    op.create_table(
        "model_alias",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("alias", sa.Text, primary_key=True),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("set_by", sa.Text, nullable=False),
        sa.Column("set_at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["name", "version"], ["ml.model.name", "ml.model.version"], name="fk_model_alias_name_model"
        ),
        sa.CheckConstraint("alias IN ('champion', 'challenger', 'shadow')", name="alias_known"),
        schema="ml",
    )
    op.create_table(
        "alias_change",
        sa.Column("change_id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("alias", sa.Text, nullable=False),
        sa.Column("previous_version", sa.Text),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("set_by", sa.Text, nullable=False),
        sa.Column("set_at", _TIME, nullable=False),
        schema="ml",
    )
    op.create_table(
        "prediction",
        sa.Column("prediction_id", sa.Text, primary_key=True),
        sa.Column("request_hash", sa.Text, nullable=False),
        sa.Column("model_name", sa.Text, nullable=False),
        sa.Column("model_version", sa.Text, nullable=False),
        sa.Column("model_sha256", sa.Text, nullable=False),
        sa.Column("model_manifest_hash", sa.Text, nullable=False),
        sa.Column("runtime", sa.Text, nullable=False),
        sa.Column("strategy_id", sa.Text, nullable=False),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("features", sa.JSON, nullable=False),
        sa.Column("out_of_range", sa.JSON, nullable=False),
        sa.Column("raw", sa.Double, nullable=False),
        sa.Column("calibrated", sa.Double, nullable=False),
        sa.Column("uncertainty", sa.Double, nullable=False),
        sa.Column("regime", sa.Text, nullable=False),
        sa.Column("market_state_id", sa.Text),
        sa.Column("ts_event", _TIME, nullable=False),
        sa.Column("ts_init", _TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["model_name", "model_version"],
            ["ml.model.name", "ml.model.version"],
            name="fk_prediction_model_name_model",
        ),
        sa.CheckConstraint("raw BETWEEN 0 AND 1 AND calibrated BETWEEN 0 AND 1", name="probability"),
        schema="ml",
    )


def downgrade() -> None:
    for table in ("prediction", "alias_change", "model_alias", "model"):
        op.drop_table(table, schema="ml")
