"""How much is held, worst case, if the order were filled."""

from decimal import Decimal

from services.risk.core.checks.context import Finding, OrderContext, within
from shared.money import ZERO
from shared.schemas.decisions import DenialCode
from shared.schemas.orders import Side


def position(context: OrderContext) -> Finding | None:
    """Deny a worst-case notional in one symbol beyond its share of equity."""
    instrument, mark = context.instrument, context.mark
    if instrument is None or mark is None:
        return None
    order = context.order
    # A limit above the mark may be filled there; one below may be filled at the mark.
    price = max(mark.price, order.limit_price or ZERO)
    notional = _worst(context) * price * instrument.multiplier
    limit = context.limits.max_position_fraction
    return within(
        DenialCode.POSITION_LIMIT, context, notional, context.equity, limit, f"position in {order.symbol} over equity"
    )


def leverage(context: OrderContext) -> Finding | None:
    """Deny worst-case margined notional of all symbols beyond its multiple of equity."""
    instrument, mark = context.instrument, context.mark
    if instrument is None or mark is None or not instrument.margined:
        return None
    account, state, order = context.account, context.state, context.order
    price = max(mark.price, order.limit_price or ZERO)
    total = _worst(context) * price * instrument.multiplier
    for symbol, holding in account.holdings.items():
        other = state.instruments[symbol]
        if symbol != order.symbol and other.margined:
            total += holding.worst_quantity() * state.price(account, symbol) * other.multiplier
    limit = context.limits.max_leverage
    return within(DenialCode.LEVERAGE_LIMIT, context, total, context.equity, limit, "margined notional over equity")


def _worst(context: OrderContext) -> Decimal:
    order = context.order
    buy, sell = (order.quantity, ZERO) if order.side is Side.BUY else (ZERO, order.quantity)
    return context.holding.worst_quantity(buy, sell)
