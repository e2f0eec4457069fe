"""Is the instrument tradable, and the order in its units."""

from services.risk.core.bodies import Broken
from services.risk.core.checks.case import Case, shown
from services.risk.core.units import text
from shared.schemas.decisions import Unit
from shared.schemas.denials import DenialCode


def tradable(case: Case) -> Broken | None:
    """Deny an instrument that is switched off."""
    if case.terms.tradable:
        return None
    return Broken(DenialCode.INSTRUMENT_NOT_TRADABLE, f"{case.terms.symbol} is not tradable now")


def restricted(case: Case) -> Broken | None:
    """Deny what does not reduce in an instrument on the restricted list."""
    if not case.terms.restricted or case.reduces:
        return None
    return Broken(DenialCode.RESTRICTED, f"{case.terms.symbol} is restricted; only reductions pass")


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
