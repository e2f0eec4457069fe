"""One way in: a command, the state and the time give events or a refusal."""

from collections.abc import Callable
from typing import Any, Final

from services.risk.core import accounts, batch, engine_life, fills, kill_switches, market, orders, reconciliation, watch
from services.risk.core import commands as ask
from services.risk.core.outcome import Outcome
from services.risk.core.state import FirmState

_DECIDERS: Final[dict[type, Callable[[FirmState, Any, int], Outcome]]] = {
    ask.OpenAccount: accounts.open_account,
    ask.SetInstruments: market.set_instruments,
    ask.SetScenarios: market.set_scenarios,
    ask.SetLimits: accounts.set_limits,
    ask.RollBackLimits: accounts.roll_back_limits,
    ask.SetMarks: market.set_marks,
    ask.MoveCash: accounts.move_cash,
    ask.SetHighWaterMark: accounts.set_high_water_mark,
    ask.RollDay: accounts.roll_day,
    ask.Reconcile: reconciliation.reconcile,
    ask.PlaceOrder: orders.place_order,
    ask.PlaceOrders: batch.place_orders,
    ask.ReplaceOrder: orders.replace_order,
    ask.AcknowledgeReplace: orders.acknowledge_replace,
    ask.CloseOrder: orders.close_order,
    ask.ApplyFill: fills.apply_fill,
    ask.ResetBreaker: watch.reset_breaker,
    ask.ActivateKillSwitch: kill_switches.activate,
    ask.AcknowledgeKill: kill_switches.acknowledge,
    ask.ReleaseKillSwitch: kill_switches.release,
    ask.PromiseHeartbeat: kill_switches.promise_heartbeat,
    ask.StartEngine: engine_life.start,
    ask.PassTime: engine_life.pass_time,
}


def decide(state: FirmState, command: ask.Command, now: int) -> Outcome:
    """Return the events a command gives, none where it was carried out before; the state is not changed."""
    return _DECIDERS[type(command)](state, command, now)
