"""Decide on executions the venue reported."""

from typing import Final

from services.risk.core.bodies import Filled
from services.risk.core.commands import ApplyFill
from services.risk.core.doubt import doubted
from services.risk.core.outcome import Event, Outcome, Refused, conflict, invalid, not_found
from services.risk.core.positions import fill
from services.risk.core.state import OPEN, Account, FirmState, OrderRecord
from services.risk.core.terms import worth
from services.risk.core.times import impossible, time_of
from services.risk.core.units import SCALE, SCALE3, micros, text, units
from services.risk.core.valuation import rate_of
from shared.schemas.journal import EventKind
from shared.schemas.orders import Fill, OrderStatus

# Beyond it, cash would not fit its column; no real execution comes near.
LARGEST_NOTIONAL: Final = 10**16 * SCALE
MOST_CASH: Final = 10**17 * SCALE
# Of one instrument, and in the account's currency. Marks may make it worth a thousand times as much: beyond that a mark
# is no price, for all accounts, and no account may come near by itself.
_MOST_QUANTITY: Final = 10**17 * SCALE
_MOST_WORTH: Final = 10**13 * SCALE
TOO_MUCH: Final = f"an account holds at most {text(_MOST_QUANTITY)} of an instrument, worth at most {text(_MOST_WORTH)}"


def apply_fill(state: FirmState, command: ApplyFill, now: int) -> Outcome:
    """Book an execution; the same again gives no event, another under its id is refused.

    One for an order that was cancelled meanwhile is booked too, and so is one of more than was left: the venue knows
    what happened, and a position that leaves it out is wrong.
    """
    account = state.accounts.get(command.account_id)
    if account is None:
        return not_found(f"account {command.account_id} does not exist")
    report = command.fill
    price, quantity, fee = units(report.price), units(report.quantity), units(report.fee)
    known = account.fills.get(report.trade_id)
    if known is not None:
        if (known.client_order_id, known.price, known.quantity, known.fee) == (
            report.client_order_id,
            price,
            quantity,
            fee,
        ):
            return ()
        return conflict(f"trade_id {report.trade_id} was used for another fill")
    record = _order(account, report, now)
    if isinstance(record, Refused):
        return record
    most = record.leaves
    if record.replacement is not None and quantity > most:
        # The venue has taken a replacement that it has not acknowledged.
        most = max(most, record.replacement.quantity - (record.order.quantity - record.leaves))
    overfilled = max(quantity - most, 0)
    order = record.order
    terms = state.instruments[order.symbol]
    rate = rate_of(state, account, terms.currency)
    if max(price * quantity * terms.multiplier * rate // SCALE3, abs(fee)) > LARGEST_NOTIONAL:
        return invalid(f"a fill is worth at most {text(LARGEST_NOTIONAL)}")
    position = account.positions[order.symbol]
    signed = quantity if order.buy else -quantity
    change = fill(position, signed, price, fee, rate)
    if abs(account.cash + change.cash) > MOST_CASH:
        return invalid(f"the account's cash would be beyond {text(MOST_CASH)}")
    if max(abs(account.fees + fee), abs(account.realised_pnl + change.realised_pnl)) > MOST_CASH:
        return invalid(f"the account's fees or realised profit would be beyond {text(MOST_CASH)}")
    if abs(change.quantity) > abs(position.quantity) and immense(change.quantity, position.exposure):
        return invalid(TOO_MUCH)
    leaves = max(most - quantity, 0)
    if record.status in OPEN or leaves == 0:
        done = leaves == 0 and (overfilled > 0 or record.replacement is None or most > record.leaves)
        status = OrderStatus.FILLED if done else OrderStatus.PARTIALLY_FILLED
    else:
        # It has ended: nothing more is expected of it, whatever else may come late.
        status, leaves = record.status, 0
    time = micros(report.ts_event)
    if account.simulation_id is not None:
        time = time_of(account, time, now) or time
    body = Filled(
        account.account_id,
        account.simulation_id,
        account.session_date,
        report.trade_id,
        report.client_order_id,
        order.strategy_id,
        order.symbol,
        order.buy,
        price,
        quantity,
        fee,
        terms.currency,
        terms.multiplier,
        rate,
        change.realised_pnl,
        change.quantity,
        status,
        leaves,
        order.telemetry,
        command.by,
        time,
        overfilled,
        doubted(state, account, terms, signed, price, fee, rate),
    )
    return (Event(EventKind.FILL_APPLIED, account.account_id, body),)


def immense(quantity: int, exposure: int) -> bool:
    """Tell whether a position is larger, or counts for more, than any real one comes near."""
    return abs(quantity) > _MOST_QUANTITY or worth(abs(quantity), exposure) > _MOST_WORTH


def _order(account: Account, report: Fill, now: int) -> OrderRecord | Refused:
    """Return the order an execution is of."""
    refused = impossible(account, micros(report.ts_event), now)
    if refused is not None:
        return refused
    record = account.orders.get(report.client_order_id)
    if record is None:
        return not_found(f"account {account.account_id} has no order {report.client_order_id}")
    if record.status is OrderStatus.DENIED:
        return conflict(f"order {report.client_order_id} was denied")
    return record
