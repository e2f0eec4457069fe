"""The state after what happened to kill switches and heartbeats."""

from services.risk.core.evolve_orders import end
from services.risk.core.state import OPEN, FirmState
from shared.schemas.kill_events import (
    HeartbeatSet,
    KillAcknowledged,
    KillReleaseRequested,
    KillSwitchActivated,
    KillSwitchReleased,
)
from shared.schemas.kill_switches import KillScope, KillSwitchView
from shared.schemas.orders import OrderStatus


def activated(state: FirmState, body: KillSwitchActivated, seq: int) -> None:
    """Stop a scope; its open orders end and free what they held."""
    for cancelled in body.cancelled:
        account = state.accounts[cancelled.account_id]
        record = account.orders[cancelled.client_order_id]
        # Older journals name an order twice where two switches were pulled by one event.
        if record.status in OPEN:
            end(state, account, record, OrderStatus.CANCELLED)
            record.taken_back_by = body.kill_switch_id
    state.kill_epoch += 1
    switch = KillSwitchView(
        kill_switch_id=body.kill_switch_id,
        scope=body.scope,
        target=body.target,
        kind=body.kind,
        reductions=body.reductions,
        reason=body.reason,
        activated_by=body.by,
        activated_at=body.ts_event,
        cancelled_orders=len(body.cancelled),
        known=_known(state, body),
        kill_epoch=state.kill_epoch,
        seq=seq,
    )
    _put(state, switch)


def released(state: FirmState, body: KillSwitchReleased, seq: int) -> None:
    """Let a scope trade again."""
    switch = state.kill_switches[body.kill_switch_id]
    update = {"released_by": body.by, "released_at": body.ts_event, "release_reason": body.reason}
    _put(state, switch.model_copy(update=update))


def release_requested(state: FirmState, body: KillReleaseRequested, seq: int) -> None:
    """Note who asked for a release."""
    switch = state.kill_switches[body.kill_switch_id]
    _put(state, switch.model_copy(update={"release_requested_by": body.by, "release_reason": body.reason}))


def acknowledged(state: FirmState, body: KillAcknowledged, seq: int) -> None:
    """Note that an execution engine has sent its cancels."""
    switch = state.kill_switches[body.kill_switch_id]
    _put(state, switch.model_copy(update={"acknowledged_by": [*switch.acknowledged_by, body.execution_id]}))


def heartbeat_set(state: FirmState, body: HeartbeatSet, seq: int) -> None:
    """Take or end a strategy's promise to be heard of."""
    if body.timeout_seconds:
        state.heartbeats[body.strategy_id] = body.timeout_seconds
    else:
        state.heartbeats.pop(body.strategy_id, None)


def _known(state: FirmState, body: KillSwitchActivated) -> bool:
    if body.scope is not KillScope.STRATEGY:
        return True
    return body.target in state.heartbeats or any(body.target in each.strategies for each in state.accounts.values())


def _put(state: FirmState, switch: KillSwitchView) -> None:
    state.kill_switches[switch.kill_switch_id] = switch
    key = (switch.scope, switch.target)
    if switch.released_at is None:
        state.stopped.setdefault(key, {})[switch.kill_switch_id] = switch
        return
    held = state.stopped.get(key, {})
    held.pop(switch.kill_switch_id, None)
    if not held:
        state.stopped.pop(key, None)
