"""How much to order for a signal."""

from decimal import ROUND_DOWN, Decimal

from shared.schemas.instruments import Instrument
from shared.schemas.orders import Side

FRACTION_PER_CONFIDENCE = 0.15
# A target on the side already held is only moved to if it is this much larger or smaller.
MIN_CHANGE = Decimal("0.25")


def target_fraction(confidence: float) -> float:
    """Return the fraction of equity to hold: 0.15 times the calibrated confidence.

    0.5 asks for 7.5 %, 0.8 for 12 %. Nothing here knows the desk's limits: risk denies what is beyond them.
    """
    if not 0.0 <= confidence <= 1.0:
        raise ValueError("a confidence is between 0 and 1")
    return FRACTION_PER_CONFIDENCE * confidence


def order_quantity(
    *, side: Side, confidence: float, equity: Decimal, price: Decimal, instrument: Instrument, position: Decimal
) -> tuple[Side, Decimal] | None:
    """Return the order that takes a strategy's own `position` to its target, or None if there is nothing to order.

    The target is the fraction of equity at `price`, long for BUY and short for SELL; the order is rounded
    towards zero to whole lots.
    """
    if equity <= 0 or price <= 0:
        return None
    fraction = Decimal(str(round(target_fraction(confidence), 6)))
    size = fraction * equity / (price * instrument.multiplier)
    target = size if side is Side.BUY else -size
    change = target - position
    if position * target > 0 and abs(change) < MIN_CHANGE * size:
        return None
    quantity = (abs(change) / instrument.lot_size).to_integral_value(ROUND_DOWN) * instrument.lot_size
    if quantity == 0:
        return None
    return (Side.BUY if change > 0 else Side.SELL), quantity
