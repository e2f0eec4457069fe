"""What is logged and counted of an event once it is durable."""

from collections import Counter
from collections.abc import Sequence

from services.risk.compiled import compiled
from services.risk.core.bodies import Closed, Decided, Filled
from services.risk.core.outcome import Event
from services.risk.core.state import FirmState
from services.risk.core.units import amount
from services.risk.metrics import FILLS, KILL_ACTIVATIONS, KILL_SWITCHES, ORDERS, OVERFILLS, REJECTED
from shared.logging import Category, get_trading_logger
from shared.logging.context import correlation_id
from shared.schemas.decisions import Verdict
from shared.schemas.events import (
    AccountOpened,
    AccountReconciled,
    BreakerChanged,
    CashMoved,
    EngineStarted,
    HighWaterMarkSet,
    InstrumentSet,
    LevelChanged,
    LimitsSet,
    StrategyEnabled,
)
from shared.schemas.kill_events import (
    HeartbeatSet,
    KillAcknowledged,
    KillReleaseRequested,
    KillSwitchActivated,
    KillSwitchReleased,
)
from shared.schemas.kill_switches import KillScope

_TRADING = get_trading_logger("keelson.risk.orders", Category.TRADING)
_RISK = get_trading_logger("keelson.risk.levels", Category.RISK)
_APPROVED, _DENIED = ORDERS.labels(Verdict.APPROVED), ORDERS.labels(Verdict.DENIED)
_AUDIT = get_trading_logger("keelson.risk.audit", Category.AUDIT)


def record(state: FirmState, events: Sequence[Event]) -> None:
    """Log and count what one request gave, under its correlation id; decisions that came together in one line."""
    token = correlation_id.set(None)
    approved: list[Decided] = []
    denied: list[Decided] = []
    try:
        for event in events:
            correlation_id.set(getattr(event.body, "correlation_id", None))
            if isinstance(event.body, Decided):
                (approved if event.body.verdict.approved else denied).append(event.body)
            else:
                _record(state, event)
        if approved:
            correlation_id.set(approved[0].correlation_id)
            _approved(approved)
        if denied:
            correlation_id.set(denied[0].correlation_id)
            _denied(denied)
    finally:
        correlation_id.reset(token)


def _record(state: FirmState, event: Event) -> None:
    match event.body:
        case Closed() as body:
            _TRADING.log_order_cancelled(
                account_id=body.account_id,
                client_order_id=body.client_order_id,
                reason=body.reason,
                status=body.status,
            )
        case Filled() as body:
            FILLS.inc()
            if body.overfilled:
                OVERFILLS.inc()
                _TRADING.warning(
                    "the venue executed more than was left of the order",
                    account_id=body.account_id,
                    client_order_id=body.client_order_id,
                    trade_id=body.trade_id,
                    overfilled_quantity=amount(body.overfilled),
                )
            if body.doubted:
                _RISK.warning(
                    "the fill is not believed before the account is reconciled",
                    account_id=body.account_id,
                    client_order_id=body.client_order_id,
                    trade_id=body.trade_id,
                    price=amount(body.price),
                    fee=amount(body.fee),
                    fills_gain=amount(state.accounts[body.account_id].fills_gain),
                )
            _TRADING.log_order_filled(
                account_id=body.account_id,
                client_order_id=body.client_order_id,
                trade_id=body.trade_id,
                symbol=body.symbol,
                side="BUY" if body.buy else "SELL",
                quantity=amount(body.quantity),
                price=amount(body.price),
            )
        case KillSwitchActivated() | KillSwitchReleased() as body:
            _kill_switch(state, body)
        case LevelChanged() as body:
            _RISK.warning("risk level", account_id=body.account_id, level=body.level, reason=body.reason)
        case BreakerChanged() as body:
            _RISK.warning(
                "circuit breaker",
                account_id=body.account_id,
                breaker=body.breaker,
                state=body.state,
                value=body.value,
                threshold=body.threshold,
                reason=body.reason,
                by=body.by,
            )
        case EngineStarted() as body:
            _RISK.info(
                "engine started",
                build=body.build,
                configuration=body.configuration_hash,
                halted=body.halted,
                compiled=compiled(),
            )
        case _:
            _audit(event)


