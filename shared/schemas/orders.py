"""Orders and executions."""

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from shared.money import Amount, NonNegativeAmount, PositiveAmount
from shared.schemas.base import Contract, Identifier, Reason, Symbol, UtcDatetime
from shared.schemas.telemetry import MLTelemetry


class Side(StrEnum):
    """Buy or sell."""

    BUY = "BUY"
    SELL = "SELL"


class OrderType(StrEnum):
    """Market or limit."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"


class TimeInForce(StrEnum):
    """How long an order rests."""

    DAY = "DAY"
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class Order(Contract):
    """An order a strategy wants to send; Keelson decides, the desk's execution routes it."""

    client_order_id: Identifier
    strategy_id: Identifier
    symbol: Symbol
    side: Side
    order_type: OrderType = OrderType.MARKET
    quantity: PositiveAmount
    limit_price: PositiveAmount | None = None
    time_in_force: TimeInForce = TimeInForce.DAY
    reduce_only: bool = False
    telemetry: MLTelemetry | None = None
    ts_event: UtcDatetime | None = Field(
        default=None, description="When the strategy made it; required, and the clock, for a simulated account."
    )

    @model_validator(mode="after")
    def _price_fits_type(self) -> Self:
        if (self.order_type is OrderType.LIMIT) != (self.limit_price is not None):
            raise ValueError("limit_price is required for LIMIT and must be absent for MARKET")
        return self


class OrderStatus(StrEnum):
    """Where an order stands."""

    OPEN = "OPEN"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    DENIED = "DENIED"


class OrderClose(Contract):
    """End an order that will not fill further, and release what it reserved."""

    reason: Reason
    ts_event: UtcDatetime | None = None


class OrderView(Contract):
    """An order as the engine holds it."""

    account_id: Identifier
    client_order_id: Identifier
    strategy_id: Identifier
    symbol: Symbol
    side: Side
    quantity: PositiveAmount
    leaves_quantity: NonNegativeAmount
    status: OrderStatus


class Fill(Contract):
    """An execution the venue reported; the same `trade_id` again changes nothing."""

    trade_id: Identifier
    client_order_id: Identifier
    price: PositiveAmount
    quantity: PositiveAmount
    fee: Amount = Field(default=0, validate_default=True, description="Negative is a rebate.")
    ts_event: UtcDatetime


class FillResult(Contract):
    """What a fill did to the order and the position."""

    trade_id: Identifier
    client_order_id: Identifier
    duplicate: bool
    order_status: OrderStatus
    leaves_quantity: NonNegativeAmount
    position_quantity: Amount
    realised_pnl: Amount
    seq: int
