"""How large the order itself is."""

from services.risk.core.bodies import Broken
from services.risk.core.checks.case import Case
from services.risk.core.units import SCALE, SCALE2, quotient, shown
from shared.schemas.decisions import Unit
from shared.schemas.denials import DenialCode


def order_quantity(case: Case) -> Broken | None:
    """Deny more units than one order may have."""
    quantity, most = case.order.quantity, case.profile.order_quantity
    if quantity <= most:
        return None
    return Broken(DenialCode.MAX_ORDER_QUANTITY, "units of the order", Unit.QUANTITY, 0.0, shown(quantity), shown(most))


def order_value(case: Case) -> Broken | None:
    """Deny an order that is worth more than one may be."""
    if case.worth <= case.profile.order_value * SCALE2:
        return None
    value, most = shown(case.worth // SCALE2), shown(case.profile.order_value)
    return Broken(DenialCode.MAX_ORDER_VALUE, "worth of the order", Unit.ACCOUNT_CURRENCY, 0.0, value, most)


def liquidity(case: Case) -> Broken | None:
    """Deny more units than a share of the average daily volume."""
    volume, limit = case.terms.daily_volume, case.profile.order_volume
    if not volume or case.order.quantity * SCALE <= volume * limit:
        return None
    share = quotient(case.order.quantity, volume)
    return Broken(
        DenialCode.LIQUIDITY_LIMIT,
        "units of the order over daily volume",
        Unit.OF_DAILY_VOLUME,
        0.0,
        share,
        shown(limit),
    )
