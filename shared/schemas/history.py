"""How accounts stood, minute by minute: a view of the journal's state, kept for reading."""

from datetime import date
from enum import StrEnum

from pydantic import Field

from shared.money import Amount
from shared.schemas.accounts import TailRisk
from shared.schemas.base import Contract, Currency, Identifier, Symbol, UtcDatetime
from shared.schemas.decisions import RiskLevel


class HistoryReason(StrEnum):
    """Why a moment was written down."""

    MINUTE = "minute"
    LEVEL = "level"


class HistoryPoint(Contract):
    """A moment of an account."""

    account_id: Identifier
    ts: UtcDatetime = Field(description="Of a simulated account the simulation's time.")
    journal_seq: int = Field(description="The row that changed the level, or `state_seq` where it is a minute's point.")
    state_seq: int = Field(description="The newest row of the journal that the figures include.")
    reason: HistoryReason
    simulation_id: Identifier | None
    session_date: date


class PositionPoint(Contract):
    """A position at a moment; `market_value` is its quantity at the mark, of a margined one its notional."""

    symbol: Symbol
    quantity: Amount
    average_price: Amount
    mark_price: Amount | None
    market_value: Amount


class PortfolioPoint(HistoryPoint):
    """What an account held and was worth at a moment; money is in its currency, P&L and fees since its opening."""

    base_currency: Currency
    equity: Amount
    cash: Amount
    start_of_day_equity: Amount
    high_water_mark: Amount
    realised_pnl: Amount
    unrealised_pnl: Amount
    day_pnl: Amount = Field(description="Equity less that of the day's start, which cash movements move along.")
    fees: Amount
    gross_notional: Amount
    net_notional: Amount
    open_orders: int
    positions: list[PositionPoint]


class RiskPoint(HistoryPoint):
    """How an account stood against its limits at a moment; exposures and losses are fractions as in its status."""

    level: RiskLevel
    level_reason: str
    kill_switch_active: bool = Field(description="Of the firm, or of the account.")
    drawdown: float
    daily_loss: float
    gross_exposure: float
    net_exposure: float
    leverage: float
    worst_limit: str = Field(description="The limit that was used most.")
    worst_utilisation: float
    tail_risk: list[TailRisk] = Field(description="VaR and ES by each method; empty where they cannot be measured.")
