"""What the engine decides, and why."""

from enum import StrEnum

from pydantic import Field

from shared.schemas.base import Contract, Fraction, Identifier, UtcDatetime


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
