"""Decide on kill switches."""

from datetime import datetime

from services.risk.core.commands import ActivateKillSwitch, ReleaseKillSwitch
from services.risk.core.outcome import Event, Outcome, conflict, not_found
from services.risk.core.state import Account, FirmState, OrderRecord
from shared.schemas.events import CancelledOrder, KillSwitchActivated, KillSwitchReleased
from shared.schemas.journal import EventKind
from shared.schemas.kill_switches import KillScope, KillSwitchCreate


def activate(state: FirmState, command: ActivateKillSwitch, now: datetime) -> Outcome:
    """Stop a scope and cancel its open orders; a target need not exist, so that it can be stopped beforehand."""
    if command.kill_switch_id in state.kill_switches:
        return ()
    request = command.request
    cancelled = [
        CancelledOrder(account_id=account.account_id, client_order_id=record.order.client_order_id)
        for account in state.accounts.values()
        for record in account.open_orders.values()
        if _covers(request, account, record)
    ]
    body = KillSwitchActivated(
        kill_switch_id=command.kill_switch_id,
        scope=request.scope,
        target=request.target,
        kind=command.kind,
        reason=request.reason,
        cancelled=cancelled,
        by=command.by,
        ts_event=now,
    )
    return (Event(EventKind.KILL_SWITCH_ACTIVATED, None, body),)


def release(state: FirmState, command: ReleaseKillSwitch, now: datetime) -> Outcome:
    """Let a scope trade again."""
    switch = state.kill_switches.get(command.kill_switch_id)
    if switch is None:
        return not_found(f"kill switch {command.kill_switch_id} does not exist")
    if switch.released_at is not None:
        return conflict(f"kill switch {command.kill_switch_id} was released by {switch.released_by}")
    body = KillSwitchReleased(kill_switch_id=command.kill_switch_id, reason=command.reason, by=command.by, ts_event=now)
    return (Event(EventKind.KILL_SWITCH_RELEASED, None, body),)


def _covers(request: KillSwitchCreate, account: Account, record: OrderRecord) -> bool:
    named = {
        KillScope.ACCOUNT: account.account_id,
        KillScope.STRATEGY: record.order.strategy_id,
        KillScope.SYMBOL: record.order.symbol,
    }
    return request.scope is KillScope.FIRM or named[request.scope] == request.target
