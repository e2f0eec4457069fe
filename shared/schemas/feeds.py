"""Sources of market data: how each is doing, which one is active, and why it changed."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from shared.schemas.base import Contract, Fraction, Identifier, Real, Reason, Symbol, UtcDatetime, Whole
from shared.schemas.marketdata import Interval, QualityIssue


class SourceHealth(StrEnum):
    """HEALTHY can be relied on, DEGRADED serves with findings, DOWN is left for another source."""

    HEALTHY = "HEALTHY"
    DEGRADED = "DEGRADED"
    DOWN = "DOWN"


class CircuitState(StrEnum):
    """CLOSED lets calls through, OPEN none, HALF_OPEN one at a time to see whether the source is back."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


class SwitchReason(StrEnum):
    """Why the active source changed."""

    START = "start"
    ERRORS = "errors"
    QUALITY = "quality"
    STALE = "stale"
    FAIL_BACK = "fail_back"


class FeedCall(Contract):
    """One call to a source as its caller saw it; the latency is in milliseconds."""

    at: UtcDatetime
    ok: bool
    latency_ms: Annotated[Real, Field(ge=0, le=86_400_000)]


class FeedHealth(Contract):
    """How one source is doing; `components` are the parts of `score`, which is the least of them."""

    source: Identifier
    priority: Whole
    active: bool
    health: SourceHealth
    since: UtcDatetime
    score: Fraction
    components: dict[str, Fraction]
    circuit: CircuitState
    retry_at: UtcDatetime | None = Field(description="When an open circuit lets a call through again.")
    calls: Whole = Field(description="Of the last 1,000.")
    failure_rate: Fraction | None = Field(description="None with fewer than 20 calls.")
    response_p95_ms: float | None = Field(description="None with fewer than 20 answers.")
    rows: Whole = Field(description="Judged within the last minutes.")
    warning_share: Fraction
    critical_share: Fraction
    last_ts_event: UtcDatetime | None
    last_error: str | None = None
    issues: list[QualityIssue] = []


class FeedSwitch(Contract):
    """A change of the active source, and the stretch that may have to be filled from the new one.

    `gap_start` is the last event that the source before gave and was good; `gap_end` the first of the new source,
    None until it came.
    """

    from_source: Identifier | None
    to_source: Identifier
    reason: SwitchReason
    detail: str
    at: UtcDatetime
    gap_start: UtcDatetime | None = None
    gap_end: UtcDatetime | None = None


class FeedCalls(Contract):
    """Calls somebody made to a source, oldest first."""

    calls: Annotated[list[FeedCall], Field(min_length=1, max_length=1_000)]


class FeedsOverview(Contract):
    """The sources of market data in the order of their preference, and the latest changes of the active one."""

    active: Identifier | None
    sources: list[FeedHealth]
    switches: list[FeedSwitch]


class BackfillState(StrEnum):
    """How a backfill is doing; a FAILED or CANCELLED one can be resumed where it stopped."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class BackfillRequest(Contract):
    """Bars of a symbol to fetch from a source's history: from a start until before an end."""

    source: Identifier
    symbol: Symbol
    interval: Interval
    start: UtcDatetime
    end: UtcDatetime
    reason: Reason

    @model_validator(mode="after")
    def _some_time(self) -> Self:
        if self.start >= self.end:
            raise ValueError("the start is not before the end")
        return self


class Backfill(BackfillRequest):
    """A backfill: how far it came, and what it brought."""

    backfill_id: Identifier
    state: BackfillState
    position: UtcDatetime = Field(description="All before it is stored.")
    progress: Fraction
    rows: int
    stored: int
    error: str | None
    requested_by: str
    created_at: UtcDatetime
    updated_at: UtcDatetime
