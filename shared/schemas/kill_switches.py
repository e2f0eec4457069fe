"""Kill switches: what stops the firm, an account, a strategy or a symbol."""

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from shared.schemas.base import Contract, Identifier, Reason, Symbol, UtcDatetime


class KillScope(StrEnum):
    """What a kill switch stops."""

    FIRM = "FIRM"
    ACCOUNT = "ACCOUNT"
    STRATEGY = "STRATEGY"
    SYMBOL = "SYMBOL"


class KillReason(StrEnum):
    """What pulled the switch."""

    MANUAL = "MANUAL"
    SYSTEM_ERROR = "SYSTEM_ERROR"


class KillSwitchCreate(Contract):
    """Stop a scope; `target` names the account, strategy or symbol and is absent for FIRM."""

    scope: KillScope
    target: Identifier | Symbol | None = Field(default=None)
    reason: Reason

    @model_validator(mode="after")
    def _target_fits_scope(self) -> Self:
        if self.scope is KillScope.SYMBOL and self.target and self.target != self.target.upper():
            # It would stop nothing, and look as if it did.
            raise ValueError("a symbol is written in capitals")
        if (self.scope is KillScope.FIRM) != (self.target is None):
            raise ValueError("target is required unless scope is FIRM, and must be absent for FIRM")
        return self


class KillSwitchRelease(Contract):
    """Release a switch, and why."""

    reason: Reason


class EmergencyStop(Contract):
    """Stop the whole firm, and why."""

    reason: Reason


class KillSwitchView(Contract):
    """A kill switch, in force or released."""

    kill_switch_id: Identifier
    scope: KillScope
    target: str | None
    kind: KillReason
    reason: str
    activated_by: str
    activated_at: UtcDatetime
    released_by: str | None = None
    released_at: UtcDatetime | None = None
    release_reason: str | None = None
    cancelled_orders: int = Field(description="Open orders whose reservations the activation released.")
    seq: int
