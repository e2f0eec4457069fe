"""From when on a row is a symbol's newest."""

from datetime import datetime

from shared.schemas.base import Severity


def counts_from(moment: datetime, severity: Severity, received: datetime | None) -> datetime:
    """Return from when on a row counts: its own moment; `received` is when it came, None in a simulation.

    A critical one of the future counts from its receipt on: it would be the newest for long otherwise. What is not
    critical is of the future by no more than clocks differ. `store.marks` has the same rule in SQL.
    """
    return moment if received is None or severity is not Severity.CRITICAL else min(moment, received)
