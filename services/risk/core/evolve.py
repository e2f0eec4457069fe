"""One way forward: the state after an event. Folding the journal gives the state."""

from collections.abc import Callable
from typing import Any, Final

from services.risk.core import evolve_accounts, evolve_orders, evolve_switches
from services.risk.core.bodies import Closed, Decided, Filled, Marked
from services.risk.core.outcome import Event
from services.risk.core.state import FirmState
from shared.schemas import events, kill_events

Change = Callable[[FirmState, Any, int], None]


def evolve(state: FirmState, event: Event, seq: int) -> None:
    """Bring the state forward by one event, the journal's row `seq`."""
    _STEPS[type(event.body)](state, event.body, seq)
    state.last_seq = seq
    if event.account_id is not None:
        state.accounts[event.account_id].state_seq = seq


_STEPS: Final[dict[type, Change]] = {
    Decided: evolve_orders.decided,
    Closed: evolve_orders.closed,
    Filled: evolve_orders.filled,
    events.OrderReplaced: evolve_orders.replaced,
    events.ReplaceAcknowledged: evolve_orders.replace_acknowledged,
    Marked: evolve_accounts.marked,
    events.AccountOpened: evolve_accounts.account_opened,
    events.InstrumentSet: evolve_accounts.instrument_set,
    events.ScenariosSet: evolve_accounts.scenarios_set,
    events.LimitsSet: evolve_accounts.limits_set,
    events.CashMoved: evolve_accounts.cash_moved,
    events.HighWaterMarkSet: evolve_accounts.high_water_mark_set,
    events.DayRolled: evolve_accounts.day_rolled,
    events.AccountReconciled: evolve_accounts.account_reconciled,
    events.BreakerChanged: evolve_accounts.breaker_changed,
    events.LevelChanged: evolve_accounts.level_changed,
    events.StrategyEnabled: evolve_accounts.strategy_enabled,
    events.EngineStarted: evolve_accounts.engine_started,
    kill_events.KillSwitchActivated: evolve_switches.activated,
    kill_events.KillSwitchReleased: evolve_switches.released,
    kill_events.KillReleaseRequested: evolve_switches.release_requested,
    kill_events.KillAcknowledged: evolve_switches.acknowledged,
    kill_events.HeartbeatSet: evolve_switches.heartbeat_set,
}
