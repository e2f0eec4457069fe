"""Why an order may be denied: the codes, what they mean and which control they serve."""

from enum import StrEnum
from typing import Self


class Control(StrEnum):
    """Which control of the field a denial serves; `docs/controls.md` maps them to the rules."""

    KILL = "kill functionality"
    HALT = "halt after a breach or a restart"
    REFERENCE_DATA = "reference data"
    RESTRICTED = "restricted list"
    DUPLICATE = "duplicate order check"
    THROTTLE = "message limits and repeated-execution throttle"
    COLLAR = "price collar"
    MARKET_DATA = "market data reasonability"
    ORDER_SIZE = "maximum order size"
    SELF_MATCH = "self-match prevention"
    POSITION = "position limits"
    CREDIT = "credit and capital"
    LOSS = "loss limits"
    PORTFOLIO_RISK = "portfolio risk"
    LIQUIDITY = "liquidity"
    PARENT = "parent order"
    BATCH = "all-or-none batch"


class Gravity(StrEnum):
    """Who should look at a denial."""

    ROUTINE = "routine"
    ATTENTION = "attention"
    INCIDENT = "incident"


class DenialCode(StrEnum):
    """Why an order was denied: a closed set. Each member has a text, a gravity and the control it serves."""

    text: str
    gravity: Gravity
    control: Control

    def __new__(cls, code: str, text: str, gravity: Gravity, control: Control) -> Self:
        """Make a member of its code and what it stands for."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.text, member.gravity, member.control = text, gravity, control
        return member

    KILL_SWITCH_ACTIVE = (
        "KILL_SWITCH_ACTIVE",
        "A kill switch of the firm, the account, the strategy or the symbol is in force.",
        Gravity.INCIDENT,
        Control.KILL,
    )
    NOT_RECONCILED = (
        "NOT_RECONCILED",
        "Positions have not been reconciled since the engine started halted, or differ from the broker's.",
        Gravity.INCIDENT,
        Control.HALT,
    )
    FILL_DOUBTED = (
        "FILL_DOUBTED",
        "A fill, or the gain of all, is not believed; only reductions pass until positions and cash are reconciled.",
        Gravity.INCIDENT,
        Control.HALT,
    )
    SESSION_NOT_BEGUN = (
        "SESSION_NOT_BEGUN",
        "The account's session has not begun: none does before 21:00 UTC of the day before; only reductions pass.",
        Gravity.ATTENTION,
        Control.HALT,
    )
    BREAKER_OPEN = (
        "BREAKER_OPEN",
        "A circuit breaker is open, or half open and the order does not reduce.",
        Gravity.INCIDENT,
        Control.HALT,
    )
    RISK_LEVEL = (
        "RISK_LEVEL",
        "The account's level lets only reductions through, or only its liquidation plan.",
        Gravity.INCIDENT,
        Control.HALT,
    )
    INSTRUMENT_UNKNOWN = (
        "INSTRUMENT_UNKNOWN",
        "Nobody described the instrument to the engine.",
        Gravity.ATTENTION,
        Control.REFERENCE_DATA,
    )
    INSTRUMENT_NOT_TRADABLE = (
        "INSTRUMENT_NOT_TRADABLE",
        "The instrument is switched off.",
        Gravity.ROUTINE,
        Control.REFERENCE_DATA,
    )
    LOT_SIZE = (
        "LOT_SIZE",
        "The quantity is not a whole number of lots.",
        Gravity.ROUTINE,
        Control.REFERENCE_DATA,
    )
    TICK_SIZE = (
        "TICK_SIZE",
        "The limit price lies between two ticks.",
        Gravity.ROUTINE,
        Control.REFERENCE_DATA,
    )
    RESTRICTED = (
        "RESTRICTED",
        "The instrument is on the restricted list and the order does not reduce.",
        Gravity.ATTENTION,
        Control.RESTRICTED,
    )
    DUPLICATE_ORDER = (
        "DUPLICATE_ORDER",
        "It equals another order of its strategy but for its id, within the window.",
        Gravity.ATTENTION,
        Control.DUPLICATE,
    )
    MESSAGE_RATE = (
        "MESSAGE_RATE",
        "The account or the strategy sends more messages than it may.",
        Gravity.ATTENTION,
        Control.THROTTLE,
    )
    REPEATED_EXECUTION = (
        "REPEATED_EXECUTION",
        (
            "The strategy was disabled after too many executions in its window. A risk officer enables it again: `POST "
            "/accounts/{account_id}/circuit-breakers/repeated_execution:STRATEGY/reset`."
        ),
        Gravity.INCIDENT,
        Control.THROTTLE,
    )
    PRICE_COLLAR = (
        "PRICE_COLLAR",
        "The limit price is too far on the worse side of the mark.",
        Gravity.ATTENTION,
        Control.COLLAR,
    )
    FX_RATE_MISSING = (
        "FX_RATE_MISSING",
        "There is no rate from the instrument's currency to the account's: no mark for EUR/USD, nor for USD/EUR.",
        Gravity.ATTENTION,
        Control.MARKET_DATA,
    )
    MARK_MISSING = (
        "MARK_MISSING",
        "There is no mark for the instrument, or for the underlying of the option.",
        Gravity.ATTENTION,
        Control.MARKET_DATA,
    )
    MARK_STALE = (
        "MARK_STALE",
        "The mark is older than the profile allows.",
        Gravity.ATTENTION,
        Control.MARKET_DATA,
    )
    MARK_QUALITY = (
        "MARK_QUALITY",
        "The newest price of the instrument was judged critical, or jumped and is not confirmed.",
        Gravity.ATTENTION,
        Control.MARKET_DATA,
    )
    MAX_ORDER_QUANTITY = (
        "MAX_ORDER_QUANTITY",
        "The order has more units than one order may.",
        Gravity.ATTENTION,
        Control.ORDER_SIZE,
    )
    MAX_ORDER_VALUE = (
        "MAX_ORDER_VALUE",
        "The order is worth more than one order may.",
        Gravity.ATTENTION,
        Control.ORDER_SIZE,
    )
    MAX_OPEN_ORDERS = (
        "MAX_OPEN_ORDERS",
        "Too many orders of the account are open.",
        Gravity.ATTENTION,
        Control.ORDER_SIZE,
    )
    SELF_MATCH = (
        "SELF_MATCH",
        "It would trade with the account's own resting order.",
        Gravity.ROUTINE,
        Control.SELF_MATCH,
    )
    PARENT_EXCEEDED = (
        "PARENT_EXCEEDED",
        "The children of the parent order would sum to more than the parent, or do not fit it.",
        Gravity.ATTENTION,
        Control.PARENT,
    )
    ORDER_ENDED = (
        "ORDER_ENDED",
        "Approved before, and cancelled, rejected, expired or replaced since: nothing is held for it any more.",
        Gravity.ROUTINE,
        Control.DUPLICATE,
    )
    BATCH_DENIED = (
        "BATCH_DENIED",
        "Another order of its all-or-none batch is denied.",
        Gravity.ROUTINE,
        Control.BATCH,
    )
    NOT_REDUCING = (
        "NOT_REDUCING",
        "A reduce-only order that could open, grow or flip a position.",
        Gravity.ROUTINE,
        Control.POSITION,
    )
    POSITION_LIMIT = (
        "POSITION_LIMIT",
        "Too much in one symbol.",
        Gravity.ROUTINE,
        Control.POSITION,
    )
    SECTOR_LIMIT = (
        "SECTOR_LIMIT",
        "Too much in one sector.",
        Gravity.ROUTINE,
        Control.POSITION,
    )
    ASSET_CLASS_LIMIT = (
        "ASSET_CLASS_LIMIT",
        "Too much in one asset class.",
        Gravity.ROUTINE,
        Control.POSITION,
    )
    GROSS_EXPOSURE_LIMIT = (
        "GROSS_EXPOSURE_LIMIT",
        "Too much altogether, longs and shorts added up.",
        Gravity.ROUTINE,
        Control.POSITION,
    )
    NET_EXPOSURE_LIMIT = (
        "NET_EXPOSURE_LIMIT",
        "Too much altogether, longs and shorts set against each other.",
        Gravity.ROUTINE,
        Control.POSITION,
    )
    LEVERAGE_LIMIT = (
        "LEVERAGE_LIMIT",
        "Too much margined notional.",
        Gravity.ROUTINE,
        Control.CREDIT,
    )
    INTRADAY_POSITION_LIMIT = (
        "INTRADAY_POSITION_LIMIT",
        "The position would differ too much from the one the day began with.",
        Gravity.ROUTINE,
        Control.POSITION,
    )
    TURNOVER_LIMIT = (
        "TURNOVER_LIMIT",
        "Too much traded today.",
        Gravity.ROUTINE,
        Control.POSITION,
    )
    BUYING_POWER = (
        "BUYING_POWER",
        "The margin of all positions and open orders would be more than the equity.",
        Gravity.ATTENTION,
        Control.CREDIT,
    )
    EQUITY_NOT_POSITIVE = (
        "EQUITY_NOT_POSITIVE",
        "Nothing is left; only reductions pass.",
        Gravity.INCIDENT,
        Control.CREDIT,
    )
    DAILY_LOSS_LIMIT = (
        "DAILY_LOSS_LIMIT",
        "Too much was lost today.",
        Gravity.INCIDENT,
        Control.LOSS,
    )
    DRAWDOWN_LIMIT = (
        "DRAWDOWN_LIMIT",
        "Too far below the high-water mark.",
        Gravity.INCIDENT,
        Control.LOSS,
    )
    VAR_LIMIT = (
        "VAR_LIMIT",
        "The portfolio's value at risk would be too high.",
        Gravity.ATTENTION,
        Control.PORTFOLIO_RISK,
    )
    EXPECTED_SHORTFALL_LIMIT = (
        "EXPECTED_SHORTFALL_LIMIT",
        "The portfolio's expected shortfall would be too high.",
        Gravity.ATTENTION,
        Control.PORTFOLIO_RISK,
    )
    VAR_UNAVAILABLE = (
        "VAR_UNAVAILABLE",
        "The profile requires value at risk and there are no scenarios for the symbol.",
        Gravity.ATTENTION,
        Control.PORTFOLIO_RISK,
    )
    LIQUIDITY_LIMIT = (
        "LIQUIDITY_LIMIT",
        "The order is too large a share of the average daily volume.",
        Gravity.ATTENTION,
        Control.LIQUIDITY,
    )
