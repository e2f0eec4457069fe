"""The trade ledger and the roll-ups built from risk's journal."""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, PlainSerializer, WithJsonSchema

from shared.money import Amount, PositiveAmount, format_decimal
from shared.schemas.base import Contract, Identifier, Symbol, UtcDatetime
from shared.schemas.orders import Side
from shared.schemas.telemetry import MLTelemetry

# Many amounts that each fit their column add up to one that need not: a sum of the ledger has no largest value.
Total = Annotated[
    Decimal,
    PlainSerializer(format_decimal, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^-?\d+(\.\d{1,10})?$",
            "description": "An exact sum as a string, of any size.",
            "examples": ["101.25"],
        }
    ),
]


class MetricState(StrEnum):
    """Whether a metric has a value, and why not."""

    OK = "ok"
    NO_TRADES = "no_trades"
    NO_LOSSES = "no_losses"
    TOO_FEW = "too_few"


class Metric(Contract):
    """A figure with its state and the convention it follows; infinity and NaN never appear."""

    value: float | None
    state: MetricState
    convention: str


class Trade(Contract):
    """One execution in the ledger, with the score that asked for it.

    `realised_pnl` is before fees, by average cost, and like `fee` in the account's currency; `price` is in the
    instrument's.
    """

    trade_id: Identifier
    account_id: Identifier
    simulation_id: Identifier | None
    session_date: date
    client_order_id: Identifier
    strategy_id: Identifier
    symbol: Symbol
    side: Side
    quantity: PositiveAmount
    price: PositiveAmount
    fee: Amount
    realised_pnl: Amount
    position_quantity: Amount
    ts_event: UtcDatetime
    shard: int = Field(default=0, description="The shard of risk whose journal says so.")
    journal_seq: int
    telemetry: MLTelemetry | None = None


class DailyRollup(Contract):
    """A closed trading day of one account, or of one strategy in it where `strategy_id` is set."""

    account_id: Identifier
    simulation_id: Identifier | None
    session_date: date
    strategy_id: Identifier | None
    start_equity: Amount | None
    end_equity: Amount | None
    orders_approved: int
    orders_denied: int
    denials_by_reason: dict[str, int]
    trades: int
    volume_notional: Total = Field(description="In the account's currency, at the rates of the fills.")
    realised_pnl: Total
    fees: Total
    win_rate: Metric
    profit_factor: Metric
    mean_confidence: Metric
    closed_at: UtcDatetime
    shard: int = Field(default=0, description="The shard of risk whose journal says so.")
    journal_seq: int


LedgerStateName = Literal["current", "behind", "risk_unreachable", "journal_broken"]


class LedgerShard(Contract):
    """How far reporting has read the journal of one shard of risk."""

    shard: int
    cursor: int
    journal_last_seq: int | None
    lag: int | None
    state: LedgerStateName
    problem: str | None
    updated_at: UtcDatetime | None


class LedgerState(Contract):
    """How far reporting has read risk's journal; of several shards the sums, and the worst state."""

    cursor: int
    journal_last_seq: int | None
    lag: int | None
    trades: int
    rollups: int
    state: LedgerStateName
    problem: str | None = Field(default=None, description="Why the ledger stands still, where it does.")
    updated_at: UtcDatetime | None
    shards: list[LedgerShard] = []


class Counts(Contract):
    """Totals of an account group, as the ledger has them; `denied_by_reason` counts each reason of each denial."""

    simulation_id: Identifier | None
    approved: int
    denied: int
    denied_by_reason: dict[str, int]
    trades: int
    realised_pnl: dict[str, Total] = Field(description="By the accounts' currency, before fees.")
    fees: dict[str, Total] = Field(description="By the accounts' currency.")
    rollups: int
