"""Is the instrument tradable, and the order in its units."""

from services.risk.core.bodies import Broken
from services.risk.core.checks.case import Case
from services.risk.core.units import shown, text
from shared.schemas.decisions import Unit
from shared.schemas.denials import DenialCode


def tradable(case: Case) -> Broken | None:
    """Deny an instrument that is switched off, or is one on another that is."""
    terms = case.terms
    if not terms.tradable:
        return Broken(DenialCode.INSTRUMENT_NOT_TRADABLE, f"{terms.symbol} is not tradable now")
    underlying = case.state.instruments.get(terms.underlying or "")
    if underlying is not None and not underlying.tradable:
        return Broken(DenialCode.INSTRUMENT_NOT_TRADABLE, f"its underlying {terms.underlying} is not tradable now")
    return None


def restricted(case: Case) -> Broken | None:
    """Deny what does not reduce in an instrument on the restricted list, or in one on such an instrument."""
    terms = case.terms
    if terms.restricted and not case.reduces:
        return Broken(DenialCode.RESTRICTED, f"{terms.symbol} is restricted; only reductions pass")
    underlying = case.state.instruments.get(terms.underlying or "")
    if underlying is not None and underlying.restricted and not case.reduces:
        return Broken(DenialCode.RESTRICTED, f"its underlying {terms.underlying} is restricted; only reductions pass")
    return None


def lot_size(case: Case) -> Broken | None:
    """Deny a quantity that is not a whole number of lots."""
    if case.order.quantity % case.terms.lot == 0:
        return None
    lot = shown(case.terms.lot)
    message = f"the quantity is not a multiple of the lot size {text(case.terms.lot)}"
    return Broken(DenialCode.LOT_SIZE, message, Unit.QUANTITY, value=shown(case.order.quantity), limit=lot)


def tick_size(case: Case) -> Broken | None:
    """Deny a limit price between two ticks."""
    if case.order.limit % case.terms.tick == 0:
        return None
    message = f"the limit price is not a multiple of the tick size {text(case.terms.tick)}"
    return Broken(
        DenialCode.TICK_SIZE, message, Unit.PRICE, value=shown(case.order.limit), limit=shown(case.terms.tick)
    )
