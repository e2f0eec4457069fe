"""Settings of ml."""

from typing import ClassVar

from pydantic import Field

from shared.settings import ServiceSettings


class MlSettings(ServiceSettings):
    """What ml needs beside the settings of every service."""

    service: ClassVar[str] = "ml"

    ml_max_model_bytes: int = Field(
        default=8 * 1024 * 1024, ge=1024, description="A longer ONNX model is refused with 422."
    )
    ml_loaded_models: int = Field(
        default=16, ge=1, le=1_000, description="Models kept ready to score; the least recently used is dropped."
    )
