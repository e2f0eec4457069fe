"""Settings of reporting."""

from typing import ClassVar

from pydantic import Field

from shared.settings import ServiceSettings


class ReportingSettings(ServiceSettings):
    """What reporting needs beside the settings of every service."""

    service: ClassVar[str] = "reporting"

    reporting_page: int = Field(default=1_000, ge=1, le=5_000, description="Journal rows read and applied at once.")
    reporting_poll_seconds: float = Field(
        default=0.2, gt=0, le=60, description="Pause between two looks at the journal when there was nothing new."
    )
