"""Kill switches: what stops the firm, an account, a strategy or a symbol."""

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from shared.schemas.base import Contract, Identifier, Reason, Symbol, UtcDatetime, Whole

# The Redis stream execution reads cancel-alls from.
CANCELS_STREAM = "keelson:cancels"


class KillScope(StrEnum):
    """What a kill switch stops."""

    FIRM = "FIRM"
    ACCOUNT = "ACCOUNT"
    STRATEGY = "STRATEGY"
    SYMBOL = "SYMBOL"


class KillReason(StrEnum):
    """What pulled the switch."""

    MANUAL = "MANUAL"
    DRAWDOWN = "DRAWDOWN"
    VAR_BREACH = "VAR_BREACH"
    LEVERAGE_BREACH = "LEVERAGE_BREACH"
    LOSS_LIMIT = "LOSS_LIMIT"
    VOLATILITY_SPIKE = "VOLATILITY_SPIKE"
    SYSTEM_ERROR = "SYSTEM_ERROR"


class KillReductions(StrEnum):
    """What a switch still lets through beside cancels."""

    NONE = "NONE"
    PLAN = "PLAN"
    ALL = "ALL"


class KillSwitchCreate(Contract):
    """Stop a scope; `target` names the account, strategy or symbol and is absent for FIRM."""

    scope: KillScope
    target: Identifier | Symbol | None = Field(default=None)
    reason: Reason
    allow_reducing: bool = Field(
        default=False, description="Let orders through that reduce a position; else nothing but cancels passes."
    )
    kill_switch_id: Identifier | None = Field(
        default=None, description="Names the switch, so that sending it again pulls no second one; made up by default."
    )

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
    kill_switch_id: Identifier | None = Field(default=None, description="As of a kill switch.")


class KillAcknowledgement(Contract):
    """Execution's word that it has sent the cancels a switch asked for."""

    execution_id: Identifier = Field(description="Which of the desk's execution engines says so.")
    cancelled_orders: Whole = Field(ge=0, le=1_000_000_000, description="How many cancels it sent.")


class CancelAll(Contract):
    """Cancel every working order in the scope, and acknowledge; repeated until somebody has."""

    kill_switch_id: Identifier
    scope: KillScope
    target: str | None
    kind: KillReason
    kill_epoch: int
    reason: str
    ts_event: UtcDatetime
    shard: int = Field(
        default=0,
        description="Which shard of risk says so. Name it in X-Keelson-Shard with the acknowledgement: "
        "two shards may each have pulled a switch of this name.",
    )


class Heartbeat(Contract):
    """A strategy is alive."""

    timeout_seconds: Whole | None = Field(
        default=None,
        ge=0,
        le=86_400,
        description="From now on the strategy is stopped when it is not heard of for so long; 0 ends that.",
    )


class KillSwitchView(Contract):
    """A kill switch, in force or released."""

    kill_switch_id: Identifier
    scope: KillScope
    target: str | None
    kind: KillReason
    reductions: KillReductions = KillReductions.NONE
    reason: str
    activated_by: str
    activated_at: UtcDatetime
    release_requested_by: str | None = Field(
        default=None, description="With four eyes, who asked for the release; another admin must confirm it."
    )
    released_by: str | None = None
    released_at: UtcDatetime | None = None
    release_reason: str | None = None
    cancelled_orders: int = Field(
        description="Open orders whose reservations the activation released, on the shard that says so."
    )
    known: bool = Field(
        default=True,
        description="False where no account had seen the strategy when it was stopped: is its name mistyped?",
    )
    acknowledged_by: list[str] = Field(default=[], description="Execution engines that have sent the cancels.")
    kill_epoch: int = Field(default=0, description="Approvals of an earlier epoch in this scope are void.")
    seq: int


class KillSwitchListed(KillSwitchView):
    """A kill switch as a shard of risk has it."""

    shard: int = Field(default=0, description="The shard that says so; a switch of the firm is in force on every one.")


class KillSwitchAnswer(KillSwitchView):
    """A kill switch that was pulled or released, and where."""

    cancelled_orders: int = Field(
        description="Open orders whose reservations the activation released, on all the shards that have confirmed."
    )
    shards: list[int] = Field(description="The shards of risk that have confirmed, each after it was durable there.")
