"""The gap ledger: bars that are missing by the calendar of their symbol, and when they came after all."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata import store
from services.marketdata.calendars import ALWAYS_OPEN, calendar_of
from services.marketdata.core.calendars import Calendar, Micros
from services.marketdata.core.calendars.sessions import from_micros
from services.marketdata.core.monitor.gaps import reconcile
from services.marketdata.handlers.rules import load_rules
from services.marketdata.store import BarSeriesName, GapFilter
from shared.pagination import decode_cursor, encode_cursor
from shared.problems import Unprocessable
from shared.schemas.base import Page
from shared.schemas.marketdata import INTERVAL_LENGTH, Interval
from shared.schemas.quality import BarGap

# A bar may come so much later than it ends.
_GRACE = timedelta(minutes=1)
_MOST_BARS = 1_000_000
_INSTANT = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_KNOWN_FOR = timedelta(days=60)
_FIRST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Scan:
    """The bars there are of [start, end)."""

    start: datetime
    end: datetime
    present: Micros


def complete_until(interval: Interval, now: datetime) -> datetime:
    """Return before when a bar starts that must have come by now; that of a day comes in its evening, or later."""
    length = INTERVAL_LENGTH[interval]
    return now - (2 if length >= _DAY else 1) * length - _GRACE


async def scan_gaps(
    session: AsyncSession, name: BarSeriesName, calendar: Calendar, start: datetime, end: datetime, now: datetime
) -> Scan:
    """Look for the gaps of a series in [start, end), and make the ledger say so; return the bars there are."""
    await store.lock_ledger(session, name)
    known = await store.open_gaps(session, name, start, end)
    # A gap is looked at as a whole.
    start = min([start, *(gap.start for gap in known)])
    end = max([end, *(gap.end for gap in known)])
    present = await store.bar_moments(session, name, start, end)
    found = calendar.missing(present, name.interval, start, end)
    await store.put_ledger(session, name, reconcile(known, found, now), now)
    return Scan(start, end, present)


async def scan_recent(
    session: AsyncSession, name: BarSeriesName, calendar: Calendar, newest: datetime, is_fed: bool, now: datetime
) -> Scan | None:
    """Look for gaps in the last sessions of a series: up to now where it is fed, else up to its newest bar.

    Before its first bar nothing is missing. None where there is no bar.
    """
    end = complete_until(name.interval, now) if is_fed else newest + _INSTANT
    sessions_back = 60 if name.interval == "1d" else 5
    day = end.astimezone(calendar.timezone).date()
    sessions = calendar.sessions(day - timedelta(days=120), day + timedelta(days=1))[-sessions_back:]
    if not sessions:
        return None
    # A day's bar starts before its session.
    start = sessions[0].open - (_DAY if name.interval == "1d" else timedelta(0))
    if not await store.has_bar_before(session, name, start, start - _KNOWN_FOR):
        present = await store.bar_moments(session, name, start, max(end, newest + _INSTANT))
        if not len(present):
            return None
        start = from_micros(int(present.min()))
    return await scan_gaps(session, name, calendar, start, end, now) if start < end else None


def missing_share(scan: Scan, interval: Interval, calendar: Calendar) -> tuple[float, int]:
    """Return the share of bars that are missing of the last session and what there is of the one now, and how many.

    Of a market that is always open it is the last day, of bars of a day all that was looked at.
    """
    start = scan.start
    if interval != "1d":
        start = max(start, _session_before(calendar, scan.end))
    expected = calendar.expected_count(interval, start, scan.end)
    missing = sum(gap.bars for gap in calendar.missing(scan.present, interval, start, scan.end))
    return (missing / expected if expected else 0.0), missing


def _session_before(calendar: Calendar, moment: datetime) -> datetime:
    day = moment.astimezone(calendar.timezone).date()
    over = [each for each in calendar.sessions(day - timedelta(days=40), day + _DAY) if each.close <= moment]
    if not over:
        return moment - _DAY
    # Where one session follows the other at once, there is no first bar of the day.
    return max(over[-1].open, moment - _DAY) if over[-1].close - over[-1].open >= _DAY else over[-1].open


async def list_gaps(
    session: AsyncSession, wanted: GapFilter, cursor: str | None, limit: int, now: datetime
) -> Page[BarGap]:
    """Return a page of the ledger, the oldest gap first; a window that has both ends is looked at again first.

    Raises Unprocessable for a window of more than a million bars.
    """
    if wanted.interval and wanted.start and wanted.end and cursor is None:
        await _look(session, wanted, wanted.interval, wanted.start, wanted.end, now)
    after = None
    if cursor is not None:
        place = decode_cursor(cursor, ts=datetime, gap=int)
        after = (place["ts"], place["gap"])
    found = await store.list_gaps(session, wanted, after, limit + 1)
    following = None
    if len(found) > limit:
        last = found[limit - 1]
        following = encode_cursor({"ts": last.from_ts.isoformat(), "gap": last.gap_id})
    return Page(items=found[:limit], next_cursor=following)


async def _look(
    session: AsyncSession, wanted: GapFilter, interval: Interval, start: datetime, end: datetime, now: datetime
) -> None:
    calendar = (await load_rules(session, [wanted.symbol])).calendar(wanted.symbol) or calendar_of(ALWAYS_OPEN)
    end = min(end, complete_until(interval, now)).astimezone(UTC)
    if start >= end:
        return
    expected = calendar.expected_count(interval, start, end)
    if expected > _MOST_BARS:
        raise Unprocessable(
            f"The window has {expected} bars, more than {_MOST_BARS}",
            errors=[{"location": "query.end", "message": "Ask for a shorter window", "code": "window"}],
        )
    # One of which nothing came for months is not missing anything.
    since = start - _KNOWN_FOR if start - _FIRST > _KNOWN_FOR else _FIRST
    sources = await store.sources_of_bars(session, wanted.scope, wanted.symbol, interval, since, end)
    for source in sources if wanted.source is None else set(sources) & {wanted.source}:
        name = BarSeriesName(wanted.scope, source, wanted.symbol, interval)
        await scan_gaps(session, name, calendar, start, end, now)
