"""Models in the registry and the scores they gave."""

import base64
import binascii
from typing import Annotated, Any, Literal

from pydantic import Base64Bytes, BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from shared.schemas.base import Contract, Fraction, Identifier, Real, Symbol, UtcDatetime
from shared.schemas.telemetry import MLTelemetry

Alias = Literal["champion", "challenger", "shadow"]
SemanticVersion = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$", max_length=32)]


def _strict_base64(value: Any) -> Any:
    # Pydantic skips characters that are not base64; a damaged upload must not become other bytes.
    if isinstance(value, str | bytes):
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise PydanticCustomError("base64_decode", "Not base64 (standard alphabet, no line breaks)") from None
    return value


OnnxBytes = Annotated[Base64Bytes, BeforeValidator(_strict_base64)]
Label = Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]{1,128}$")]


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
    onnx: OnnxBytes
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
    symbol: Symbol
    features: Annotated[dict[Identifier, Real], Field(min_length=1, max_length=100)]
    regime: Annotated[Label, Field(max_length=32)] = "unknown"
    market_state_id: Label | None = None
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
