"""Accounts, their days, and how they stand."""

from datetime import date

from pydantic import Field

from shared.money import Amount, NonNegativeAmount, PositiveAmount
from shared.schemas.base import Contract, Currency, Identifier, Symbol, UtcDatetime
from shared.schemas.decisions import RiskLevel
from shared.schemas.limits import Limits, Utilisation


class AccountCreate(Contract):
    """Open an account; one with a `simulation_id` lives on the clock and the marks of that simulation alone."""

    account_id: Identifier
    base_currency: Currency
    initial_cash: PositiveAmount
    simulation_id: Identifier | None = None
    limits: Limits = Limits()
    session_date: date | None = Field(default=None, description="The first trading day; today in UTC by default.")
    ts_event: UtcDatetime | None = Field(default=None, description="Simulated accounts only: the simulation's time.")


class DayRoll(Contract):
    """Close the account's trading day and start the next one."""

    next_session_date: date
    ts_event: UtcDatetime | None = None


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
