"""What was lost already."""

from services.risk.core.checks.context import Finding, OrderContext, within
from shared.schemas.decisions import DenialCode


def equity_positive(context: OrderContext) -> Finding | None:
    """Deny what does not reduce once nothing is left."""
    if context.equity > 0 or context.reduces:
        return None
    return Finding(
        DenialCode.EQUITY_NOT_POSITIVE, False, "equity is not positive", limit=0.0, value=float(context.equity)
    )


def daily_loss(context: OrderContext) -> Finding | None:
    """Deny new risk once the day's loss is beyond its share of the day's first equity."""
    start = context.account.start_of_day_equity
    limit = context.limits.max_daily_loss_fraction
    return within(
        DenialCode.DAILY_LOSS_LIMIT, context, start - context.equity, start, limit, "loss of the day over its start"
    )


def drawdown(context: OrderContext) -> Finding | None:
    """Deny new risk once the fall from the high-water mark is beyond its share of it."""
    high = context.account.high_water_mark
    limit = context.limits.max_drawdown_fraction
    return within(
        DenialCode.DRAWDOWN_LIMIT, context, high - context.equity, high, limit, "fall from the high-water mark over it"
    )
