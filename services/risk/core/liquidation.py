"""What would close an account's positions, and which orders belong to that plan."""

from services.risk.core.bodies import OrderTerms
from services.risk.core.positions import Position
from services.risk.core.state import Account, FirmState
from services.risk.core.terms import OFF
from services.risk.core.units import BPS, SCALE, SCALE2, amount
from services.risk.core.views import shown_level
from shared.schemas.accounts import LiquidationPlan, LiquidationStep
from shared.schemas.orders import Side


def liquidation_plan(state: FirmState, account: Account) -> LiquidationPlan:
    """Return the orders that would close every position, net of those that are closing it, the largest first."""
    steps = []
    for symbol, position in account.positions.items():
        quantity = _to_close(position)
        if not quantity:
            continue
        most = slice_quantity(account, position, quantity)
        steps.append(
            LiquidationStep(
                symbol=symbol,
                side=Side.SELL if position.quantity > 0 else Side.BUY,
                quantity=amount(quantity),
                notional=amount(quantity * position.unit // SCALE2),
                slices=-(-quantity // most),
                slice_quantity=amount(most),
            )
        )
    steps.sort(key=lambda step: (-step.notional, step.symbol))
    switches = list(state.active_switches(account.account_id, None, None))
    level, _ = shown_level(account.level, account.level_reason, switches)
    return LiquidationPlan(account_id=account.account_id, risk_level=level, steps=steps, seq=account.state_seq)


def in_plan(account: Account, position: Position, order: OrderTerms, own: int) -> bool:
    """Tell whether an order that reduces is one of the plan: reduce-only, and no more than one slice.

    `own` is what the order holds already, where it is a change of one: that is still to close.
    """
    left = _to_close(position, own)
    return order.reduce_only and order.quantity <= slice_quantity(account, position, left)


def slice_quantity(account: Account, position: Position, quantity: int) -> int:
    """Return the most of a quantity one order may have by every limit of one order, in whole lots.

    As a market order: valued at the collar. And no more than the limit of net exposure: of a hedge, slices of either
    side pass in turn, as what takes the net exposure beyond one end of its range brings it nearer to the other.
    """
    terms, profile, unit = position.terms, account.profile, position.unit
    most = min(quantity, profile.order_quantity)
    if unit:
        most = min(most, profile.order_value * SCALE2 // (unit + unit * profile.collar_bps // BPS))
    if terms.daily_volume and profile.order_volume != OFF:
        most = min(most, profile.order_volume * terms.daily_volume // SCALE)
    if position.direction and profile.net != OFF and account.equity > 0:
        most = min(most, profile.net * account.equity * SCALE // abs(position.direction))
    lots = most // terms.lot * terms.lot
    # A position smaller than a lot, or a limit below one, leaves the smallest order there is; no check lets it pass.
    return lots or min(quantity, terms.lot)


def _to_close(position: Position, own: int = 0) -> int:
    if position.quantity > 0:
        return max(position.quantity - position.open_sell + own, 0)
    return max(-position.quantity - position.open_buy + own, 0)
