"""One way in: a command, the state and the time give events or a refusal."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from services.risk.core import accounts, fills, kill_switches, orders
from services.risk.core.commands import (
    ActivateKillSwitch,
    ApplyFill,
    CloseOrder,
    Command,
    OpenAccount,
    PlaceOrder,
    ReleaseKillSwitch,
    RollDay,
    SetInstruments,
    SetLimits,
    SetMarks,
)
from services.risk.core.outcome import Outcome
from services.risk.core.state import FirmState

_DECIDERS: dict[type, Callable[[FirmState, Any, datetime], Outcome]] = {
    OpenAccount: accounts.open_account,
    SetInstruments: accounts.set_instruments,
    SetLimits: accounts.set_limits,
    SetMarks: accounts.set_marks,
    RollDay: accounts.roll_day,
    PlaceOrder: orders.place_order,
    CloseOrder: orders.close_order,
    ApplyFill: fills.apply_fill,
    ActivateKillSwitch: kill_switches.activate,
    ReleaseKillSwitch: kill_switches.release,
}


def decide(state: FirmState, command: Command, now: datetime) -> Outcome:
    """Return the events a command gives, none where it was carried out before; the state is not changed."""
    return _DECIDERS[type(command)](state, command, now)
