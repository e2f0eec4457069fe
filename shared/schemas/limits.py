"""Limit profiles, and how much of them is used."""

from typing import Annotated

from pydantic import Field

from shared.money import PositiveAmount
from shared.schemas.base import BEYOND_MEASURE, Contract, Identifier, Real, Reason, UtcDatetime, Whole

_Share = Annotated[Real, Field(gt=0, le=1_000)]
_Below1 = Annotated[Real, Field(gt=0, le=1)]
_Count = Annotated[Whole, Field(ge=1, le=1_000_000_000)]


def _off(description: str) -> str:
    return f"{description} None: no limit."


class Limits(Contract):
    """A limit profile; every fraction is of current equity unless it says otherwise. Equal passes."""

    max_position_fraction: Annotated[Real, Field(gt=0, le=10)] = Field(
        default=0.10, description="Worst-case absolute notional of one symbol over equity."
    )
    max_sector_fraction: _Share = Field(default=0.25, description="Worst-case absolute notional of one sector.")
    max_asset_class_fraction: _Share = Field(
        default=0.50, description="Worst-case absolute notional of one asset class."
    )
    max_gross_exposure: _Share = Field(default=2.0, description="Worst-case sum of absolute notionals.")
    max_net_exposure: _Share | None = Field(
        default=None, description=_off("Worst-case absolute value of the sum of signed notionals.")
    )
    max_leverage: Annotated[Real, Field(gt=0, le=100)] = Field(
        default=5.0, description="Absolute notional of margined positions over equity."
    )
    max_intraday_position_fraction: _Share | None = Field(
        default=None,
        description=_off("Absolute notional by which one symbol's position may differ from the day's first."),
    )
    max_turnover: _Share | None = Field(
        default=None, description=_off("Notional executed and open today over start-of-day equity.")
    )
    max_daily_loss_fraction: _Below1 = Field(
        default=0.05, description="Loss since the day's start over start-of-day equity."
    )
    max_drawdown_fraction: _Below1 = Field(
        default=0.20, description="Fall from the high-water mark over the high-water mark."
    )
    max_var_fraction: _Share | None = Field(
        default=0.05, description=_off("Historical value at risk over equity, where scenarios are known.")
    )
    max_expected_shortfall_fraction: _Share | None = Field(
        default=0.075, description=_off("Historical expected shortfall over equity, where scenarios are known.")
    )
    var_confidence: Annotated[Real, Field(ge=0.9, lt=1)] = Field(default=0.99, description="Of both of them.")
    var_required: bool = Field(
        default=False,
        description="Deny orders in symbols with no scenarios, of an underlying either, that leave VaR unmeasured.",
    )
    max_order_quantity: PositiveAmount | None = Field(default=None, description=_off("Units of one order."))
    max_order_value: PositiveAmount | None = Field(
        default=None, description=_off("Notional of one order in the account's currency.")
    )
    max_order_volume_fraction: _Share | None = Field(
        default=0.10, description=_off("Units of one order over average daily volume, where that is known.")
    )
    fill_doubt_fraction: _Share | None = Field(
        default=0.05,
        description="A fill further from the mark than its instrument's max_jump, and by more than this of equity in "
        "money, is booked and doubted, as is one with a larger fee: until the account is reconciled only reductions "
        "pass. So is one by which fills gained more beside the mark, less fees, than this of start-of-day equity since "
        "the account was last reconciled or its session began. None: no fill is doubted.",
    )
    max_open_orders: _Count = Field(default=10_000, description="Orders approved and not ended.")
    price_collar_bps: Annotated[Whole, Field(ge=0, le=10_000)] = Field(
        default=500,
        description="How far a limit price may be on the worse side of the mark; market orders are valued there.",
    )
    max_mark_age_seconds: Annotated[Whole, Field(gt=0, le=86_400)] = Field(
        default=120, description="An order against an older mark is denied."
    )
    max_messages_per_second: _Count = Field(
        default=1_000, description="Orders and replacements sent, by the account and by each of its strategies."
    )
    max_message_burst: _Count = Field(default=2_000, description="Messages that may be sent at once.")
    max_repeated_executions: _Count = Field(
        default=10_000,
        description="Orders of one strategy within the window; one more disables it until a risk officer resets it.",
    )
    repeated_execution_window_seconds: Annotated[Whole, Field(ge=1, le=86_400)] = 60
    duplicate_window_ms: Annotated[Whole, Field(ge=0, le=3_600_000)] = Field(
        default=0,
        description="An order that equals another of its strategy but for its id is denied so long; 0: never.",
    )
    breaker_cool_down_seconds: Annotated[Whole, Field(ge=1, le=86_400)] = Field(
        default=300, description="How long the condition must be gone before a breaker opens halfway by itself."
    )
    breaker_margin: Annotated[Real, Field(ge=1, le=10)] = Field(
        default=1.1,
        description="Breakers of VaR, leverage and concentration trip at this multiple of their limits; those of "
        "daily loss and drawdown trip at the limit itself.",
    )
    kill_margin: Annotated[Real, Field(ge=1, le=10)] | None = Field(
        default=1.5,
        description="At this multiple of the limit of daily loss, drawdown, VaR or leverage the account is stopped. "
        "None: never by itself.",
    )


class LimitsUpdate(Contract):
    """A new limit profile, and why."""

    limits: Limits = Field(description="The whole profile: a limit that is left out goes back to its default.")
    reason: Reason


class LimitsRollback(Contract):
    """Put an earlier version of the limits in force again, and why."""

    version: Annotated[Whole, Field(ge=1)]
    reason: Reason


class LimitsView(Contract):
    """The limit profile in force: who set it, when and why."""

    account_id: Identifier
    version: int
    limits: Limits
    changed: list[str] = Field(default=[], description="The limits that are not as in the version before.")
    reason: str
    set_by: str
    ts_event: UtcDatetime


class Utilisation(Contract):
    """How much of one limit is used, open orders at their worst included, as the check of an order counts it."""

    name: str
    value: float = Field(description=BEYOND_MEASURE)
    limit: float
    utilisation: float = Field(description=f"Value over limit. {BEYOND_MEASURE}")
