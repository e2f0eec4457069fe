"""What a check looks at, and what it says."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from services.risk.core.positions import Holding
from services.risk.core.state import Account, FirmState
from shared.money import ZERO
from shared.schemas.decisions import DenialCode, DenialReason
from shared.schemas.instruments import Instrument, Mark
from shared.schemas.limits import Limits
from shared.schemas.orders import Order, Side

# What a utilisation beyond every measure is shown as: JSON has no infinity.
BEYOND = 1e9


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found; `utilisation` is value over limit where both are numbers."""

    code: DenialCode
    passed: bool
    message: str = ""
    limit: float | None = None
    value: float | None = None
    utilisation: float | None = None

    def reason(self) -> DenialReason:
        """Return the finding as a reason to deny."""
        return DenialReason(
            code=self.code, message=self.message, limit=self.limit, value=self.value, utilisation=self.utilisation
        )


@dataclass(frozen=True, slots=True)
class OrderContext:
    """An order and everything its checks may look at."""

    state: FirmState
    account: Account
    order: Order
    now: datetime
    equity: Decimal

    @property
    def limits(self) -> Limits:
        """Return the limits in force."""
        return self.account.limits.limits

    @property
    def instrument(self) -> Instrument | None:
        """Return the instrument, None where risk does not know it."""
        return self.state.instruments.get(self.order.symbol)

    @property
    def mark(self) -> Mark | None:
        """Return the mark of the order's symbol, None where there is none."""
        return self.state.mark(self.account, self.order.symbol)

    @property
    def holding(self) -> Holding:
        """Return what the account holds in the order's symbol."""
        return self.account.holdings.get(self.order.symbol) or Holding()

    @property
    def reduces(self) -> bool:
        """Tell whether the order can only bring the position nearer to zero, open orders of its side included."""
        held = self.holding
        if self.order.side is Side.SELL:
            return held.quantity > 0 and self.order.quantity + held.open_sell <= held.quantity
        return held.quantity < 0 and self.order.quantity + held.open_buy <= -held.quantity


def share(value: Decimal, of: Decimal) -> float:
    """Return a value as a fraction of another, `BEYOND` where that is not positive."""
    return float(value / of) if of > 0 else (BEYOND if value > 0 else 0.0)


def within(
    code: DenialCode, context: OrderContext, value: Decimal, base: Decimal, limit: float, message: str
) -> Finding:
    """Return whether `value` is at most `limit` of `base`; what only reduces passes all the same.

    Compared as exact decimals, so that a value at its limit passes.
    """
    allowed = Decimal(str(limit)) * base
    fraction = share(value, base)
    passed = value <= ZERO or (base > 0 and value <= allowed) or context.reduces
    return Finding(code, passed, message, limit=limit, value=fraction, utilisation=min(fraction / limit, BEYOND))
