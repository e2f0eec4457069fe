"""Accounts, instruments, orders, fills and the decisions of the risk engine."""

from datetime import date
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from shared.money import Amount, NonNegativeAmount, PositiveAmount
from shared.schemas.base import Contract, Currency, Fraction, Identifier, Reason, Symbol, UtcDatetime
from shared.schemas.telemetry import MLTelemetry


class Side(StrEnum):
    """Buy or sell."""

    BUY = "BUY"
    SELL = "SELL"


class OrderType(StrEnum):
    """Market or limit."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"


class TimeInForce(StrEnum):
    """How long an order rests."""

    DAY = "DAY"
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class AssetClass(StrEnum):
    """What kind of instrument it is."""

    EQUITY = "EQUITY"
    INDEX = "INDEX"
    FUTURE = "FUTURE"
    OPTION = "OPTION"
    CRYPTO = "CRYPTO"
    FX = "FX"


class Instrument(Contract):
    """What risk must know of an instrument before an order in it may pass."""

    symbol: Symbol
    currency: Currency
    asset_class: AssetClass
    multiplier: PositiveAmount = Field(default=1, validate_default=True)
    lot_size: PositiveAmount = Field(default=1, validate_default=True)
    tick_size: PositiveAmount
    margined: bool = Field(default=False, description="Counts towards leverage: derivatives and margined positions.")
    tradable: bool = True


class InstrumentBatch(Contract):
    """Instruments to add or replace."""

    instruments: Annotated[list[Instrument], Field(min_length=1, max_length=1_000)]


class Limits(Contract):
    """A limit profile; every fraction is of current equity unless it says otherwise. Equal passes."""

    max_position_fraction: Annotated[float, Field(gt=0, le=10)] = Field(
        default=0.10, description="Worst-case absolute notional of one symbol over equity."
    )
    max_leverage: Annotated[float, Field(gt=0, le=100)] = Field(
        default=5.0, description="Absolute notional of margined positions over equity."
    )
    max_daily_loss_fraction: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.05, description="Loss since the day's start over start-of-day equity."
    )
    max_drawdown_fraction: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.20, description="Fall from the high-water mark over the high-water mark."
    )
    max_mark_age_seconds: Annotated[int, Field(gt=0, le=86_400)] = Field(
        default=120, description="An order against an older mark is denied."
    )


class LimitsUpdate(Contract):
    """A new limit profile, and why."""

    limits: Limits
    reason: Reason


class LimitsView(Contract):
    """The limit profile in force: who set it, when and why."""

    account_id: Identifier
    version: int
    limits: Limits
    reason: str
    set_by: str
    ts_event: UtcDatetime


class AccountCreate(Contract):
    """Open an account; one with a `simulation_id` lives on the clock and the marks of that simulation alone."""

    account_id: Identifier
    base_currency: Currency
    initial_cash: PositiveAmount
    simulation_id: Identifier | None = None
    limits: Limits = Limits()
    session_date: date | None = Field(default=None, description="The first trading day; today in UTC by default.")
    ts_event: UtcDatetime | None = Field(default=None, description="Simulated accounts only: the simulation's time.")


class Order(Contract):
    """An order a strategy wants to send; Keelson decides, the desk's execution routes it."""

    client_order_id: Identifier
    strategy_id: Identifier
    symbol: Symbol
    side: Side
    order_type: OrderType = OrderType.MARKET
    quantity: PositiveAmount
    limit_price: PositiveAmount | None = None
    time_in_force: TimeInForce = TimeInForce.DAY
    reduce_only: bool = False
    telemetry: MLTelemetry | None = None
    ts_event: UtcDatetime | None = Field(
        default=None, description="When the strategy made it; required, and the clock, for a simulated account."
    )

    @model_validator(mode="after")
    def _price_fits_type(self) -> Self:
        if (self.order_type is OrderType.LIMIT) != (self.limit_price is not None):
            raise ValueError("limit_price is required for LIMIT and must be absent for MARKET")
        return self


class Verdict(StrEnum):
    """May the order go out."""

    APPROVED = "APPROVED"
    DENIED = "DENIED"


class RiskLevel(StrEnum):
    """How close the account is to its limits."""

    GREEN = "GREEN"
    YELLOW = "YELLOW"
    ORANGE = "ORANGE"
    RED = "RED"
    BLACK = "BLACK"


