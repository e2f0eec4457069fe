"""Decide on kill switches and heartbeats."""

from services.risk.core.commands import AcknowledgeKill, ActivateKillSwitch, PromiseHeartbeat, ReleaseKillSwitch
from services.risk.core.outcome import Event, Outcome, conflict, not_found
from services.risk.core.state import Account, FirmState, OrderRecord
from services.risk.core.units import moment
from shared.schemas.journal import EventKind
from shared.schemas.kill_events import (
    CancelledOrder,
    HeartbeatSet,
    KillAcknowledged,
    KillReleaseRequested,
    KillSwitchActivated,
    KillSwitchReleased,
)
from shared.schemas.kill_switches import KillReductions, KillScope, KillSwitchCreate


def activate(state: FirmState, command: ActivateKillSwitch, now: int) -> Outcome:
    """Stop a scope and cancel its open orders.

    An account or a symbol that does not exist is refused: its name is mistyped, and the one that is meant would trade
    on. A strategy needs no introduction, so it can be stopped before it sends anything.
    """
    if command.kill_switch_id in state.kill_switches:
        return ()
    request = command.request
    if request.scope is KillScope.ACCOUNT and request.target not in state.accounts:
        return not_found(f"nothing was stopped: account {request.target} does not exist")
    if request.scope is KillScope.SYMBOL and request.target not in state.instruments:
        return not_found(f"nothing was stopped: {request.target} is not a known instrument")
    cancelled = [
        CancelledOrder(account_id=account.account_id, client_order_id=record.order.client_order_id)
        for account in _accounts(state, request)
        for record in account.open_orders.values()
        if _covers(state, request, account, record)
    ]
    body = KillSwitchActivated(
        kill_switch_id=command.kill_switch_id,
        scope=request.scope,
        target=request.target,
        kind=command.kind,
        reductions=command.reductions or (KillReductions.ALL if request.allow_reducing else KillReductions.NONE),
        reason=request.reason,
        cancelled=cancelled,
        by=command.by,
        ts_event=moment(now),
    )
    return (Event(EventKind.KILL_SWITCH_ACTIVATED, None, body),)


def acknowledge(state: FirmState, command: AcknowledgeKill, now: int) -> Outcome:
    """Note that an execution engine has sent the cancels; once more gives no event."""
    switch = state.kill_switches.get(command.kill_switch_id)
    if switch is None:
        return not_found(f"kill switch {command.kill_switch_id} does not exist")
    if command.request.execution_id in switch.acknowledged_by:
        return ()
    body = KillAcknowledged(
        kill_switch_id=command.kill_switch_id,
        execution_id=command.request.execution_id,
        cancelled_orders=command.request.cancelled_orders,
        by=command.by,
        ts_event=moment(now),
    )
    return (Event(EventKind.KILL_ACKNOWLEDGED, None, body),)


def release(state: FirmState, command: ReleaseKillSwitch, now: int) -> Outcome:
    """Let a scope trade again; with four eyes the first word is a request, and another admin's the release."""
    switch = state.kill_switches.get(command.kill_switch_id)
    if switch is None:
        return not_found(f"kill switch {command.kill_switch_id} does not exist")
    if switch.released_at is not None:
        return conflict(f"kill switch {command.kill_switch_id} was released by {switch.released_by}")
    if command.four_eyes and switch.release_requested_by is None:
        request = KillReleaseRequested(
            kill_switch_id=command.kill_switch_id, reason=command.reason, by=command.by, ts_event=moment(now)
        )
        return (Event(EventKind.KILL_RELEASE_REQUESTED, None, request),)
    if command.four_eyes and switch.release_requested_by == command.by:
        return conflict(f"{command.by} asked for the release; another admin must confirm it")
    body = KillSwitchReleased(
        kill_switch_id=command.kill_switch_id, reason=command.reason, by=command.by, ts_event=moment(now)
    )
    return (Event(EventKind.KILL_SWITCH_RELEASED, None, body),)


def promise_heartbeat(state: FirmState, command: PromiseHeartbeat, now: int) -> Outcome:
    """Take or end a strategy's promise to be heard of; the same again gives no event."""
    if state.heartbeats.get(command.strategy_id, 0) == command.timeout_seconds:
        return ()
    body = HeartbeatSet(
        strategy_id=command.strategy_id,
        timeout_seconds=command.timeout_seconds,
        by=command.by,
        ts_event=moment(now),
    )
    return (Event(EventKind.HEARTBEAT_SET, None, body),)


def _accounts(state: FirmState, request: KillSwitchCreate) -> list[Account]:
    if request.scope is KillScope.ACCOUNT:
        account = state.accounts.get(request.target or "")
        return [account] if account else []
    return list(state.accounts.values())


def _covers(state: FirmState, request: KillSwitchCreate, account: Account, record: OrderRecord) -> bool:
    match request.scope:
        case KillScope.FIRM:
            return True
        case KillScope.ACCOUNT:
            return account.account_id == request.target
        case KillScope.STRATEGY:
            return record.order.strategy_id == request.target
        case KillScope.SYMBOL:
            return request.target in state.stopped_with(record.order.symbol)
