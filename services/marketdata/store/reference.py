"""What rows are judged by: thresholds, the symbols' profiles, and the hours of markets that were set by hand."""

from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy import delete, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata.models import CalendarOverride, QualityThreshold, SymbolProfileRow
from shared.schemas.quality import (
    EVERY_SYMBOL,
    DayKind,
    DayOverride,
    StoredDayOverride,
    StoredSymbolProfile,
    StoredThreshold,
    SymbolProfile,
    ThresholdChange,
)


async def thresholds_of(session: AsyncSession, symbols: Sequence[str]) -> list[StoredThreshold]:
    """Return the bands that were set for symbols or for all, those for all first."""
    row = QualityThreshold
    query = select(row).where(or_(row.symbol == EVERY_SYMBOL, row.symbol.in_(symbols))).order_by(row.symbol, row.code)
    return [StoredThreshold.model_validate(found, from_attributes=True) for found in await session.scalars(query)]


async def all_thresholds(session: AsyncSession) -> list[StoredThreshold]:
    """Return all bands that were set."""
    row = QualityThreshold
    query = select(row).order_by(row.symbol, row.code)
    return [StoredThreshold.model_validate(found, from_attributes=True) for found in await session.scalars(query)]


async def set_thresholds(session: AsyncSession, change: ThresholdChange, who: str, now: datetime) -> None:
    """Set bands, and take others back."""
    row = QualityThreshold
    gone = [(each.symbol, each.code) for each in change.remove]
    await session.execute(delete(row).where(tuple_(row.symbol, row.code).in_(gone)))
    for each in sorted(change.thresholds, key=lambda one: (one.symbol, one.code)):
        values = {**each.model_dump(), "set_by": who, "reason": change.reason, "set_at": now}
        statement = upsert(row).values(values)
        await session.execute(statement.on_conflict_do_update(index_elements=["symbol", "code"], set_=values))


async def profiles_of(session: AsyncSession, symbols: Sequence[str]) -> dict[str, StoredSymbolProfile]:
    """Return the profiles that were set for symbols."""
    query = select(SymbolProfileRow).where(SymbolProfileRow.symbol.in_(symbols))
    return {
        row.symbol: StoredSymbolProfile.model_validate(row, from_attributes=True)
        for row in await session.scalars(query)
    }


async def set_profile(session: AsyncSession, symbol: str, profile: SymbolProfile, who: str, now: datetime) -> None:
    """Set the profile of a symbol."""
    values = {"symbol": symbol, **profile.model_dump(), "set_by": who, "set_at": now}
    statement = upsert(SymbolProfileRow).values(values)
    await session.execute(statement.on_conflict_do_update(index_elements=["symbol"], set_=values))


async def overrides_of(session: AsyncSession, calendars: Sequence[str]) -> list[StoredDayOverride]:
    """Return the overrides that were set for calendars, by date."""
    row = CalendarOverride
    query = select(row).where(row.calendar.in_(calendars)).order_by(row.calendar, row.day)
    return [_override(found) for found in await session.scalars(query)]


async def set_override(
    session: AsyncSession, calendar: str, day: date, override: DayOverride, who: str, now: datetime
) -> None:
    """Set the hours of a date."""
    values = {"calendar": calendar, "day": day, **override.model_dump(), "set_by": who, "set_at": now}
    statement = upsert(CalendarOverride).values(values)
    await session.execute(statement.on_conflict_do_update(index_elements=["calendar", "day"], set_=values))


async def remove_override(session: AsyncSession, calendar: str, day: date) -> bool:
    """Take the hours of a date back to the calendar's; return whether there were others."""
    row = CalendarOverride
    statement = delete(row).where(row.calendar == calendar, row.day == day).returning(row.day)
    return await session.scalar(statement) is not None


def _override(row: CalendarOverride) -> StoredDayOverride:
    return StoredDayOverride(
        calendar=row.calendar,
        day=row.day,
        kind=DayKind(row.kind),
        hours=row.hours,
        reason=row.reason,
        set_by=row.set_by,
        set_at=row.set_at,
    )
