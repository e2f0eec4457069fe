"""The gap ledger, and the bars that it is made from."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata.core.calendars import Micros, micros_array
from services.marketdata.core.monitor.gaps import Ledger, OpenGap
from services.marketdata.models import BarGap
from shared.schemas.marketdata import Interval
from shared.schemas.quality import BarGap as WireGap


@dataclass(frozen=True, slots=True)
class BarSeriesName:
    """The bars of a scope, source, symbol and interval."""

    scope: str
    source: str
    symbol: str
    interval: Interval


_OF = 'scope = :scope AND symbol = :symbol AND "interval" = :interval AND source = :source'


async def lock_ledger(session: AsyncSession, name: BarSeriesName) -> None:
    """Keep others from this series' ledger until the transaction ends."""
    key = f"keelson.gaps.{name.scope}.{name.source}.{name.symbol}.{name.interval}"
    await session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": key})


async def bar_moments(session: AsyncSession, name: BarSeriesName, start: datetime, end: datetime) -> Micros:
    """Return the starts of the bars there are in [start, end), of whatever quality."""
    query = text(f"SELECT ts FROM marketdata.ohlcv_bar WHERE {_OF} AND ts >= :start AND ts < :end ORDER BY ts")
    found = await session.scalars(query, {**_values(name), "start": start, "end": end})
    return micros_array(found)


async def has_bar_before(session: AsyncSession, name: BarSeriesName, moment: datetime, since: datetime) -> bool:
    """Return whether a series had begun before a moment, not longer ago than since another."""
    query = text(f"SELECT EXISTS (SELECT FROM marketdata.ohlcv_bar WHERE {_OF} AND ts < :moment AND ts >= :since)")
    return bool(await session.scalar(query, {**_values(name), "moment": moment, "since": since}))


async def sources_of_bars(
    session: AsyncSession, scope: str, symbol: str, interval: Interval, start: datetime, end: datetime
) -> list[str]:
    """Return the sources of bars in [start, end)."""
    query = text(
        "SELECT DISTINCT source FROM marketdata.ohlcv_bar WHERE scope = :scope AND symbol = :symbol"
        ' AND "interval" = :interval AND ts >= :start AND ts < :end ORDER BY source'
    )
    values = {"scope": scope, "symbol": symbol, "interval": interval, "start": start, "end": end}
    return list(await session.scalars(query, values))


async def open_gaps(session: AsyncSession, name: BarSeriesName, start: datetime, end: datetime) -> list[OpenGap]:
    """Return the gaps of a series that are not filled and reach into [start, end)."""
    row = BarGap
    query = select(row).where(
        row.scope == name.scope,
        row.source == name.source,
        row.symbol == name.symbol,
        row.interval == name.interval,
        row.filled_at.is_(None),
        row.from_ts < end,
        row.to_ts > start,
    )
    return [
        OpenGap(found.gap_id, found.from_ts, found.to_ts, found.bars, found.found_at)
        for found in await session.scalars(query)
    ]


async def put_ledger(session: AsyncSession, name: BarSeriesName, ledger: Ledger, now: datetime) -> None:
    """Write what changed of a series' gaps."""
    row = BarGap
    if ledger.filled:
        await session.execute(update(row).where(row.gap_id.in_(ledger.filled)).values(filled_at=now))
    if ledger.absorbed:
        await session.execute(delete(row).where(row.gap_id.in_(ledger.absorbed)))
    for gap_id, gap in ledger.changed:
        values = {"from_ts": gap.start, "to_ts": gap.end, "bars": gap.bars}
        await session.execute(update(row).where(row.gap_id == gap_id).values(values))
    rows = [
        {**_values(name), "from_ts": gap.start, "to_ts": gap.end, "bars": gap.bars, "found_at": found_at}
        for gap, found_at in ledger.new
    ]
    for place in range(0, len(rows), 1_000):
        await session.execute(upsert(row).values(rows[place : place + 1_000]))


@dataclass(frozen=True)
class GapFilter:
    """Which gaps; None is all."""

    scope: str
    symbol: str
    interval: Interval | None = None
    start: datetime | None = None
    end: datetime | None = None
    source: str | None = None
    is_open: bool | None = None


async def list_gaps(
    session: AsyncSession, wanted: GapFilter, after: tuple[datetime, int] | None, limit: int
) -> list[WireGap]:
    """Return gaps, the oldest first, after the last one of an earlier page."""
    row = BarGap
    query = select(row).where(row.scope == wanted.scope, row.symbol == wanted.symbol)
    if wanted.interval is not None:
        query = query.where(row.interval == wanted.interval)
    if wanted.source is not None:
        query = query.where(row.source == wanted.source)
    if wanted.start is not None:
        query = query.where(row.to_ts > wanted.start)
    if wanted.end is not None:
        query = query.where(row.from_ts < wanted.end)
    if wanted.is_open is not None:
        query = query.where(row.filled_at.is_(None) if wanted.is_open else row.filled_at.is_not(None))
    if after is not None:
        query = query.where(tuple_(row.from_ts, row.gap_id) > after)
    query = query.order_by(row.from_ts, row.gap_id).limit(limit)
    return [WireGap.model_validate(found, from_attributes=True) for found in await session.scalars(query)]


def _values(name: BarSeriesName) -> dict[str, str]:
    return {"scope": name.scope, "source": name.source, "symbol": name.symbol, "interval": name.interval}
