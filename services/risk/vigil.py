"""Who has not been heard of in time: strategies that promised a heartbeat, execution that owes a word on cancels."""

from datetime import datetime, timedelta

from services.risk.core.commands import PassTime
from services.risk.core.state import FirmState
from shared.logging import Category, get_trading_logger

_LOG = get_trading_logger("keelson.risk.vigil", Category.RISK)


class Vigil:
    """Remember when each strategy was last heard of; in memory alone, so that a start gives everybody their time."""

    def __init__(self, acknowledge_seconds: int) -> None:
        self._patience = timedelta(seconds=acknowledge_seconds)
        self._heard: dict[str, datetime] = {}
        self._told: set[str] = set()

    def heard(self, strategy_id: str, now: datetime) -> None:
        """Note that a strategy is alive."""
        self._heard[strategy_id] = now

    def begin(self) -> None:
        """Forget what was heard while another process led, or nobody."""
        self._heard.clear()

    def time_passes(self, state: FirmState, now: datetime) -> PassTime:
        """Return the command that stops the strategies not heard of in time."""
        silent = [
            strategy_id
            for strategy_id, seconds in state.heartbeats.items()
            if now - self._heard.setdefault(strategy_id, now) > timedelta(seconds=seconds)
        ]
        return PassTime(tuple(silent))

    def overdue(self, state: FirmState, now: datetime) -> int:
        """Return how many switches in force execution has not acknowledged in time; say so, once for each."""
        overdue = [
            switch
            for switches in state.stopped.values()
            for switch in switches.values()
            if not switch.acknowledged_by and now - switch.activated_at > self._patience
        ]
        for switch in overdue:
            if switch.kill_switch_id not in self._told:
                self._told.add(switch.kill_switch_id)
                _LOG.error(
                    "no execution engine has acknowledged the cancels of a kill switch",
                    kill_switch_id=switch.kill_switch_id,
                    scope=switch.scope,
                    target=switch.target,
                )
        return len(overdue)
