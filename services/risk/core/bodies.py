"""What the journal's frequent rows say, in fixed point: decisions, ends of orders, fills and marks.

Their texts are written and read by `codec`; all other kinds are the contracts of `shared.schemas.events`.
"""

from dataclasses import dataclass
from datetime import date

from shared.schemas.base import Severity
from shared.schemas.decisions import RiskLevel, Unit
from shared.schemas.denials import DenialCode
from shared.schemas.orders import OrderStatus


@dataclass(slots=True)
class OrderTerms:
    """What was asked: an order in fixed point; `limit` is 0 for a market order, `telemetry` canonical JSON."""

    client_order_id: str
    strategy_id: str
    symbol: str
    buy: bool
    quantity: int
    limit: int = 0
    time_in_force: str = "DAY"
    reduce_only: bool = False
    parent_order_id: str | None = None
    parent_quantity: int = 0
    telemetry: str | None = None
    ts: int | None = None

    @property
    def signed(self) -> int:
        """Return the quantity with the sign of its side."""
        return self.quantity if self.buy else -self.quantity


@dataclass(slots=True)
class Broken:
    """A rule an order breaks; figures as they are shown."""

    code: DenialCode
    message: str
    unit: Unit | None = None
    measured: float | None = None
    value: float | None = None
    limit: float | None = None


@dataclass(slots=True)
class Verdict:
    """What was decided, by which policy, and what for."""

    approved: bool
    broken: list[Broken]
    risk_score: float
    level: RiskLevel
    max_quantity: int | None
    policy_version: int
    kill_epoch: int
    ts: int


@dataclass(slots=True)
class Decided:
    """An order was approved or denied."""

    account_id: str
    simulation_id: str | None
    session_date: date
    order: OrderTerms
    verdict: Verdict
    mark_price: int
    mark_ts: int
    by: str
    correlation_id: str | None


@dataclass(slots=True)
class Closed:
    """An order will not fill further; what it reserved is free."""

    account_id: str
    client_order_id: str
    status: OrderStatus
    reason: str
    leaves: int
    by: str
    ts: int


@dataclass(slots=True)
class Filled:
    """An execution changed a position."""

    account_id: str
    simulation_id: str | None
    session_date: date
    trade_id: str
    client_order_id: str
    strategy_id: str
    symbol: str
    buy: bool
    price: int
    quantity: int
    fee: int
    currency: str
    multiplier: int
    fx_rate: int
    realised_pnl: int
    position_quantity: int
    order_status: OrderStatus
    leaves: int
    telemetry: str | None
    by: str
    ts: int
    # By how much the venue executed more than was left.
    overfilled: int = 0
    # Not believed before the broker has said so too: see `doubt`.
    doubted: bool = False


@dataclass(slots=True)
class Quote:
    """A price of one moment."""

    symbol: str
    price: int
    ts: int
    delta: int | None = None
    quality: Severity = Severity.OK


@dataclass(slots=True)
class Marked:
    """Marks were taken, in this order; the doubted ones only block their symbols."""

    simulation_id: str | None
    marks: list[Quote]
    doubted: list[Quote]
    ts: int
