"""Accounts, their days, and how they stand."""

from datetime import date
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from shared.money import Amount, NonNegativeAmount, PositiveAmount
from shared.schemas.base import BEYOND_MEASURE, Contract, Currency, Identifier, IsoDate, Reason, Symbol, UtcDatetime
from shared.schemas.breakers import BreakerView
from shared.schemas.decisions import Decision, ExplainedCheck, RiskLevel
from shared.schemas.limits import Limits, Utilisation
from shared.schemas.orders import Side

_HELD = f"Of the positions as they are, without open orders. {BEYOND_MEASURE}"


class AccountCreate(Contract):
    """Open an account; one with a `simulation_id` lives on the clock and the marks of that simulation alone."""

    account_id: Identifier
    base_currency: Currency
    initial_cash: PositiveAmount
    simulation_id: Identifier | None = None
    limits: Limits = Limits()
    session_date: IsoDate | None = Field(
        default=None,
        description="The first trading day, not before 2000, of a simulated account not before 1900; by default today "
        "in UTC, or the day of ts_event.",
    )
    ts_event: UtcDatetime | None = Field(default=None, description="Simulated accounts only: the simulation's time.")


class DayRoll(Contract):
    """Close the account's trading day and start the next one."""

    next_session_date: IsoDate = Field(description="Later than the one that ends; within bounds as the first.")
    ts_event: UtcDatetime | None = None


class CashMovement(Contract):
    """Pay in, or out where negative; the day's start and the high-water mark move along, so that it is no profit."""

    movement_id: Identifier
    amount: Amount
    reason: Reason
    ts_event: UtcDatetime | None = None


class HighWaterMarkUpdate(Contract):
    """Correct an account's high-water mark, such as one that a wrong price raised, and why."""

    high_water_mark: PositiveAmount = Field(description="Not below the account's equity as it is now.")
    reason: Reason


class HighWaterMarkResult(Contract):
    """What a correction changed, and what follows."""

    account_id: Identifier
    before: Amount
    high_water_mark: Amount
    equity: Amount
    drawdown: float
    consequences: list[str]
    seq: int


class BrokerPosition(Contract):
    """A position as the broker has it."""

    symbol: Symbol
    quantity: Amount
    average_price: PositiveAmount | None = Field(
        default=None, description="What an adopted position is taken over at; by default the engine's, or the mark."
    )


class Reconciliation(Contract):
    """The broker's positions and cash; what is not named is taken to be none."""

    positions: Annotated[list[BrokerPosition], Field(max_length=10_000)]
    cash: Amount | None = Field(default=None, description="Not compared where absent.")
    tolerance: NonNegativeAmount = Field(
        default=0,
        validate_default=True,
        description="By how much cash may differ without being a break: for rounding, so at most 0.0001 of the "
        "account's start-of-day equity, or 0.01 where that is more. It is journaled.",
    )
    adopt: bool = Field(default=False, description="Admins only: take the broker's word, by a journaled adjustment.")
    reason: Reason | None = None


class BreakKind(StrEnum):
    """What differs."""

    POSITION = "POSITION"
    CASH = "CASH"


class ReconciliationBreak(Contract):
    """A difference between the engine and the broker."""

    kind: BreakKind
    symbol: Symbol | None
    engine: Amount
    broker: Amount


class ReconciliationResult(Contract):
    """What differed, and whether the account may trade now."""

    account_id: Identifier
    breaks: list[ReconciliationBreak]
    adopted: bool
    reconciled: bool
    seq: int


class PositionView(Contract):
    """A position, its mark and what it is worth; money is in the account's currency."""

    symbol: Symbol
    quantity: Amount
    average_price: Amount
    mark_price: Amount | None
    notional: Amount = Field(description="Quantity at the mark, signed; of an option its premium.")
    exposure: Amount = Field(
        description="What the position counts for in gross and net exposure, negative where it gains from a fall: its "
        "notional; of an option its delta times its underlying, or its premium where that is more."
    )
    unrealised_pnl: Amount
    open_buy_quantity: NonNegativeAmount
    open_sell_quantity: NonNegativeAmount


class TailRisk(Contract):
    """VaR and ES by one method, as positive fractions of equity."""

    method: str
    value_at_risk: float
    expected_shortfall: float
    confidence: float
    horizon_days: float
    observations: int
    ddof: int | None = Field(default=None, description="Of the standard deviation, where the method has one.")
    fallback: str | None = Field(default=None, description="Why another formula was used; null where none was.")


class LiquidationStep(Contract):
    """An order of the plan, to be sent reduce-only."""

    symbol: Symbol
    side: Side
    quantity: PositiveAmount
    notional: Amount
    slices: int = Field(description="Into how many orders it must be cut.")
    slice_quantity: PositiveAmount = Field(
        description="The most one order may have, as a market order at the marks of now, by every limit of one order: "
        "quantity, value, share of the daily volume, net exposure, whole lots. Less than a lot is denied."
    )


class LiquidationPlan(Contract):
    """What would close the account's positions, the largest first."""

    account_id: Identifier
    risk_level: RiskLevel
    steps: list[LiquidationStep]
    seq: int


class AccountStatus(Contract):
    """An account as the engine holds it now; drawdown and daily loss are positive fractions."""

    account_id: Identifier
    base_currency: Currency
    simulation_id: Identifier | None
    session_date: date
    risk_level: RiskLevel
    risk_level_reason: str = Field(description="By what is held: open orders count for utilisations, not for levels.")
    reconciled: bool = True
    doubted_fill: Identifier | None = Field(
        default=None, description="A trade_id that is not believed before positions and cash agree with the broker's."
    )
    fills_gain: Amount = Field(
        default=0,
        validate_default=True,
        description="What fills gained beside the mark, less fees, in the account's currency: since positions and cash "
        "last agreed with the broker's, or the session began. A loss lowers it, to no less than 0. A gain by which it "
        "is more than `fill_doubt_fraction` of start-of-day equity is doubted.",
    )
    equity: Amount
    cash: Amount
    start_of_day_equity: Amount
    high_water_mark: Amount
    paid_in: Amount = Field(
        description="Initial cash, cash movements, and what adopting the broker's books added: cash, and positions at "
        "their cost. `equity` is `paid_in + realised_pnl + unrealised_pnl - fees`, exactly."
    )
    realised_pnl: Amount = Field(description="In the account's currency, before fees.")
    unrealised_pnl: Amount
    fees: Amount
    daily_loss: float
    drawdown: float
    gross_exposure: float = Field(description=_HELD)
    net_exposure: float = Field(description=_HELD)
    leverage: float = Field(description=_HELD)
    tail_risk: list[TailRisk] = Field(default=[], description="Of the positions as they are, without open orders.")
    open_orders: int
    utilisations: list[Utilisation] = Field(
        description="Of every limit that is on, as the check of an order counts it: with open orders at their worst."
    )
    breakers: list[BreakerView] = []
    disabled_strategies: list[Identifier] = []
    positions: list[PositionView]
    kill_switches: list[str]
    policy_version: int = 1
    state_seq: int
    ts_event: UtcDatetime | None


class Explanation(Contract):
    """A decision, every check of it run again on the state it was decided on, and that state."""

    decision: Decision
    agrees: bool = Field(description="Whether the checks, run again, break the same rules.")
    checks: list[ExplainedCheck]
    account: AccountStatus = Field(description="The account just before the decision.")
