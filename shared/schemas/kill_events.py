"""What the journal rows of kill switches, and of the heartbeats that may pull them, say."""

from shared.schemas.base import Contract, Identifier, UtcDatetime
from shared.schemas.kill_switches import KillReason, KillReductions, KillScope


class CancelledOrder(Contract):
    """An open order a kill switch cancelled."""

    account_id: Identifier
    client_order_id: Identifier


class KillSwitchActivated(Contract):
    """A scope was stopped."""

    kill_switch_id: Identifier
    scope: KillScope
    target: str | None
    kind: KillReason
    reductions: KillReductions = KillReductions.NONE
    reason: str
    cancelled: list[CancelledOrder]
    by: str
    ts_event: UtcDatetime


class KillSwitchReleased(Contract):
    """A scope may trade again."""

    kill_switch_id: Identifier
    reason: str
    by: str
    ts_event: UtcDatetime


class KillReleaseRequested(Contract):
    """An admin asked for a release that a second one must confirm."""

    kill_switch_id: Identifier
    reason: str
    by: str
    ts_event: UtcDatetime


class KillAcknowledged(Contract):
    """An execution engine has sent the cancels."""

    kill_switch_id: Identifier
    execution_id: Identifier
    cancelled_orders: int
    by: str
    ts_event: UtcDatetime


class HeartbeatSet(Contract):
    """A strategy promises a heartbeat at least so often; 0 ends the promise."""

    strategy_id: Identifier
    timeout_seconds: int
    by: str
    ts_event: UtcDatetime
