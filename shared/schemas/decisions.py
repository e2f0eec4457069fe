"""What the engine decides, and why."""

from enum import StrEnum

from pydantic import Field

from shared.money import NonNegativeAmount
from shared.schemas.base import BEYOND_MEASURE, Contract, Fraction, Identifier, UtcDatetime
from shared.schemas.denials import DenialCode


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


class Unit(StrEnum):
    """What a measure is counted in."""

    OF_EQUITY = "fraction of equity"
    OF_START_OF_DAY_EQUITY = "fraction of start-of-day equity"
    OF_HIGH_WATER_MARK = "fraction of high-water mark"
    OF_DAILY_VOLUME = "fraction of average daily volume"
    ACCOUNT_CURRENCY = "account currency"
    QUANTITY = "units of the instrument"
    PRICE = "price"
    BPS = "basis points"
    SECONDS = "seconds"
    ORDERS = "orders"
    MESSAGES = "messages"


class DenialReason(Contract):
    """One rule the order broke. `utilisation` is value over limit where both are numbers."""

    code: DenialCode
    message: str
    unit: Unit | None = None
    measured: float | None = Field(default=None, description=f"Before the order. {BEYOND_MEASURE}")
    value: float | None = Field(default=None, description=f"Projected: with the order. {BEYOND_MEASURE}")
    limit: float | None = None
    headroom: float | None = Field(default=None, description="What was left of the limit before the order.")
    utilisation: float | None = Field(default=None, description=BEYOND_MEASURE)


class DecisionContent(Contract):
    """What the engine decided; a denial is an answer, not an error."""

    decision: Verdict
    account_id: Identifier
    client_order_id: Identifier
    reasons: list[DenialReason] = []
    max_quantity: NonNegativeAmount | None = Field(
        default=None, description="Of a denied order: the largest quantity that would have passed."
    )
    risk_score: Fraction = Field(description="The worst utilisation after the order, capped at 1.")
    risk_level: RiskLevel
    policy_version: int = Field(default=1, description="The version of the limits it was decided by.")
    kill_epoch: int = Field(
        default=0, description="Kill switches pulled before; execution refuses an approval older than the newest."
    )
    ts_event: UtcDatetime


class ExplainedCheck(Contract):
    """One check of a decision: whether it passed, and by which figures."""

    name: str
    passed: bool
    code: DenialCode | None = None
    message: str | None = None
    unit: Unit | None = None
    measured: float | None = Field(default=None, description=BEYOND_MEASURE)
    value: float | None = Field(default=None, description=BEYOND_MEASURE)
    limit: float | None = None
    headroom: float | None = None
    utilisation: float | None = Field(default=None, description=BEYOND_MEASURE)


class Decision(DecisionContent):
    """A decision and where it stands in the journal: the version of the state it was decided on."""

    seq: int = Field(description="The decision's row in the journal.")
