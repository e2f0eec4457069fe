"""Settings of marketdata."""

from typing import ClassVar

from pydantic import Field

from shared.settings import ServiceSettings


class MarketdataSettings(ServiceSettings):
    """What marketdata needs beside the settings of every service."""

    service: ClassVar[str] = "marketdata"

    marketdata_outbox_seconds: float = Field(
        default=0.5, gt=0, le=60, description="Longest pause between two looks for marks that wait to be published."
    )
