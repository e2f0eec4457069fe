"""Decide on orders, and on their ends."""

from datetime import datetime

from services.risk.core.checks import reasons, run, worst_utilisation
from services.risk.core.checks.context import OrderContext
from services.risk.core.commands import CloseOrder, PlaceOrder
from services.risk.core.levels import level_of
from services.risk.core.outcome import Event, Outcome, conflict, fingerprint, invalid, not_found
from services.risk.core.state import OPEN, Account, FirmState
from shared.schemas.decisions import DecisionContent, DenialCode, RiskLevel, Verdict
from shared.schemas.events import OrderClosed, OrderDecided
from shared.schemas.journal import EventKind


def place_order(state: FirmState, command: PlaceOrder, now: datetime) -> Outcome:
    """Approve or deny an order; the same order again gives no event, another under its id is refused."""
    account = state.accounts.get(command.account_id)
    if account is None:
        return not_found(f"account {command.account_id} does not exist")
    order = command.order
    request_hash = fingerprint(order)
    known = account.orders.get(order.client_order_id)
    if known is not None:
        if known.request_hash == request_hash:
            return ()
        return conflict(f"client_order_id {order.client_order_id} was used for another order")
    moment = time_of(account, order.ts_event, now)
    if moment is None:
        return invalid("an order of a simulated account needs ts_event")
    context = OrderContext(state, account, order, moment, state.equity(account))
    findings = run(context)
    denied = reasons(findings)
    worst = worst_utilisation(findings)
    killed = any(reason.code is DenialCode.KILL_SWITCH_ACTIVE for reason in denied)
    content = DecisionContent(
        decision=Verdict.DENIED if denied else Verdict.APPROVED,
        account_id=account.account_id,
        client_order_id=order.client_order_id,
        reasons=denied,
        risk_score=min(max(worst, 0.0), 1.0),
        risk_level=RiskLevel.BLACK if killed else level_of(worst),
        ts_event=moment,
    )
    body = OrderDecided(
        account_id=account.account_id,
        simulation_id=account.simulation_id,
        session_date=account.session_date,
        order=order,
        request_hash=request_hash,
        decision=content,
        mark=context.mark,
        by=command.by,
        correlation_id=command.correlation_id,
        ts_event=moment,
    )
    kind = EventKind.ORDER_DENIED if denied else EventKind.ORDER_APPROVED
    return (Event(kind, account.account_id, body),)


def close_order(state: FirmState, command: CloseOrder, now: datetime) -> Outcome:
    """End an open order; the same end again gives no event, another end is refused."""
    account = state.accounts.get(command.account_id)
    record = account.orders.get(command.client_order_id) if account else None
    if account is None or record is None:
        return not_found(f"account {command.account_id} has no order {command.client_order_id}")
    if record.status is command.status:
        return ()
    if record.status not in OPEN:
        return conflict(f"the order is {record.status} and cannot become {command.status}")
    moment = time_of(account, command.request.ts_event, now)
    if moment is None:
        return invalid("the end of an order of a simulated account needs ts_event")
    body = OrderClosed.model_validate(
        {
            "account_id": account.account_id,
            "client_order_id": command.client_order_id,
            "status": command.status,
            "reason": command.request.reason,
            "leaves_quantity": record.leaves,
            "by": command.by,
            "ts_event": moment,
        }
    )
    return (Event(EventKind.ORDER_CLOSED, account.account_id, body),)


def time_of(account: Account, given: datetime | None, now: datetime) -> datetime | None:
    """Return the time an account lives at: the system's, or for a simulated one the newest a command carried."""
    if account.simulation_id is None:
        return now
    if given is None:
        return None
    return max(given, account.clock) if account.clock else given
