"""Kill switches."""

from services.risk.core.checks.context import Finding, OrderContext
from shared.schemas.decisions import DenialCode


def kill_switch(context: OrderContext) -> Finding | None:
    """Deny while a switch of the firm, the account, the strategy or the symbol is in force."""
    order = context.order
    active = context.state.active_switches(context.account.account_id, order.strategy_id, order.symbol)
    if not active:
        return None
    first = active[0]
    target = f" {first.target}" if first.target else ""
    return Finding(
        DenialCode.KILL_SWITCH_ACTIVE, False, f"{first.scope}{target} is stopped ({first.kind}): {first.reason}"
    )
