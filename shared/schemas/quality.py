"""Quality of market data: checks and their thresholds, issues, the report, and where symbols are traded."""

from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from shared.schemas.base import Contract, Identifier, IsoDate, Real, Reason, Severity, Symbol, UtcDatetime
from shared.schemas.marketdata import FeedStatus, Interval

CheckCode = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
EVERY_SYMBOL = "*"
CalendarCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{2,10}$")]
HoursText = Annotated[str, StringConstraints(pattern=r"^([0-9]{2}:[0-9]{2}-[0-9]{2}:[0-9]{2}( |$)){0,6}$")]


class QualityCheck(Contract):
    """A check by its stable code, and from where on its measure is a finding; null is never reached.

    Where `falling`, a band is reached from above.
    """

    code: CheckCode
    title: str
    subjects: list[str]
    unit: str
    warning: float | None
    critical: float | None
    falling: bool


class Threshold(Contract):
    """The bands of a check for one symbol, or for all that have none of their own where the symbol is `*`."""

    symbol: Symbol | Literal["*"] = EVERY_SYMBOL
    code: CheckCode
    warning: Real | None = None
    critical: Real | None = None


class ThresholdChange(Contract):
    """Bands to set, and why; `remove` takes the bands of those checks and symbols back to the defaults."""

    thresholds: Annotated[list[Threshold], Field(max_length=1_000)] = []
    remove: Annotated[list[Threshold], Field(max_length=1_000)] = []
    reason: Reason

    @model_validator(mode="after")
    def _something(self) -> "ThresholdChange":
        if not self.thresholds and not self.remove:
            raise ValueError("name at least one threshold to set or to remove")
        return self


class StoredThreshold(Threshold):
    """Bands that were set: by whom, when and why."""

    set_by: str
    reason: str
    set_at: UtcDatetime


class Issue(Contract):
    """Something that is wrong with a source's data, for as long as it is found again.

    `symbol` is empty where it is the whole feed. `value`, `message` and `details` are of the last time it was found,
    `severity` is the worst. `duration_seconds` lasts until it ended, or until it was last seen.
    """

    issue_id: int
    source: str
    symbol: str
    subject: str
    code: CheckCode
    severity: Severity
    message: str
    value: float | None
    threshold: float | None
    details: dict[str, Any]
    count: int
    first_ts: UtcDatetime | None
    last_ts: UtcDatetime | None
    first_seen: UtcDatetime
    last_seen: UtcDatetime
    ended_at: UtcDatetime | None
    duration_seconds: float
    simulation_id: str | None = None


class QualityReport(Contract):
    """How good market data are: recent issues, the feeds, and totals; live data only.

    `status` is the worst of the issues that stand: not of those that ended, among them what was found in history.
    """

    generated_at: UtcDatetime
    status: Severity
    open_issues: int
    critical_last_hour: int
    warning_last_hour: int
    rows: int
    critical_rows: int
    warning_rows: int
    recent_issues: list[Issue]
    feeds: list[FeedStatus]


class SymbolProfile(Contract):
    """Where a symbol is traded: its calendar, and the greatest move of a day as a fraction of the prior close."""

    calendar: CalendarCode
    price_limit: Annotated[Real, Field(gt=0, le=1)] | None = None


class StoredSymbolProfile(SymbolProfile):
    """The profile of a symbol; one that was never set is of the always open calendar."""

    symbol: Symbol
    set_by: str | None = None
    set_at: UtcDatetime | None = None


class DayKind(StrEnum):
    """What an override does to the hours of its date."""

    CLOSED = "closed"
    OPEN = "open"
    EXTRA = "extra"


class DayOverride(Contract):
    """What a market's hours are on one date: none, these, or these on top; local, such as `18:00-19:00`."""

    kind: DayKind
    hours: HoursText = ""
    reason: Reason


class StoredDayOverride(DayOverride):
    """An override that was set."""

    calendar: str
    day: IsoDate
    set_by: Identifier | str
    set_at: UtcDatetime


class TradingHours(Contract):
    """One span of trading."""

    open: UtcDatetime
    close: UtcDatetime


class CalendarSession(Contract):
    """A session of a market; `known` is false beyond what its calendar knows, where ordinary working days stand in."""

    day: date
    hours: list[TradingHours]
    known: bool


class BarGap(Contract):
    """Bars in a row that are missing by the calendar of their symbol, from the start of the first to the last's end.

    It goes on over breaks, nights and holidays. `filled_at` is when its bars were found to have come.
    """

    gap_id: int
    source: str
    symbol: str
    interval: Interval
    from_ts: UtcDatetime
    to_ts: UtcDatetime
    bars: int
    found_at: UtcDatetime
    filled_at: UtcDatetime | None
