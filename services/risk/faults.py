"""Failures of the engine itself: after too many it stops the firm, as nobody knows what it would do next."""

from datetime import datetime, timedelta

from services.risk.core.alike import OF_ANY_SHARD
from services.risk.core.commands import THE_ENGINE, ActivateKillSwitch
from shared.schemas.kill_switches import KillReason, KillScope, KillSwitchCreate
from shared.shards import Shard

_WINDOW = timedelta(minutes=1)


class Faults:
    """Remember when the engine failed; that PostgreSQL is away is no failure of the engine."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._times: list[datetime] = []

    def note(self, now: datetime) -> None:
        """Note a failure."""
        self._times = [*(each for each in self._times if now - each < _WINDOW), now]

    def too_many(self, now: datetime) -> bool:
        """Tell, once, whether there were too many of late."""
        if len([each for each in self._times if now - each < _WINDOW]) < self._limit:
            return False
        self._times.clear()
        return True


def system_error(seq: int, shard: Shard) -> ActivateKillSwitch:
    """Return the command that stops the firm; reductions pass. The id is no other shard's: they all get the switch."""
    request = KillSwitchCreate(scope=KillScope.FIRM, reason="the risk engine failed repeatedly", allow_reducing=True)
    name = f"auto-system-error-{seq}" if shard.of == 1 else f"{OF_ANY_SHARD}{shard.number}-{seq}"
    return ActivateKillSwitch(name, request, KillReason.SYSTEM_ERROR, THE_ENGINE)
