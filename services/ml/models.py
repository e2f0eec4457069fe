"""Tables of ml."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, CheckConstraint, Double, ForeignKeyConstraint, Identity, LargeBinary, Text
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.database import TIMESTAMP, schema_metadata

metadata = schema_metadata("ml")


class Base(DeclarativeBase):
    """Base of the tables."""

    metadata = metadata
    type_annotation_map = {datetime: TIMESTAMP, str: Text, float: Double}


class Model(Base):
    """A registered model; rows never change."""

    __tablename__ = "model"
    __table_args__ = (Unique("name", "version"),)

    model_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    name: Mapped[str]
    version: Mapped[str]
    sha256: Mapped[str]
    manifest_hash: Mapped[str]
    onnx: Mapped[bytes] = mapped_column(LargeBinary)
    # json, not jsonb: the text stays as it was, so floats come back bit for bit (jsonb turns -0.0 into 0).
    signature: Mapped[dict[str, Any]] = mapped_column(JSON)
    training_data_hash: Mapped[str]
    metrics: Mapped[dict[str, float]] = mapped_column(JSON)
    trained_at: Mapped[datetime]
    registered_at: Mapped[datetime]
    registered_by: Mapped[str]


class ModelAlias(Base):
    """Which version an alias points at now."""

    __tablename__ = "model_alias"
    __table_args__ = (
        ForeignKeyConstraint(["name", "version"], ["ml.model.name", "ml.model.version"]),
        CheckConstraint("alias IN ('champion', 'challenger', 'shadow')", name="alias_known"),
    )

    name: Mapped[str] = mapped_column(primary_key=True)
    alias: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str]
    set_by: Mapped[str]
    set_at: Mapped[datetime]


class AliasChange(Base):
    """Every move of an alias: who, when, from what to what."""

    __tablename__ = "alias_change"

    change_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    name: Mapped[str]
    alias: Mapped[str]
    previous_version: Mapped[str | None]
    version: Mapped[str]
    set_by: Mapped[str]
    set_at: Mapped[datetime]


class PredictionRow(Base):
    """A score with all that is needed to compute it again; rows never change."""

    __tablename__ = "prediction"
    __table_args__ = (
        ForeignKeyConstraint(["model_name", "model_version"], ["ml.model.name", "ml.model.version"]),
        CheckConstraint("raw BETWEEN 0 AND 1 AND calibrated BETWEEN 0 AND 1", name="probability"),
    )

    prediction_id: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[str]
    model_name: Mapped[str]
    model_version: Mapped[str]
    model_sha256: Mapped[str]
    model_manifest_hash: Mapped[str]
    runtime: Mapped[str]
    strategy_id: Mapped[str]
    symbol: Mapped[str]
    features: Mapped[dict[str, float]] = mapped_column(JSON)
    out_of_range: Mapped[list[str]] = mapped_column(JSON)
    raw: Mapped[float]
    calibrated: Mapped[float]
    uncertainty: Mapped[float]
    regime: Mapped[str]
    market_state_id: Mapped[str | None]
    ts_event: Mapped[datetime]
    ts_init: Mapped[datetime]
