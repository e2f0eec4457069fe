"""Can the prices the order is measured with be trusted, and is its own one near them."""

from typing import Final

from services.risk.core.bodies import Broken
from services.risk.core.checks.case import Case
from services.risk.core.units import BPS, quotient, shown, text
from shared.schemas.base import Severity
from shared.schemas.decisions import Unit
from shared.schemas.denials import DenialCode

_SECOND: Final = 1_000_000
_CRITICAL: Final = Severity.CRITICAL


def fresh(case: Case) -> Broken | None:
    """Deny on a mark older than the profile allows; that of the currency and of an option's underlying too."""
    oldest, name = case.mark, case.terms.symbol
    for symbol, mark in case.others:
        if mark.ts < oldest.ts:
            oldest, name = mark, symbol
    age = case.now - oldest.ts
    if age <= case.profile.mark_age:
        return None
    limit = float(case.profile.limits.max_mark_age_seconds)
    seconds = quotient(age, _SECOND)
    return Broken(
        DenialCode.MARK_STALE, f"the mark of {name} is {seconds:.0f} s old", Unit.SECONDS, seconds, seconds, limit
    )


def sound(case: Case) -> Broken | None:
    """Deny while the newest price was judged critical, or jumped and is not confirmed."""
    if case.mark.quality is not _CRITICAL and not case.mark.suspect and not case.others:
        return None
    for symbol, mark in ((case.terms.symbol, case.mark), *case.others):
        if mark.quality is _CRITICAL:
            return Broken(DenialCode.MARK_QUALITY, f"the newest price of {symbol} was judged critical")
        if mark.suspect:
            return Broken(
                DenialCode.MARK_QUALITY,
                f"{symbol} jumped from {text(mark.price)} to {text(mark.suspect)} and that is not confirmed",
                Unit.PRICE,
                shown(mark.price),
                shown(mark.suspect),
            )
    return None


def collar(case: Case) -> Broken | None:
    """Deny a limit price further than the collar on the worse side of the mark: above for buys, below for sells."""
    limit, mark = case.order.limit, case.mark.price
    if not limit:
        return None
    beyond = limit - mark if case.order.buy else mark - limit
    if beyond * BPS <= case.profile.collar_bps * mark:
        return None
    bps = quotient(beyond, mark) * BPS
    side = "above" if case.order.buy else "below"
    message = f"the limit price is {bps:.0f} bps {side} the mark {text(mark)}"
    return Broken(DenialCode.PRICE_COLLAR, message, Unit.BPS, value=bps, limit=float(case.profile.collar_bps))
