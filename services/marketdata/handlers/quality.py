"""What is wrong with market data, by which thresholds, and what is known of symbols and markets."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata import store
from services.marketdata.calendars import ALWAYS_OPEN, UnknownCalendar, calendar_of, codes
from services.marketdata.core.calendars import Override, OverrideKind
from services.marketdata.core.calendars.hours import parsed
from services.marketdata.core.catalogue import CATALOGUE
from services.marketdata.handlers.rules import load_calendars
from services.marketdata.store import IssueFilter
from shared.pagination import decode_cursor, encode_cursor
from shared.problems import NotFound, Unprocessable
from shared.schemas.base import Page, Severity
from shared.schemas.quality import (
    CalendarSession,
    DayOverride,
    Issue,
    QualityCheck,
    QualityReport,
    StoredDayOverride,
    StoredSymbolProfile,
    StoredThreshold,
    SymbolProfile,
    Threshold,
    ThresholdChange,
    TradingHours,
)
from shared.schemas.storage import StorageReport

_RECENT = 50
_FEEDS = 1_000


def list_checks() -> list[QualityCheck]:
    """Return every check with its default bands."""
    return [
        QualityCheck(
            code=check.code,
            title=check.title,
            subjects=[subject.value for subject in check.subjects],
            unit=check.unit,
            warning=check.warning,
            critical=check.critical,
            falling=check.falling,
        )
        for check in CATALOGUE.values()
    ]


async def list_issues(session: AsyncSession, wanted: IssueFilter, cursor: str | None, limit: int) -> Page[Issue]:
    """Return a page of issues, the newest first."""
    before = int(decode_cursor(cursor, before=int)["before"]) if cursor else None
    found = await store.list_issues(session, wanted, before, limit + 1)
    following = encode_cursor({"before": found[limit - 1].issue_id}) if len(found) > limit else None
    return Page(items=found[:limit], next_cursor=following)


async def report(session: AsyncSession, now: datetime) -> QualityReport:
    """Return how good live data are."""
    counts = await store.totals(session, now)
    recent = await store.list_issues(session, IssueFilter(), None, _RECENT)
    feeds = await store.list_feeds(session, "", "", _FEEDS)
    worst = await store.list_issues(session, replace(IssueFilter(is_open=True), severity=Severity.CRITICAL), None, 1)
    status = Severity.CRITICAL if worst else Severity.WARNING if counts["open_issues"] else Severity.OK
    return QualityReport(generated_at=now, status=status, recent_issues=recent, feeds=feeds, **counts)


async def list_thresholds(session: AsyncSession, symbol: str | None) -> list[StoredThreshold]:
    """Return the bands that were set, of one symbol with those of all."""
    if symbol is None:
        return await store.all_thresholds(session)
    return await store.thresholds_of(session, [symbol])


async def set_thresholds(
    session: AsyncSession, change: ThresholdChange, who: str, now: datetime
) -> list[StoredThreshold]:
    """Set bands and take others back. Raises Unprocessable for bands that cannot be."""
    errors = []
    for field, each in (("thresholds", change.thresholds), ("remove", change.remove)):
        errors += [
            {"location": f"body.{field}.{n}", "message": message, "code": "threshold"}
            for n, threshold in enumerate(each)
            if (message := _wrong(threshold)) is not None
        ]
    keys = [(each.symbol, each.code) for each in change.thresholds]
    errors += [
        {"location": f"body.thresholds.{n}", "message": "Named twice", "code": "threshold"}
        for n, key in enumerate(keys)
        if key in keys[:n]
    ]
    if errors:
        raise Unprocessable("The thresholds cannot be set", errors=errors[:20])
    await store.set_thresholds(session, change, who, now)
    return await store.all_thresholds(session)


async def get_profile(session: AsyncSession, symbol: str) -> StoredSymbolProfile:
    """Return where a symbol is traded."""
    found = await store.profiles_of(session, [symbol])
    return found.get(symbol) or StoredSymbolProfile(symbol=symbol, calendar=ALWAYS_OPEN)


async def set_profile(
    session: AsyncSession, symbol: str, profile: SymbolProfile, who: str, now: datetime
) -> StoredSymbolProfile:
    """Say where a symbol is traded. Raises Unprocessable for a calendar that is none."""
    if profile.calendar not in codes():
        raise Unprocessable(
            f"There is no calendar {profile.calendar}",
            errors=[{"location": "body.calendar", "message": "No such calendar", "code": "unknown_calendar"}],
        )
    await store.set_profile(session, symbol, profile, who, now)
    return await get_profile(session, symbol)


async def list_sessions(session: AsyncSession, code: str, start: date, end: date) -> list[CalendarSession]:
    """Return the sessions of a market from a date until before another. Raises NotFound."""
    try:
        calendar = (await load_calendars(session, [code]))[code]
    except UnknownCalendar as error:
        raise NotFound(str(error)) from None
    return [
        CalendarSession(
            day=found.date,
            hours=[TradingHours(open=each.open, close=each.close) for each in found.intervals],
            known=found.known,
        )
        for found in calendar.sessions(start, end)
    ]


async def set_override(
    session: AsyncSession, code: str, day: date, override: DayOverride, who: str, now: datetime
) -> StoredDayOverride:
    """Set a market's hours on a date. Raises NotFound, and Unprocessable for hours that cannot be."""
    try:
        calendar_of(code, [Override(day, OverrideKind(override.kind), parsed(override.hours), override.reason)])
    except UnknownCalendar as error:
        raise NotFound(str(error)) from None
    except ValueError as error:
        raise Unprocessable(
            str(error), errors=[{"location": "body.hours", "message": str(error), "code": "hours"}]
        ) from None
    await store.set_override(session, code, day, override, who, now)
    return next(each for each in await store.overrides_of(session, [code]) if each.day == day)


async def list_overrides(session: AsyncSession, code: str) -> Sequence[StoredDayOverride]:
    """Return what was set of a market by hand."""
    return await store.overrides_of(session, [code])


async def remove_override(session: AsyncSession, code: str, day: date) -> None:
    """Take a market's hours on a date back to its calendar's. Raises NotFound."""
    if not await store.remove_override(session, code, day):
        raise NotFound(f"nothing was set for {code} on {day}")


def _wrong(threshold: Threshold) -> str | None:
    check = CATALOGUE.get(threshold.code)
    if check is None:
        return "No such check"
    warning, critical = threshold.warning, threshold.critical
    bands = [band for band in (warning, critical) if band is not None]
    # No measure is below zero, so that every one would have reached such a band; a falling one only what is at it.
    if any(band < 0 or (band == 0 and not check.falling) for band in bands):
        return "A band is above zero, or null where it is never to be reached"
    if warning is None or critical is None:
        return None
    if warning < critical if check.falling else warning > critical:
        return "A warning comes before what is critical"
    return None


async def storage(session: AsyncSession) -> StorageReport:
    """Return what the database is and holds."""
    return await store.storage_report(session)