class DenialCode(StrEnum):
    """Why an order was denied: a closed set."""

    KILL_SWITCH_ACTIVE = "KILL_SWITCH_ACTIVE"
    INSTRUMENT_UNKNOWN = "INSTRUMENT_UNKNOWN"
    INSTRUMENT_NOT_TRADABLE = "INSTRUMENT_NOT_TRADABLE"
    LOT_SIZE = "LOT_SIZE"
    TICK_SIZE = "TICK_SIZE"
    FX_RATE_MISSING = "FX_RATE_MISSING"
    MARK_MISSING = "MARK_MISSING"
    MARK_STALE = "MARK_STALE"
    EQUITY_NOT_POSITIVE = "EQUITY_NOT_POSITIVE"
    NOT_REDUCING = "NOT_REDUCING"
    POSITION_LIMIT = "POSITION_LIMIT"
    LEVERAGE_LIMIT = "LEVERAGE_LIMIT"
    DAILY_LOSS_LIMIT = "DAILY_LOSS_LIMIT"
    DRAWDOWN_LIMIT = "DRAWDOWN_LIMIT"


class DenialReason(Contract):
    """One rule the order broke; `utilisation` is value over limit where both are numbers."""

    code: DenialCode
    message: str
    limit: float | None = None
    value: float | None = None
    utilisation: float | None = None


class DecisionContent(Contract):
    """What the engine decided; a denial is an answer, not an error."""

    decision: Verdict
    account_id: Identifier
    client_order_id: Identifier
    reasons: list[DenialReason] = []
    risk_score: Fraction = Field(description="The worst utilisation after the order, capped at 1.")
    risk_level: RiskLevel
    ts_event: UtcDatetime


class Decision(DecisionContent):
    """A decision and where it stands in the journal."""

    seq: int = Field(description="The decision's row in the journal.")


class OrderStatus(StrEnum):
    """Where an order stands."""

    OPEN = "OPEN"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    DENIED = "DENIED"


class OrderClose(Contract):
    """End an order that will not fill further, and release what it reserved."""

    reason: Reason
    ts_event: UtcDatetime | None = None


class OrderView(Contract):
    """An order as the engine holds it."""

    account_id: Identifier
    client_order_id: Identifier
    strategy_id: Identifier
    symbol: Symbol
    side: Side
    quantity: PositiveAmount
    leaves_quantity: NonNegativeAmount
    status: OrderStatus


class Fill(Contract):
    """An execution the venue reported; the same `trade_id` again changes nothing."""

    trade_id: Identifier
    client_order_id: Identifier
    price: PositiveAmount
    quantity: PositiveAmount
    fee: Amount = Field(default=0, validate_default=True, description="Negative is a rebate.")
    ts_event: UtcDatetime


class FillResult(Contract):
    """What a fill did to the order and the position."""

    trade_id: Identifier
    client_order_id: Identifier
    duplicate: bool
    order_status: OrderStatus
    leaves_quantity: NonNegativeAmount
    position_quantity: Amount
    realised_pnl: Amount
    seq: int


class DayRoll(Contract):
    """Close the account's trading day and start the next one."""

    next_session_date: date
    ts_event: UtcDatetime | None = None


class Mark(Contract):
    """A price to value positions at."""

    symbol: Symbol
    price: PositiveAmount
    ts_event: UtcDatetime


class MarkBatch(Contract):
    """Marks sent straight to risk, beside those of the stream."""

    simulation_id: Identifier | None = None
    marks: Annotated[list[Mark], Field(min_length=1, max_length=10_000)]


class PositionView(Contract):
    """A position, its mark and what it is worth."""

    symbol: Symbol
    quantity: Amount
    average_price: Amount
    mark_price: Amount | None
    notional: Amount
    unrealised_pnl: Amount
    open_buy_quantity: NonNegativeAmount
    open_sell_quantity: NonNegativeAmount


class Utilisation(Contract):
    """How much of one limit is used."""

    name: str
    value: float
    limit: float
    utilisation: float


class AccountStatus(Contract):
    """An account as the engine holds it now; drawdown and daily loss are positive fractions."""

    account_id: Identifier
    base_currency: Currency
    simulation_id: Identifier | None
    session_date: date
    risk_level: RiskLevel
    risk_level_reason: str
    equity: Amount
    cash: Amount
    start_of_day_equity: Amount
    high_water_mark: Amount
    realised_pnl: Amount
    unrealised_pnl: Amount
    fees: Amount
    daily_loss: float
    drawdown: float
    gross_exposure: float
    net_exposure: float
    leverage: float
    open_orders: int
    utilisations: list[Utilisation]
    positions: list[PositionView]
    kill_switches: list[str]
    state_seq: int
    ts_event: UtcDatetime | None
