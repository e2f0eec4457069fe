"""The time an account lives at: the system's, or a simulation's own."""

from datetime import datetime
from typing import Final

from services.risk.core.outcome import Refused, invalid
from services.risk.core.state import Account
from services.risk.core.units import LIVE_SINCE, micros, stamp

# Clocks and time zones differ by less.
_MOST_AHEAD: Final = 86_400_000_000


def time_of(account: Account, given: int | None, now: int) -> int | None:
    """Return the time an account lives at: the system's, or for a simulated one the newest a command carried."""
    if account.simulation_id is None:
        return now
    return None if given is None else later(account, given)


def time_told(account: Account, given: datetime | None, now: int) -> int | None:
    """Return what `time_of` does, of a moment as a request tells it."""
    return time_of(account, micros(given) if given else None, now)


def impossible(account: Account, given: int | None, now: int) -> Refused | None:
    """Return why a time cannot be one of a live account: long before there was one, or more than a day ahead."""
    if account.simulation_id is not None or given is None or LIVE_SINCE <= given <= now + _MOST_AHEAD:
        return None
    return invalid(f"ts_event {stamp(given)} lies before 2000 or more than a day ahead; the account is live")


def later(account: Account, given: int) -> int:
    """Return a simulated account's time: it never goes back."""
    return max(given, account.clock) if account.clock is not None else given
