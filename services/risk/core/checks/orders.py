"""Does the order do what it says."""

from services.risk.core.checks.context import Finding, OrderContext
from shared.schemas.decisions import DenialCode


def really_reduces(context: OrderContext) -> Finding | None:
    """Deny a reduce-only order that could open, grow or flip a position."""
    if not context.order.reduce_only or context.reduces:
        return None
    return Finding(
        DenialCode.NOT_REDUCING, False, f"a reduce-only order that does not reduce {context.holding.quantity}"
    )
