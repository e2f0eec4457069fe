"""Is there a price to measure with, and is it fresh."""

from services.risk.core.checks.context import Finding, OrderContext
from shared.schemas.decisions import DenialCode


def mark_known(context: OrderContext) -> Finding | None:
    """Deny a symbol without a mark: what it would risk cannot be measured."""
    if context.mark is not None:
        return None
    return Finding(DenialCode.MARK_MISSING, False, f"there is no mark for {context.order.symbol}")


def mark_fresh(context: OrderContext) -> Finding | None:
    """Deny on a mark older than the account's limit."""
    if context.mark is None:
        return None
    age = (context.now - context.mark.ts_event).total_seconds()
    limit = context.limits.max_mark_age_seconds
    # An age is no share of a risk limit: it takes no part in the utilisation.
    return Finding(DenialCode.MARK_STALE, age <= limit, f"the mark is {age:.0f} s old", limit=limit, value=age)
