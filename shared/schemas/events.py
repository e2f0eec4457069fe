"""What each kind of journal row says."""

from datetime import date
from typing import Literal

from pydantic import Field

from shared.money import Amount, NonNegativeAmount, PositiveAmount
from shared.schemas.accounts import BrokerPosition, ReconciliationBreak
from shared.schemas.base import Contract, Currency, Identifier, Symbol, UtcDatetime
from shared.schemas.breakers import BreakerName, BreakerState
from shared.schemas.decisions import DecisionContent, RiskLevel
from shared.schemas.instruments import Instrument, Mark, ScenarioSet
from shared.schemas.journal import EventKind
from shared.schemas.kill_events import (
    HeartbeatSet,
    KillAcknowledged,
    KillReleaseRequested,
    KillSwitchActivated,
    KillSwitchReleased,
)
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
    """Marks were taken, in this order; of those under `doubted` only that they cannot be trusted."""

    simulation_id: Identifier | None
    marks: list[Mark]
    doubted: list[Mark] = []
    ts_event: UtcDatetime


class OrderDecided(Contract):
    """An order was approved or denied."""

    account_id: Identifier
    simulation_id: Identifier | None
    session_date: date
    order: Order
    request_hash: str | None = None
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
    leaves_quantity: NonNegativeAmount = Field(description="What was left of it when it ended, and will not be filled.")
    by: str
    ts_event: UtcDatetime


class FillApplied(Contract):
    """An execution changed a position; `realised_pnl` and `fee` are in the account's currency, `price` is not.

    `realised_pnl` is before fees and by average cost; rows of before costs were kept in the account's currency have the
    gain in price alone, at the rate of the fill.
    """

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
    fx_rate: PositiveAmount = Field(
        default=1, validate_default=True, description="Of the instrument's currency in the account's."
    )
    realised_pnl: Amount
    position_quantity: Amount
    order_status: OrderStatus
    leaves_quantity: NonNegativeAmount
    overfilled_quantity: NonNegativeAmount = Field(
        default=0, validate_default=True, description="By how much the venue executed more than was left."
    )
    doubted: bool = Field(default=False, description="Not believed before the broker agrees.")
    telemetry: MLTelemetry | None
    request_hash: str | None = None
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


class OrderReplaced(Contract):
    """A replacement was approved or denied; an approved one holds the larger of old and new until acknowledged."""

    account_id: Identifier
    client_order_id: Identifier
    replace_id: Identifier
    quantity: PositiveAmount
    limit_price: PositiveAmount | None
    decision: DecisionContent
    by: str
    ts_event: UtcDatetime


class ReplaceAcknowledged(Contract):
    """The venue took the replacement, or did not."""

    account_id: Identifier
    client_order_id: Identifier
    replace_id: Identifier
    accepted: bool
    by: str
    ts_event: UtcDatetime


class CashMoved(Contract):
    """Cash was paid in, or out."""

    account_id: Identifier
    movement_id: Identifier
    amount: Amount
    reason: str
    by: str
    ts_event: UtcDatetime


class HighWaterMarkSet(Contract):
    """An admin corrected a high-water mark."""

    account_id: Identifier
    before: Amount
    high_water_mark: PositiveAmount
    reason: str
    by: str
    ts_event: UtcDatetime


class BreakerChanged(Contract):
    """A breaker tripped, cleared, opened halfway or closed."""

    account_id: Identifier
    breaker: BreakerName
    state: BreakerState
    value: float | None
    threshold: float | None
    clear_since: UtcDatetime | None
    reason: str
    by: str
    ts_event: UtcDatetime


class StrategyEnabled(Contract):
    """A strategy the throttle had disabled may send again."""

    account_id: Identifier
    strategy_id: Identifier
    reason: str
    by: str
    ts_event: UtcDatetime


class LevelChanged(Contract):
    """An account has another risk level."""

    account_id: Identifier
    level: RiskLevel
    reason: str
    ts_event: UtcDatetime


class ScenariosSet(Contract):
    """VaR and ES are measured on these returns from here on."""

    scenarios: ScenarioSet
    by: str
    ts_event: UtcDatetime


class EngineStarted(Contract):
    """A process took the lead; where `halted`, live accounts must be reconciled before they trade."""

    build: str
    configuration_hash: str
    halted: bool
    ts_event: UtcDatetime


class AccountReconciled(Contract):
    """An account was compared with its broker; where `adopted`, the broker's word was taken.

    What the broker was said to have is null in rows of before it was kept.
    """

    account_id: Identifier
    breaks: list[ReconciliationBreak]
    adopted: bool
    cash: Amount = Field(description="The account's from here on.")
    cash_compared: bool = Field(default=True, description="Whether the broker's cash was told too.")
    broker_cash: Amount | None = Field(default=None, description="As it was told; null where it was not.")
    broker_positions: list[BrokerPosition] | None = Field(default=None, description="As they were told.")
    tolerance: NonNegativeAmount | None = Field(
        default=None, description="By how much cash was allowed to differ without being a break."
    )
    positions: list[BrokerPosition] = Field(description="What was put in place of the account's own.")
    reason: str | None
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
    | KillReleaseRequested
    | KillAcknowledged
    | OrderReplaced
    | ReplaceAcknowledged
    | CashMoved
    | BreakerChanged
    | StrategyEnabled
    | LevelChanged
    | ScenariosSet
    | EngineStarted
    | AccountReconciled
    | HeartbeatSet
    | HighWaterMarkSet
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
    EventKind.KILL_RELEASE_REQUESTED: KillReleaseRequested,
    EventKind.KILL_ACKNOWLEDGED: KillAcknowledged,
    EventKind.ORDER_REPLACED: OrderReplaced,
    EventKind.REPLACE_DENIED: OrderReplaced,
    EventKind.REPLACE_ACKNOWLEDGED: ReplaceAcknowledged,
    EventKind.CASH_MOVED: CashMoved,
    EventKind.BREAKER_CHANGED: BreakerChanged,
    EventKind.STRATEGY_ENABLED: StrategyEnabled,
    EventKind.LEVEL_CHANGED: LevelChanged,
    EventKind.SCENARIOS_SET: ScenariosSet,
    EventKind.ENGINE_STARTED: EngineStarted,
    EventKind.ACCOUNT_RECONCILED: AccountReconciled,
    EventKind.HEARTBEAT_SET: HeartbeatSet,
    EventKind.HIGH_WATER_MARK_SET: HighWaterMarkSet,
}
