"""Orders and executions."""

from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from shared.money import Amount, NonNegativeAmount, PositiveAmount
from shared.schemas.base import Contract, Identifier, Reason, Symbol, UtcDatetime
from shared.schemas.decisions import Decision
from shared.schemas.telemetry import MLTelemetry

# Orders of one batch.
MOST_IN_BATCH: Final = 500


class Side(StrEnum):
    """Buy or sell."""

    BUY = "BUY"
    SELL = "SELL"


class OrderType(StrEnum):
    """Market or limit."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"


class TimeInForce(StrEnum):
    """How long an order rests at the venue; whatever it says, the order is open here until its end is reported."""

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
    parent_order_id: Identifier | None = Field(
        default=None, description="The order this is a slice of; the slices may not sum to more than the parent."
    )
    parent_quantity: PositiveAmount | None = Field(default=None, description="The whole of the parent order.")
    telemetry: MLTelemetry | None = None
    ts_event: UtcDatetime | None = Field(
        default=None, description="When the strategy made it; required, and the clock, for a simulated account."
    )

    @model_validator(mode="after")
    def _price_fits_type(self) -> Self:
        if (self.order_type is OrderType.LIMIT) != (self.limit_price is not None):
            raise ValueError("limit_price is required for LIMIT and must be absent for MARKET")
        if (self.parent_order_id is None) != (self.parent_quantity is None):
            raise ValueError("parent_order_id and parent_quantity come together")
        return self


class OrderBatch(Contract):
    """Orders to decide on in their order; with `all_or_none` one denial denies all that are new."""

    orders: Annotated[list[Order], Field(min_length=1, max_length=MOST_IN_BATCH)]
    all_or_none: bool = Field(
        default=False,
        description="One order that is answered as denied denies all that are decided now, also one that was approved "
        "before and has ended or was taken back since. One that was approved before and is open, or was filled, stays "
        "approved: it is at the venue, and no denial takes it back. Cancel it where the batch is denied.",
    )


class BatchRefusal(Contract):
    """An order of a batch that could not be decided on, such as one whose id was used for another."""

    index: int
    client_order_id: Identifier
    detail: str


class OrderBatchResult(Contract):
    """The decisions on a batch, in its order; null where the order is among those refused."""

    decisions: list[Decision | None]
    refused: list[BatchRefusal] = []
    approved: int


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


class OrderReplace(Contract):
    """Change an open order's quantity or price; the larger of old and new is held until it is acknowledged.

    Where only reductions pass, so does a change to no larger quantity and no price nearer to the market (a buy no
    higher, a sale no lower); any other is judged as an order of its new quantity and price.
    """

    replace_id: Identifier
    quantity: PositiveAmount = Field(description="The order's new whole quantity, what was filled of it included.")
    limit_price: PositiveAmount | None = Field(default=None, description="Required for LIMIT, absent for MARKET.")
    ts_event: UtcDatetime | None = None


class ReplaceAcknowledgement(Contract):
    """Whether the venue took the replacement."""

    replace_id: Identifier
    accepted: bool
    ts_event: UtcDatetime | None = None


class OrderView(Contract):
    """An order as the engine holds it."""

    account_id: Identifier
    client_order_id: Identifier
    strategy_id: Identifier
    symbol: Symbol
    side: Side
    quantity: PositiveAmount
    limit_price: PositiveAmount | None = None
    leaves_quantity: NonNegativeAmount
    status: OrderStatus
    pending_replace_id: Identifier | None = None


class Fill(Contract):
    """An execution the venue reported; the same `trade_id` again changes nothing, as long as it is remembered."""

    trade_id: Identifier
    client_order_id: Identifier
    price: PositiveAmount = Field(description="In the instrument's currency.")
    quantity: PositiveAmount
    fee: Amount = Field(
        default=0, validate_default=True, description="In the account's currency; negative is a rebate."
    )
    ts_event: UtcDatetime


class FillResult(Contract):
    """What a fill did to the order and the position."""

    trade_id: Identifier
    client_order_id: Identifier
    duplicate: bool
    order_status: OrderStatus
    leaves_quantity: NonNegativeAmount
    overfilled_quantity: NonNegativeAmount = Field(
        default=0,
        validate_default=True,
        description="By how much the venue executed more than was left of the order; it is booked all the same.",
    )
    doubted: bool = Field(
        default=False,
        description="Not believed, for its price, its fee, or what all fills gained: it is booked, and only reductions "
        "pass until the account is reconciled.",
    )
    position_quantity: Amount
    realised_pnl: Amount = Field(description="In the account's currency, before the fee.")
    seq: int
