"""What a caller is told once its command is durable."""

from typing import Any

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
from services.risk.core.outcome import Event
from services.risk.core.state import FirmState
from services.risk.core.views import account_status, order_view
from shared.schemas.events import MarksSet


def answer(state: FirmState, command: Command, events: tuple[Event, ...]) -> Any:
    """Return the answer to a command carried out now, or before where it gave no events.

    An OpenAccount gives its status and whether it is new; marks and instruments give how many were new.
    """
    match command:
        case PlaceOrder():
            return state.accounts[command.account_id].orders[command.order.client_order_id].decision
        case CloseOrder():
            account = state.accounts[command.account_id]
            return order_view(account, account.orders[command.client_order_id])
        case ApplyFill():
            result = state.accounts[command.account_id].fills[command.fill.trade_id][1]
            return result if events else result.model_copy(update={"duplicate": True})
        case OpenAccount():
            return account_status(state, state.accounts[command.request.account_id]), bool(events)
        case RollDay():
            return account_status(state, state.accounts[command.account_id])
        case SetLimits():
            return state.accounts[command.account_id].limits
        case SetInstruments():
            return len(events)
        case SetMarks():
            return sum(len(event.body.marks) for event in events if isinstance(event.body, MarksSet))
        case ActivateKillSwitch() | ReleaseKillSwitch():
            return state.kill_switches[command.kill_switch_id]
