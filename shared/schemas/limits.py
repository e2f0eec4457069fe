"""Limit profiles, and how much of them is used."""

from typing import Annotated

from pydantic import Field

from shared.schemas.base import Contract, Identifier, Reason, UtcDatetime


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


class Utilisation(Contract):
    """How much of one limit is used."""

    name: str
    value: float
    limit: float
    utilisation: float
