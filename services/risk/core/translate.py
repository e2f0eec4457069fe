"""From the wire into the core."""

from sys import intern

from services.risk.core.bodies import OrderTerms, Quote
from services.risk.core.units import micros, units
from shared.journal import canonical
from shared.schemas.instruments import Mark
from shared.schemas.orders import Order, Side


def order_terms(order: Order) -> OrderTerms:
    """Return an order in fixed point."""
    return OrderTerms(
        order.client_order_id,
        # Kept with every order: of names that many share, one copy is enough.
        intern(order.strategy_id),
        intern(order.symbol),
        order.side is Side.BUY,
        units(order.quantity),
        units(order.limit_price) if order.limit_price else 0,
        order.time_in_force.value,
        order.reduce_only,
        order.parent_order_id,
        units(order.parent_quantity) if order.parent_quantity else 0,
        canonical(order.telemetry.model_dump(mode="json")) if order.telemetry else None,
        micros(order.ts_event) if order.ts_event else None,
    )


def quote(mark: Mark) -> Quote:
    """Return a mark in fixed point."""
    delta = None if mark.delta is None else units(mark.delta)
    return Quote(mark.symbol, units(mark.price), micros(mark.ts_event), delta, mark.quality)
