"""Read rows: pages of them, and what was known at a moment."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata import store
from services.marketdata.core.catalogue import Subject
from services.marketdata.core.finding import SEVERITIES
from services.marketdata.core.widths import Span, Width
from services.marketdata.handlers.states import stored_state
from services.marketdata.roll_ups import RollUps
from services.marketdata.store import TABLES, Wanted
from shared.pagination import decode_cursor, encode_cursor
from shared.problems import NotFound
from shared.schemas.base import Contract, Page
from shared.schemas.market_events import (
    HourlyVolume,
    StoredFundingRate,
    StoredOrderBook,
    StoredTick,
)
from shared.schemas.marketdata import INTERVAL_LENGTH, FeedStatus, StoredBar, StoredMarketState

S = TypeVar("S", bound=Contract)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_INSTANT = timedelta(microseconds=1)
AsOf = StoredBar | StoredTick | StoredOrderBook | StoredFundingRate | StoredMarketState
_STORED: Mapping[Subject, type[StoredBar | StoredTick | StoredOrderBook | StoredFundingRate]] = {
    Subject.BAR: StoredBar,
    Subject.TICK: StoredTick,
    Subject.ORDER_BOOK: StoredOrderBook,
    Subject.FUNDING_RATE: StoredFundingRate,
}


async def list_rows(session: AsyncSession, stored: type[S], wanted: Wanted) -> Page[S]:
    """Return a page of rows."""
    found = await store.read_rows(session, replace(wanted, limit=wanted.limit + 1))
    items = [_stored(stored, row) for row in found[: wanted.limit]]
    more = len(found) > wanted.limit
    return Page(items=items, next_cursor=cursor_of(wanted.subject, found[wanted.limit - 1]) if more else None)


async def list_states(session: AsyncSession, wanted: Wanted) -> Page[StoredMarketState]:
    """Return a page of market states; those without a time are left out."""
    found = await store.read_rows(session, replace(wanted, limit=wanted.limit + 1, timed=True))
    items = [stored_state(row) for row in found[: wanted.limit]]
    more = len(found) > wanted.limit
    return Page(items=items, next_cursor=cursor_of(Subject.MARKET_STATE, found[wanted.limit - 1]) if more else None)


async def latest_state(session: AsyncSession, wanted: Wanted) -> StoredMarketState:
    """Return the newest market state that can be trusted."""
    found = await store.latest_at(session, replace(wanted, timed=True), None, None)
    if found is None:
        raise NotFound(f"there is no market state of {wanted.symbol} that can be trusted")
    return stored_state(found)


def earlier(at: datetime, by: timedelta) -> datetime:
    """Return the moment so long before another, or the first there is."""
    return at - by if at > _FIRST + by else _FIRST


async def as_of(
    session: AsyncSession, wanted: Wanted, at: datetime, tolerance: timedelta, width: Width | None = None
) -> AsOf:
    """Return the last row at or before a moment that can be trusted; a bar counts from its end on.

    With the `width` of a roll-up that is current, a bar that was not sent is summed from finer ones.
    """
    length = INTERVAL_LENGTH[wanted.interval] if wanted.interval else timedelta(0)
    oldest = earlier(at, tolerance)
    known, since = (earlier(each, length) for each in (at, oldest))
    found = await store.latest_at(session, replace(wanted, timed=True), known, since)
    if width is not None and oldest > _FIRST + length:
        summed = await store.latest_summed(session, wanted, width, width.ended_by(at), width.not_ended_before(oldest))
        # Of the same time the one that was sent is taken.
        found = max((each for each in (found, summed) if each), key=lambda each: each["ts"], default=None)
    if found is None:
        raise NotFound(f"there is nothing of {wanted.symbol} within {tolerance.total_seconds():g} s before that moment")
    return stored_state(found) if wanted.subject is Subject.MARKET_STATE else _stored(_STORED[wanted.subject], found)


async def list_volume(session: AsyncSession, wanted: Wanted, cursor: str | None) -> Page[HourlyVolume]:
    """Return a page of hours."""
    place = decode_cursor(cursor, ts=datetime, source=str) if cursor else None
    after = (place["ts"], place["source"]) if place else None
    found = await store.list_volume(session, wanted, after, wanted.limit + 1)
    more = len(found) > wanted.limit
    last = found[wanted.limit - 1] if more else None
    following = encode_cursor({"ts": last.ts, "source": last.source}) if last else None
    return Page(items=found[: wanted.limit], next_cursor=following)


def after(subject: Subject, cursor: str | None) -> tuple[datetime, Sequence[str | int]] | None:
    """Return the place that a cursor of a listing names. Raises BadCursor."""
    if not cursor:
        return None
    names = _rest(subject)
    kinds: dict[str, type[str] | type[int] | type[datetime]] = {
        name: int if name == "sequence" else str for name in names
    }
    place = decode_cursor(cursor, **{"ts": datetime, **kinds})
    return place["ts"], [place[name] for name in names]


def cursor_of(subject: Subject, row: Mapping[str, Any]) -> str:
    """Return the cursor of what follows a row."""
    return encode_cursor({name: row[name] for name in ("ts", *_rest(subject))})


async def current(roll_ups: RollUps, of: Subject, width: Width, wanted: Wanted) -> None:
    """Have the roll-ups of a window worked out, if they are not."""
    start, end = wanted.window
    first = width.start(start) if start is not None else _FIRST
    last = width.end(end) if end is not None and end > _FIRST + INTERVAL_LENGTH["1d"] else _LAST
    await roll_ups.current(of, Span(wanted.scope, wanted.symbol, "", first, last))


async def list_feeds(session: AsyncSession, scope: str | None, cursor: str | None, limit: int) -> Page[FeedStatus]:
    """Return how each source is doing."""
    place = str(decode_cursor(cursor, source=str)["source"]) if cursor else ""
    found = await store.list_feeds(session, scope, place, limit + 1)
    following = encode_cursor({"source": found[limit - 1].source}) if len(found) > limit else None
    return Page(items=found[:limit], next_cursor=following)


def _rest(subject: Subject) -> list[str]:
    return [name for name in TABLES[subject].key if name not in ("scope", "symbol", "interval", "ts")]


def _stored(stored: type[S], row: Mapping[str, Any]) -> S:
    values = {name: row[name] for name in stored.model_fields if name in row}
    if values.get("sequence") == -1:
        values["sequence"] = None
    values["severity"] = SEVERITIES[row["severity"]]
    values["issues"] = row["issues"] or []
    return stored.model_validate(values)
