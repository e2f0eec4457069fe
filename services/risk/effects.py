"""What is logged and counted of an event once it is durable."""

from services.risk.core.outcome import Event
from services.risk.core.state import FirmState
from services.risk.metrics import FILLS, KILL_SWITCHES, ORDERS, REJECTED
from shared.logging import Category, get_trading_logger
from shared.logging.context import correlation_id
from shared.schemas.decisions import Verdict
from shared.schemas.events import (
    AccountOpened,
    FillApplied,
    InstrumentSet,
    KillSwitchActivated,
    KillSwitchReleased,
    LimitsSet,
    OrderClosed,
    OrderDecided,
)
from shared.schemas.kill_switches import KillScope

_TRADING = get_trading_logger("keelson.risk.orders", Category.TRADING)
_AUDIT = get_trading_logger("keelson.risk.audit", Category.AUDIT)


def record(state: FirmState, event: Event) -> None:
    """Log and count an event, under the correlation id of the request that caused it."""
    token = correlation_id.set(getattr(event.body, "correlation_id", None))
    try:
        _record(state, event)
    finally:
        correlation_id.reset(token)


def show_kill_switches(state: FirmState) -> None:
    """Set the gauge of switches in force, after a rebuild too: a restart must not look like a release."""
    for scope in KillScope:
        active = sum(1 for each in state.kill_switches.values() if each.released_at is None and each.scope is scope)
        KILL_SWITCHES.labels(scope).set(active)


def _record(state: FirmState, event: Event) -> None:
    match event.body:
        case OrderDecided() as body:
            _order_decided(body)
        case OrderClosed() as body:
            _TRADING.log_order_cancelled(
                account_id=body.account_id,
                client_order_id=body.client_order_id,
                reason=body.reason,
                status=body.status,
            )
        case FillApplied() as body:
            FILLS.inc()
            _TRADING.log_order_filled(
                account_id=body.account_id,
                client_order_id=body.client_order_id,
                trade_id=body.trade_id,
                symbol=body.symbol,
                side=body.side,
                quantity=body.quantity,
                price=body.price,
            )
        case KillSwitchActivated() | KillSwitchReleased() as body:
            _kill_switch(state, body)
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
        case _:
            return


def _order_decided(body: OrderDecided) -> None:
    decision = body.decision
    ORDERS.labels(decision.decision).inc()
    for reason in decision.reasons:
        REJECTED.labels(reason.code).inc()
        _TRADING.log_risk_violation(
            rule=reason.code,
            limit=reason.limit,
            value=reason.value,
            account_id=body.account_id,
            client_order_id=decision.client_order_id,
        )
    _TRADING.log_order_decided(
        account_id=body.account_id,
        client_order_id=decision.client_order_id,
        approved=decision.decision is Verdict.APPROVED,
        reasons=[reason.code for reason in decision.reasons],
    )


def _kill_switch(state: FirmState, body: KillSwitchActivated | KillSwitchReleased) -> None:
    switch = state.kill_switches[body.kill_switch_id]
    show_kill_switches(state)
    _AUDIT.log_kill_switch(
        kill_switch_id=body.kill_switch_id,
        scope=switch.scope,
        target=switch.target,
        active=isinstance(body, KillSwitchActivated),
        reason=body.reason,
        by=body.by,
    )
