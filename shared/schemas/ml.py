"""Models in the registry and the scores they gave."""

from typing import Annotated, Literal

from pydantic import Base64Bytes, Field

from shared.schemas.base import Contract, Fraction, Identifier, UtcDatetime
from shared.schemas.telemetry import MLTelemetry

Alias = Literal["champion", "challenger", "shadow"]
SemanticVersion = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]


class FeatureSpec(Contract):
    """One input of a model, in its order: its name, its type and the range seen in training."""

    name: Identifier
    dtype: Literal["float32"] = "float32"
    minimum: float
    maximum: float


class ModelSignature(Contract):
    """What a model takes, in order."""

    features: Annotated[list[FeatureSpec], Field(min_length=1, max_length=100)]


class ModelUpload(Contract):
    """A model to register: ONNX bytes as base64, never a pickle."""

    name: Identifier
    version: SemanticVersion
    onnx: Base64Bytes
    signature: ModelSignature
    training_data_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    metrics: dict[str, float] = {}
    trained_at: UtcDatetime


class ModelView(Contract):
    """A registered model, without its bytes."""

    name: Identifier
    version: SemanticVersion
    sha256: str
    signature: ModelSignature
    training_data_hash: str
    metrics: dict[str, float]
    trained_at: UtcDatetime
    registered_at: UtcDatetime
    aliases: list[Alias] = []


class AliasUpdate(Contract):
    """Point an alias at a version."""

    version: SemanticVersion


class PredictionRequest(Contract):
    """Features to score; they must be exactly those of the model's signature.

    The same `prediction_id` again returns the stored score; with other features it is a 409.
    """

    prediction_id: Identifier
    model_name: Identifier
    alias: Alias = "champion"
    strategy_id: Identifier
    symbol: str
    features: Annotated[dict[str, float], Field(min_length=1, max_length=100)]
    regime: Annotated[str, Field(max_length=32)] = "unknown"
    market_state_id: str | None = None
    ts_event: UtcDatetime


class Prediction(Contract):
    """A stored score: the telemetry that travels with the order, and where it came from."""

    telemetry: MLTelemetry
    strategy_id: Identifier
    symbol: str
    out_of_range: list[str] = Field(default=[], description="Features outside the range seen in training.")
    ts_event: UtcDatetime
    ts_init: UtcDatetime


class ReplayResult(Contract):
    """Whether recomputing a stored score gave the same bits."""

    prediction_id: Identifier
    stored: Fraction
    recomputed: Fraction
    identical: bool
