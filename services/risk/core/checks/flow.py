"""How orders are sent: how many, how alike, against which of one's own."""

from typing import Final

from services.risk.core.bodies import Broken
from services.risk.core.checks.case import Case
from services.risk.core.units import BPS, quotient, shown, text
from shared.schemas.decisions import Unit
from shared.schemas.denials import DenialCode

_NANOSECONDS: Final = 1_000


def duplicate(case: Case) -> Broken | None:
    """Deny an order that equals another of its strategy but for its id, within the window."""
    window = case.profile.duplicate_window
    if not window:
        return None
    order = case.order
    sent = case.account.recent.get((order.strategy_id, order.symbol, order.buy, order.quantity, order.limit))
    if sent is None or case.now - sent >= window:
        return None
    age = quotient(case.now - sent, 1_000_000)
    message = f"the same order was sent {age:.3f} s ago"
    return Broken(DenialCode.DUPLICATE_ORDER, message, Unit.SECONDS, value=age, limit=window / 1_000_000)


def message_rate(case: Case) -> Broken | None:
    """Deny beyond the lasting rate and the burst of the account, or of the strategy.

    By the generic cell rate algorithm (ITU-T I.371), on the command's own time.
    """
    now, slack = case.now * _NANOSECONDS, case.profile.message_slack
    strategy = case.account.strategies.get(case.order.strategy_id)
    who = "account"
    ahead = case.account.due - now
    if ahead <= slack:
        if strategy is None or strategy.due - now <= slack:
            return None
        ahead, who = strategy.due - now, "strategy"
    limits = case.profile.limits
    sent = ahead // case.profile.message_gap
    message = f"the {who} sends more than {limits.max_messages_per_second} messages per second"
    return Broken(DenialCode.MESSAGE_RATE, message, Unit.MESSAGES, sent, sent + 1, float(limits.max_message_burst))


def repeated_execution(case: Case) -> Broken | None:
    """Deny from the strategy's execution on that is one too many in its window, until somebody enables it again."""
    strategy = case.account.strategies.get(case.order.strategy_id)
    if strategy is None:
        return None
    most = case.profile.executions
    if strategy.disabled:
        return Broken(DenialCode.REPEATED_EXECUTION, f"strategy {case.order.strategy_id} was disabled by the throttle")
    if strategy.executions < most or case.now - strategy.window >= case.profile.execution_window:
        return None
    message = f"strategy {case.order.strategy_id} has had {most} orders in its window and is disabled"
    return Broken(
        DenialCode.REPEATED_EXECUTION, message, Unit.ORDERS, strategy.executions, strategy.executions + 1, float(most)
    )


def open_orders(case: Case) -> Broken | None:
    """Deny beyond the number of orders that may be open."""
    count, most = len(case.account.open_orders), case.profile.open_orders
    if count < most or case.order.client_order_id in case.account.open_orders:
        return None
    return Broken(
        DenialCode.MAX_OPEN_ORDERS, f"{count} orders are open", Unit.ORDERS, float(count), count + 1.0, float(most)
    )


def self_match(case: Case) -> Broken | None:
    """Deny what would trade with an own resting limit order of the other side; a market order up to its collar."""
    order, position, mark = case.order, case.position, case.mark.price
    if order.buy:
        if not position.asks:
            return None
        reach, resting = order.limit or mark + mark * case.profile.collar_bps // BPS, position.asks[0]
        crosses = reach >= resting
    else:
        if not position.bids:
            return None
        reach, resting = order.limit or mark - mark * case.profile.collar_bps // BPS, -position.bids[0]
        crosses = reach <= resting
    if not crosses:
        return None
    message = f"an own order rests at {text(resting)} on the other side"
    return Broken(DenialCode.SELF_MATCH, message, Unit.PRICE, value=shown(reach), limit=shown(resting))


def parent(case: Case) -> Broken | None:
    """Deny slices that would sum to more than their parent, or differ from it in symbol, side or size."""
    order = case.order
    if order.parent_order_id is None:
        return None
    known = case.account.parents.get(order.parent_order_id)
    taken = known.taken if known else 0
    if known and (known.symbol, known.buy, known.quantity) != (order.symbol, order.buy, order.parent_quantity):
        return Broken(
            DenialCode.PARENT_EXCEEDED, f"{order.parent_order_id} was named with another symbol, side or quantity"
        )
    if taken + case.adds <= order.parent_quantity:
        return None
    return Broken(
        DenialCode.PARENT_EXCEEDED,
        f"the slices of {order.parent_order_id} would sum to {text(taken + case.adds)}",
        Unit.QUANTITY,
        shown(taken),
        shown(taken + case.adds),
        shown(order.parent_quantity),
    )


def really_reduces(case: Case) -> Broken | None:
    """Deny a reduce-only order that could open, grow or flip a position; other orders of its side included."""
    if not case.order.reduce_only or case.reduces:
        return None
    held = case.position
    return Broken(
        DenialCode.NOT_REDUCING, f"a reduce-only order that does not reduce {text(held.quantity)} {held.terms.symbol}"
    )
