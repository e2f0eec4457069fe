"""What each kind of journal row says."""

from datetime import date
from typing import Literal

from shared.money import Amount, NonNegativeAmount, PositiveAmount
from shared.schemas.base import Contract, Currency, Identifier, Symbol, UtcDatetime
from shared.schemas.decisions import DecisionContent
from shared.schemas.instruments import Instrument, Mark
from shared.schemas.journal import EventKind
from shared.schemas.kill_switches import KillReason, KillScope
from shared.schemas.limits import Limits
from shared.schemas.orders import Order, OrderStatus, Side
from shared.schemas.telemetry import MLTelemetry


class AccountOpened(Contract):
    """An account exists from here on."""

    account_id: Identifier
    base_currency: Currency
    initial_cash: PositiveAmount
    simulation_id: Identifier | None
    session_date: date
    limits: Limits
    limits_version: int
    request_hash: str
    by: str
    ts_event: UtcDatetime


class InstrumentSet(Contract):
    """An instrument was added or replaced."""

    instrument: Instrument
    by: str
    ts_event: UtcDatetime


class LimitsSet(Contract):
    """An account has a new limit profile."""

    account_id: Identifier
    version: int
    limits: Limits
    reason: str
    by: str
    ts_event: UtcDatetime


class MarksSet(Contract):
    """Marks were taken, in this order."""

    simulation_id: Identifier | None
    marks: list[Mark]
    ts_event: UtcDatetime


class OrderDecided(Contract):
    """An order was approved or denied."""

    account_id: Identifier
    simulation_id: Identifier | None
    session_date: date
    order: Order
    request_hash: str
    decision: DecisionContent
    mark: Mark | None
    by: str
    correlation_id: str | None
    ts_event: UtcDatetime


class OrderClosed(Contract):
    """An order will not fill further; what it reserved is free."""

    account_id: Identifier
    client_order_id: Identifier
    status: Literal[OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.EXPIRED]
    reason: str
    leaves_quantity: NonNegativeAmount
    by: str
    ts_event: UtcDatetime


class FillApplied(Contract):
    """An execution changed a position; `realised_pnl` is before fees, by average cost."""

    account_id: Identifier
    simulation_id: Identifier | None
    session_date: date
    trade_id: Identifier
    client_order_id: Identifier
    strategy_id: Identifier
    symbol: Symbol
    side: Side
    price: PositiveAmount
    quantity: PositiveAmount
    fee: Amount
    currency: Currency
    multiplier: PositiveAmount
    realised_pnl: Amount
    position_quantity: Amount
    order_status: OrderStatus
    leaves_quantity: NonNegativeAmount
    telemetry: MLTelemetry | None
    request_hash: str
    by: str
    ts_event: UtcDatetime


class DayRolled(Contract):
    """A trading day was closed; `session_date` is the one closed."""

    account_id: Identifier
    simulation_id: Identifier | None
    session_date: date
    next_session_date: date
    start_of_day_equity: Amount
    end_equity: Amount
    realised_pnl_total: Amount
    fees_total: Amount
    by: str
    ts_event: UtcDatetime


class CancelledOrder(Contract):
    """An open order a kill switch cancelled."""

    account_id: Identifier
    client_order_id: Identifier


class KillSwitchActivated(Contract):
    """A scope was stopped."""

    kill_switch_id: Identifier
    scope: KillScope
    target: str | None
    kind: KillReason
    reason: str
    cancelled: list[CancelledOrder]
    by: str
    ts_event: UtcDatetime


class KillSwitchReleased(Contract):
    """A scope may trade again."""

    kill_switch_id: Identifier
    reason: str
    by: str
    ts_event: UtcDatetime


EventBody = (
    AccountOpened
    | InstrumentSet
    | LimitsSet
    | MarksSet
    | OrderDecided
    | OrderClosed
    | FillApplied
    | DayRolled
    | KillSwitchActivated
    | KillSwitchReleased
)

BODIES: dict[EventKind, type[EventBody]] = {
    EventKind.ACCOUNT_OPENED: AccountOpened,
    EventKind.INSTRUMENT_SET: InstrumentSet,
    EventKind.LIMITS_SET: LimitsSet,
    EventKind.MARKS_SET: MarksSet,
    EventKind.ORDER_APPROVED: OrderDecided,
    EventKind.ORDER_DENIED: OrderDecided,
    EventKind.ORDER_CLOSED: OrderClosed,
    EventKind.FILL_APPLIED: FillApplied,
    EventKind.DAY_ROLLED: DayRolled,
    EventKind.KILL_SWITCH_ACTIVATED: KillSwitchActivated,
    EventKind.KILL_SWITCH_RELEASED: KillSwitchReleased,
}
