"""Is the instrument known, tradable, and the order in its units."""

from services.risk.core.checks.context import Finding, OrderContext
from shared.schemas.decisions import DenialCode


def known(context: OrderContext) -> Finding | None:
    """Deny a symbol nobody described."""
    if context.instrument is not None:
        return None
    return Finding(DenialCode.INSTRUMENT_UNKNOWN, False, f"{context.order.symbol} is not a known instrument")


def same_currency(context: OrderContext) -> Finding | None:
    """Deny an instrument in a currency for which there is no rate to the account's."""
    instrument, base = context.instrument, context.account.base_currency
    if instrument is None or instrument.currency == base:
        return None
    return Finding(DenialCode.FX_RATE_MISSING, False, f"no rate from {instrument.currency} to {base}")


def tradable(context: OrderContext) -> Finding | None:
    """Deny an instrument that is switched off."""
    if context.instrument is None or context.instrument.tradable:
        return None
    return Finding(DenialCode.INSTRUMENT_NOT_TRADABLE, False, f"{context.order.symbol} is not tradable now")


def lot_size(context: OrderContext) -> Finding | None:
    """Deny a quantity that is not a whole number of lots."""
    instrument = context.instrument
    if instrument is None or context.order.quantity % instrument.lot_size == 0:
        return None
    return Finding(
        DenialCode.LOT_SIZE,
        False,
        f"the quantity is not a multiple of the lot size {instrument.lot_size}",
        limit=float(instrument.lot_size),
        value=float(context.order.quantity),
    )


def tick_size(context: OrderContext) -> Finding | None:
    """Deny a limit price between two ticks."""
    instrument, price = context.instrument, context.order.limit_price
    if instrument is None or price is None or price % instrument.tick_size == 0:
        return None
    return Finding(
        DenialCode.TICK_SIZE,
        False,
        f"the limit price is not a multiple of the tick size {instrument.tick_size}",
        limit=float(instrument.tick_size),
        value=float(price),
    )
