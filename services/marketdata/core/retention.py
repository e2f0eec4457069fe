"""How long rows are kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.marketdata.core.catalogue import Subject


@dataclass(frozen=True)
class Retention:
    """For how many days rows of each kind are kept; 0 is for ever."""

    days: Mapping[Subject, int]

    def keep(self, subject: Subject) -> timedelta | None:
        """Return for how long rows are kept, None for ever."""
        days = self.days.get(subject, 0)
        return timedelta(days=days) if days else None

    def horizon(self, subject: Subject, now: datetime) -> datetime | None:
        """Return the moment before which rows are not kept, None where all are."""
        keep = self.keep(subject)
        return now - keep if keep is not None else None
