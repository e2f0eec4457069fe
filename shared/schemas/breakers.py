"""Circuit breakers of an account."""

from enum import StrEnum

from pydantic import Field

from shared.schemas.base import Contract, Identifier, Reason, UtcDatetime


class BreakerName(StrEnum):
    """What a breaker watches."""

    VAR = "var"
    DRAWDOWN = "drawdown"
    DAILY_LOSS = "daily_loss"
    LEVERAGE = "leverage"
    CONCENTRATION = "concentration"


class BreakerState(StrEnum):
    """CLOSED lets pass, OPEN only what reduces, HALF_OPEN as well until it has held for the cool-down."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


class BreakerView(Contract):
    """A breaker as it stands; `warning` from 80 % of its threshold on."""

    name: BreakerName
    state: BreakerState
    value: float | None = Field(description="None where it cannot be measured: VaR without scenarios.")
    threshold: float | None = Field(description="Equal trips. None: the breaker is off.")
    warning: bool
    tripped_at: UtcDatetime | None
    clear_since: UtcDatetime | None = Field(description="Since when the condition has been gone.")


class BreakerReset(Contract):
    """Reset a breaker, and why."""

    reason: Reason


class BreakerResetResult(Contract):
    """What a reset did, and did not do."""

    account_id: Identifier
    name: str
    state: BreakerState
    scope: str
    consequences: list[str]
