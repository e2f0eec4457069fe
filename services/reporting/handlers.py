"""One function per use case."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from services.reporting import store
from services.reporting.core.journal import JournalRow
from services.reporting.core.ledger import Changes, fold
from services.reporting.core.rollup import roll_up
from services.reporting.store import Filter, Position
from shared.pagination import decode_cursor, encode_cursor
from shared.schemas.base import Page
from shared.schemas.reporting import Counts, DailyRollup, Trade

T = TypeVar("T")


async def position(session: AsyncSession, shard: int) -> Position:
    """Return how far the ledger has read a shard's journal."""
    return await store.position(session, shard)


async def apply(
    session: AsyncSession, shard: int, before: Position, entries: Sequence[JournalRow], now: datetime
) -> Changes | None:
    """Take rows of a shard's journal into the ledger; return what they changed, None where another process took them.

    Raises MalformedRowError.
    """
    changes = fold(entries)
    await store.begin(session, shard)
    held = await store.position(session, shard, lock=True)
    if held.seq != before.seq:
        return None
    await store.put(session, shard, changes)
    for seq, day in changes.days:
        trades = await store.day_trades(session, day.account_id, day.session_date)
        counts = await store.day_counts(session, day.account_id, day.session_date)
        await store.put_rollups(session, shard, roll_up(seq, day, trades, counts))
    await store.move(session, shard, entries[-1].seq, entries[-1].hash, now)
    return changes


async def list_trades(session: AsyncSession, wanted: Filter, cursor: str | None, limit: int) -> Page[Trade]:
    """Return a page of trades, the newest first."""
    return _page(await store.list_trades(session, wanted, _before(cursor), limit + 1), limit)


async def list_rollups(session: AsyncSession, wanted: Filter, cursor: str | None, limit: int) -> Page[DailyRollup]:
    """Return a page of roll-ups, the newest first."""
    return _page(await store.list_rollups(session, wanted, _before(cursor), limit + 1), limit)


def _before(cursor: str | None) -> int | None:
    return int(decode_cursor(cursor, id=int)["id"]) if cursor else None


def _page(found: Sequence[tuple[int, T]], limit: int) -> Page[T]:
    following = encode_cursor({"id": found[limit - 1][0]}) if len(found) > limit else None
    return Page(items=[item for _, item in found[:limit]], next_cursor=following)


async def counts(session: AsyncSession, simulation_id: str | None) -> Counts:
    """Return the totals of a simulation, or of the live accounts."""
    await store.see_one_moment(session)
    found = await store.sums(session, simulation_id)
    return Counts(
        simulation_id=simulation_id,
        approved=found.approved,
        denied=found.denied,
        denied_by_reason=dict(found.reasons),
        trades=found.trades,
        realised_pnl=dict(found.realised_pnl),
        fees=dict(found.fees),
        rollups=found.rollups,
    )
