"""Decide on executions the venue reported."""

from datetime import datetime
from decimal import Decimal

from services.risk.core.commands import ApplyFill
from services.risk.core.orders import time_of
from services.risk.core.outcome import Event, Outcome, conflict, fingerprint, invalid, not_found
from services.risk.core.positions import Holding, fill
from services.risk.core.state import FirmState, signed
from shared.schemas.events import FillApplied
from shared.schemas.journal import EventKind
from shared.schemas.orders import OrderStatus

# Beyond it, cash would not fit its column; no real execution comes near.
_LARGEST_NOTIONAL = Decimal(10) ** 16
_MOST_CASH = Decimal(10) ** 17


def apply_fill(state: FirmState, command: ApplyFill, now: datetime) -> Outcome:
    """Book an execution; the same again gives no event, another under its id is refused.

    One for an order that was cancelled meanwhile is booked too: the venue knows what happened.
    """
    account = state.accounts.get(command.account_id)
    if account is None:
        return not_found(f"account {command.account_id} does not exist")
    report = command.fill
    known = account.fills.get(report.trade_id)
    if known is not None:
        if known[0] == fingerprint(report):
            return ()
        return conflict(f"trade_id {report.trade_id} was used for another fill")
    record = account.orders.get(report.client_order_id)
    if record is None:
        return not_found(f"account {account.account_id} has no order {report.client_order_id}")
    if record.status is OrderStatus.DENIED:
        return conflict(f"order {report.client_order_id} was denied")
    if report.quantity > record.leaves:
        return conflict(f"the fill of {report.quantity} is more than the {record.leaves} left of the order")
    order = record.order
    instrument = state.instruments[order.symbol]
    notional = report.price * report.quantity * instrument.multiplier
    if max(notional, abs(report.fee)) > _LARGEST_NOTIONAL:
        return invalid(f"a fill is worth at most {_LARGEST_NOTIONAL:f}")
    held = account.holdings.get(order.symbol) or Holding()
    change = fill(held, signed(order.side, report.quantity), report.price, report.fee, instrument)
    if abs(account.cash + change.cash) > _MOST_CASH:
        return invalid(f"the account's cash would be beyond {_MOST_CASH:f}")
    leaves = record.leaves - report.quantity
    if record.status in {OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED} or leaves == 0:
        status = OrderStatus.FILLED if leaves == 0 else OrderStatus.PARTIALLY_FILLED
    else:
        status = record.status
    body = FillApplied(
        account_id=account.account_id,
        simulation_id=account.simulation_id,
        session_date=account.session_date,
        trade_id=report.trade_id,
        client_order_id=report.client_order_id,
        strategy_id=order.strategy_id,
        symbol=order.symbol,
        side=order.side,
        price=report.price,
        quantity=report.quantity,
        fee=report.fee,
        currency=instrument.currency,
        multiplier=instrument.multiplier,
        realised_pnl=change.realised_pnl,
        position_quantity=change.quantity,
        order_status=status,
        leaves_quantity=leaves,
        telemetry=order.telemetry,
        request_hash=fingerprint(report),
        by=command.by,
        ts_event=time_of(account, report.ts_event, now) if account.simulation_id else report.ts_event,
    )
    return (Event(EventKind.FILL_APPLIED, account.account_id, body),)
