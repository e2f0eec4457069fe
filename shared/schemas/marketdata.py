"""Bars, option chains and what the quality checks said of them."""

from collections.abc import Mapping
from datetime import date, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from shared.money import Amount, NonNegativeAmount, PositiveAmount, Sum
from shared.schemas.base import Contract, Identifier, Severity, Symbol, UtcDatetime

Interval = Literal["1m", "5m", "15m", "1h", "1d"]

INTERVAL_LENGTH: Final[Mapping[Interval, timedelta]] = MappingProxyType(
    {
        "1m": timedelta(minutes=1),
        "5m": timedelta(minutes=5),
        "15m": timedelta(minutes=15),
        "1h": timedelta(hours=1),
        "1d": timedelta(days=1),
    }
)


class Bar(Contract):
    """One OHLCV bar; `ts` is its start, and it is known only at `ts` plus the interval.

    OHLC bounds are a quality check, not a parsing rule: a broken bar is stored with its verdict.
    `amount` is the money traded, which some venues call turnover or quote volume.
    """

    symbol: Symbol
    interval: Interval
    ts: UtcDatetime
    open: Amount
    high: Amount
    low: Amount
    close: Amount
    volume: NonNegativeAmount
    amount: NonNegativeAmount | None = None


class BarBatch(Contract):
    """Bars of one source; `simulation_id` keeps replayed data away from live marks."""

    source: Identifier
    simulation_id: Identifier | None = None
    bars: Annotated[list[Bar], Field(min_length=1, max_length=50_000)]


class OptionRight(StrEnum):
    """Call or put."""

    CALL = "C"
    PUT = "P"


class OptionQuote(Contract):
    """One contract of a chain at one moment; absent fields were not quoted.

    `implied_volatility` is a fraction a year: 0.1988 for what a source calls 19.88 %.
    """

    expiry: date
    strike: PositiveAmount
    right: OptionRight
    bid: Amount | None = None
    ask: Amount | None = None
    bid_quantity: Amount | None = None
    ask_quantity: Amount | None = None
    last_price: Amount | None = None
    open_interest: Amount | None = None
    change_in_open_interest: Amount | None = None
    implied_volatility: float | None = None


class MarketState(Contract):
    """An underlying and its option chain at one moment.

    Fields a feed may fail to send are optional here, and their absence is a quality finding. `spot_prices` are all
    that the snapshot named where it named several, each once; `spot_price` is then the one most of its rows have.
    """

    symbol: Symbol
    timestamp: UtcDatetime | None = None
    spot_price: Amount | None = None
    spot_prices: Annotated[list[Amount], Field(max_length=1_000)] | None = None
    total_call_oi: Amount | None = None
    total_put_oi: Amount | None = None
    option_chain: Annotated[list[OptionQuote], Field(max_length=20_000)] | None = None


class MarketStateBatch(Contract):
    """Market states of one source; `simulation_id` keeps replayed data away from live marks."""

    source: Identifier
    simulation_id: Identifier | None = None
    states: Annotated[list[MarketState], Field(min_length=1, max_length=50_000)]


class QualityIssue(Contract):
    """One finding: a stable code, what was measured and the threshold it crossed."""

    code: str
    severity: Severity
    message: str
    value: float | None = None
    threshold: float | None = None
    details: dict[str, Any] = {}


class Verdict(Contract):
    """What the quality gate said of one row, by its index in the batch."""

    index: int
    symbol: Symbol
    ts: UtcDatetime | None
    severity: Severity
    issues: list[QualityIssue] = []
    market_state_id: str | None = None


class RejectedRow(Contract):
    """A row that could not be stored, with its index and why."""

    index: int
    reason: str


class IngestResult(Contract):
    """What became of a batch. The lists name at most 1,000 rows, the counts are of all.

    `verdicts` are those that are not ok, and of market states all (they carry the id), the worst where there are more.
    """

    received: int
    stored: int = Field(description="New rows and new revisions.")
    revised: int = Field(default=0, description="Of those stored, the ones that correct an earlier revision.")
    unchanged: int
    rejected_count: int = 0
    rejected: list[RejectedRow] = []
    published: int = Field(description="Marks sent to risk that may be traded on.")
    flagged: int = Field(default=0, description="Rows with a finding.")
    verdicts: list[Verdict] = []


class StoredBar(Bar):
    """A bar as it was stored, with its source, revision and verdict.

    One that was not sent is summed from `bars` bars of a minute; it has revision 0 and no `ts_init`. Critical minutes
    are not in it: where `left_out` says that there were any, its severity is a warning at least.
    """

    volume: Sum
    amount: Sum | None = None
    source: Identifier
    revision: int
    severity: Severity
    issues: list[QualityIssue] = []
    ts_init: UtcDatetime | None = None
    bars: int | None = None
    left_out: int | None = None


class StoredMarketState(MarketState):
    """A market state as it was stored, with its id, source and verdict."""

    market_state_id: str
    source: Identifier
    simulation_id: Identifier | None = None
    revision: int
    severity: Severity
    issues: list[QualityIssue] = []
    ts_init: UtcDatetime


class FeedStatus(Contract):
    """How one source is doing."""

    source: Identifier
    symbols: int
    rows: int
    critical: int
    warning: int
    last_ts_event: UtcDatetime | None
    last_ts_init: UtcDatetime | None


class MarkMessage(Contract):
    """A price as marketdata publishes it on the `marks` stream for risk; a critical one only says not to trust any."""

    symbol: Symbol
    price: PositiveAmount
    ts_event: UtcDatetime
    source: Identifier
    simulation_id: Identifier | None = None
    severity: Severity = Severity.OK
