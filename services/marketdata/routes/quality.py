"""Routes of data quality: issues, the report, checks and thresholds, symbols and calendars."""

from datetime import date, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query

from services.marketdata.dependencies import (
    EndQuery,
    OfficerDep,
    OperatorDep,
    ReaderDep,
    SimulationQuery,
    SourceQuery,
    StartQuery,
    SymbolQuery,
)
from services.marketdata.handlers import gaps, quality
from services.marketdata.store import GapFilter, IssueFilter
from shared.dependencies import ClockDep, SessionDep
from shared.pagination import DEFAULT_LIMIT, BadCursor, PageLimit
from shared.problems import NotFound, declare
from shared.schemas.base import IsoDate, Page, Severity, Symbol
from shared.schemas.marketdata import Interval
from shared.schemas.quality import (
    BarGap,
    CalendarCode,
    CalendarSession,
    CheckCode,
    DayOverride,
    Issue,
    QualityCheck,
    QualityReport,
    StoredDayOverride,
    StoredSymbolProfile,
    StoredThreshold,
    SymbolProfile,
    ThresholdChange,
)
from shared.schemas.storage import StorageReport

router = APIRouter(tags=["quality"])
_LONGEST = timedelta(days=3_700)
CodePath = Annotated[CalendarCode, Path(description="The calendar's code, such as XNSE.")]
DayPath = Annotated[IsoDate, Path(description="The date.")]
SymbolPath = Annotated[Symbol, Path(description="The instrument.")]


@router.get("/quality/report")
async def quality_report(session: SessionDep, clock: ClockDep, _: ReaderDep) -> QualityReport:
    """Return how good live data are: recent issues, the feeds, and totals."""
    return await quality.report(session, clock.now())


@router.get("/quality/issues", responses=declare(BadCursor))
async def list_issues(
    session: SessionDep,
    _: ReaderDep,
    source: SourceQuery = None,
    symbol: Annotated[Symbol | None, Query(description="Of this instrument.")] = None,
    code: Annotated[CheckCode | None, Query(description="Of this check.")] = None,
    severity: Annotated[Severity | None, Query(description="Of this severity, the worst it had.")] = None,
    is_open: Annotated[bool | None, Query(alias="open", description="Only open, or only ended ones.")] = None,
    simulation_id: SimulationQuery = None,
    cursor: str | None = None,
    limit: PageLimit = DEFAULT_LIMIT,
) -> Page[Issue]:
    """List issues, the newest first; one that persists is one issue."""
    wanted = IssueFilter(simulation_id or "", source, symbol, code, severity, is_open)
    return await quality.list_issues(session, wanted, cursor, limit)


@router.get("/gaps", responses=declare(BadCursor))
async def list_gaps(
    session: SessionDep,
    clock: ClockDep,
    _: ReaderDep,
    symbol: SymbolQuery,
    interval: Annotated[Interval, Query(description="Length of the bars.")],
    start: StartQuery = None,
    end: EndQuery = None,
    source: SourceQuery = None,
    is_open: Annotated[bool | None, Query(alias="open", description="Only open, or only filled ones.")] = None,
    simulation_id: SimulationQuery = None,
    cursor: str | None = None,
    limit: PageLimit = DEFAULT_LIMIT,
) -> Page[BarGap]:
    """List gaps in bars by the calendar of their symbol; a window with both ends is looked at again first."""
    wanted = GapFilter(simulation_id or "", symbol, interval, start, end, source, is_open)
    return await gaps.list_gaps(session, wanted, cursor, limit, clock.now())


@router.get("/quality/checks")
async def list_checks(_: ReaderDep) -> list[QualityCheck]:
    """List every check with its default bands."""
    return quality.list_checks()


@router.get("/quality/thresholds")
async def list_thresholds(
    session: SessionDep,
    _: ReaderDep,
    symbol: Annotated[Symbol | None, Query(description="Those that hold for this instrument.")] = None,
) -> list[StoredThreshold]:
    """List the bands that were set; of all others the defaults hold."""
    return await quality.list_thresholds(session, symbol)


@router.put("/quality/thresholds")
async def set_thresholds(
    change: ThresholdChange, session: SessionDep, clock: ClockDep, who: OfficerDep
) -> list[StoredThreshold]:
    """Set bands of checks for one symbol or all, and take others back to the defaults; they hold from now on."""
    return await quality.set_thresholds(session, change, who.subject, clock.now())


@router.get("/storage")
async def storage(session: SessionDep, _: ReaderDep) -> StorageReport:
    """Return what the database is, what it holds of each series, and how its policies ran."""
    return await quality.storage(session)


@router.get("/symbols/{symbol:path}")
async def get_profile(symbol: SymbolPath, session: SessionDep, _: ReaderDep) -> StoredSymbolProfile:
    """Return where a symbol is traded."""
    return await quality.get_profile(session, symbol)


@router.put("/symbols/{symbol:path}")
async def set_profile(
    symbol: SymbolPath, profile: SymbolProfile, session: SessionDep, clock: ClockDep, who: OperatorDep
) -> StoredSymbolProfile:
    """Say where a symbol is traded: rows are judged, and rolled-up hours and days served, by its calendar."""
    return await quality.set_profile(session, symbol, profile, who.subject, clock.now())


@router.get("/calendars/{code}/sessions", responses=declare(NotFound))
async def list_sessions(
    code: CodePath,
    session: SessionDep,
    _: ReaderDep,
    start: Annotated[IsoDate, Query(description="From this date on.")],
    end: Annotated[IsoDate, Query(description="Until before this date, ten years later at most.")],
) -> list[CalendarSession]:
    """List the sessions of a market."""
    return await quality.list_sessions(session, code, start, min(end, _later(start)))


@router.get("/calendars/{code}/overrides")
async def list_overrides(code: CodePath, session: SessionDep, _: ReaderDep) -> list[StoredDayOverride]:
    """List what was set of a market's hours by hand."""
    return list(await quality.list_overrides(session, code))


@router.put("/calendars/{code}/overrides/{day}", responses=declare(NotFound))
async def set_override(
    code: CodePath, day: DayPath, override: DayOverride, session: SessionDep, clock: ClockDep, who: OfficerDep
) -> StoredDayOverride:
    """Set a market's hours on one date: closed, open at other hours, or open for more."""
    return await quality.set_override(session, code, day, override, who.subject, clock.now())


@router.delete("/calendars/{code}/overrides/{day}", responses=declare(NotFound), status_code=204)
async def remove_override(code: CodePath, day: DayPath, session: SessionDep, _: OfficerDep) -> None:
    """Take a market's hours on one date back to its calendar's."""
    await quality.remove_override(session, code, day)


def _later(start: date) -> date:
    return start + _LONGEST if start < date.max - _LONGEST else date.max
