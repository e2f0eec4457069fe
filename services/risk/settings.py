"""Settings of risk."""

from typing import ClassVar

from pydantic import Field

from shared.settings import ServiceSettings


class RiskSettings(ServiceSettings):
    """What risk needs beside the settings of every service."""

    service: ClassVar[str] = "risk"

    risk_batch: int = Field(
        default=256, ge=1, le=10_000, description="Most commands whose events are committed together."
    )
    risk_queue: int = Field(
        default=10_000, ge=1, description="Commands that may wait for the engine; beyond it callers get 503."
    )
