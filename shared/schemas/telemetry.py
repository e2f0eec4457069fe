"""Which model asked for an order, and how sure it was."""

from typing import Annotated

from pydantic import ConfigDict, Field

from shared.schemas.base import Contract, Fraction, Identifier


class MLTelemetry(Contract):
    """The score behind an order, carried from ml through risk's journal into the trade ledger."""

    # Kept for years beside the trade: a number is a number, not a text or a boolean that reads like one.
    model_config = ConfigDict(strict=True)

    prediction_id: Identifier
    model_name: Identifier
    model_version: Annotated[str, Field(pattern=r"^[\x20-\x7e]{1,32}$")]
    model_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$", description="First 16 hex digits of the SHA-256.")]
    features: Annotated[dict[Identifier, float], Field(max_length=100)]
    raw_confidence: Fraction
    calibrated_confidence: Fraction
    uncertainty: Annotated[float, Field(ge=0)]
    regime: Annotated[str, Field(pattern=r"^[\x20-\x7e]{1,32}$")]
    market_state_id: Annotated[str, Field(pattern=r"^[\x20-\x7e]{1,128}$")] | None = None