def _approved(bodies: Sequence[Decided]) -> None:
    _APPROVED.inc(len(bodies))
    account_id, ids = bodies[0].account_id, [body.order.client_order_id for body in bodies]
    if len(ids) == 1:
        _TRADING.log_order_decided(account_id=account_id, client_order_id=ids[0], approved=True)
    else:
        _TRADING.log_orders_approved(account_id=account_id, client_order_ids=ids)


def _denied(bodies: Sequence[Decided]) -> None:
    _DENIED.inc(len(bodies))
    rules = Counter(broken.code.value for body in bodies for broken in body.verdict.broken)
    for code, count in rules.items():
        REJECTED.labels(code).inc(count)
    account_id, ids = bodies[0].account_id, [body.order.client_order_id for body in bodies]
    if len(ids) > 1:
        # The journal has what was measured; a line for each would fill the log within a minute of large batches.
        _TRADING.log_orders_denied(account_id=account_id, client_order_ids=ids, rules=rules)
        return
    for broken in bodies[0].verdict.broken:
        _TRADING.log_risk_violation(
            rule=broken.code, limit=broken.limit, value=broken.value, account_id=account_id, client_order_id=ids[0]
        )
    _TRADING.log_order_decided(
        account_id=account_id,
        client_order_id=ids[0],
        approved=False,
        reasons=[broken.code for broken in bodies[0].verdict.broken],
    )


def _kill_switch(state: FirmState, body: KillSwitchActivated | KillSwitchReleased) -> None:
    switch = state.kill_switches[body.kill_switch_id]
    show_kill_switches(state)
    if isinstance(body, KillSwitchActivated):
        KILL_ACTIVATIONS.labels(body.scope, body.kind).inc()
    _AUDIT.log_kill_switch(
        kill_switch_id=body.kill_switch_id,
        scope=switch.scope,
        target=switch.target,
        active=isinstance(body, KillSwitchActivated),
        reason=body.reason,
        by=body.by,
    )


def _audit(event: Event) -> None:
    match event.body:
        case LimitsSet() as body:
            _AUDIT.log_audit(
                actor=body.by, action="set-limits", target=body.account_id, after=body.limits, reason=body.reason
            )
        case AccountOpened() as body:
            _AUDIT.log_audit(actor=body.by, action="open-account", target=body.account_id, after=body.limits)
        case InstrumentSet() as body:
            _AUDIT.log_audit(
                actor=body.by, action="set-instrument", target=body.instrument.symbol, after=body.instrument
            )
        case CashMoved() as body:
            _AUDIT.log_audit(
                actor=body.by, action="move-cash", target=body.account_id, after=body.amount, reason=body.reason
            )
        case HighWaterMarkSet() as body:
            _AUDIT.log_audit(
                actor=body.by,
                action="set-high-water-mark",
                target=body.account_id,
                before=body.before,
                after=body.high_water_mark,
                reason=body.reason,
            )
        case AccountReconciled() as body:
            action = "adopt-broker" if body.adopted else "reconcile"
            _AUDIT.log_audit(
                actor=body.by, action=action, target=body.account_id, after=body.breaks, reason=body.reason
            )
        case StrategyEnabled() as body:
            _AUDIT.log_audit(
                actor=body.by, action="enable-strategy", target=body.strategy_id, after=None, reason=body.reason
            )
        case KillReleaseRequested() as body:
            _AUDIT.log_audit(
                actor=body.by, action="request-release", target=body.kill_switch_id, after=None, reason=body.reason
            )
        case KillAcknowledged() as body:
            _AUDIT.log_audit(
                actor=body.by, action="acknowledge-kill", target=body.kill_switch_id, after=body.cancelled_orders
            )
        case HeartbeatSet() as body:
            _AUDIT.log_audit(
                actor=body.by, action="promise-heartbeat", target=body.strategy_id, after=body.timeout_seconds
            )
        case _:
            return


def show_kill_switches(state: FirmState) -> None:
    """Set the gauge of switches in force, after a rebuild too: a restart must not look like a release."""
    for scope in KillScope:
        active = sum(1 for each in state.kill_switches.values() if each.released_at is None and each.scope is scope)
        KILL_SWITCHES.labels(scope).set(active)
