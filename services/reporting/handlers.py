"""One function per use case."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.reporting import store
from services.reporting.core.journal import JournalRow
from services.reporting.core.ledger import Changes, fold
from services.reporting.core.rollup import roll_up
from services.reporting.store import Filter, Position
from shared.pagination import decode_cursor, encode_cursor
from shared.schemas.base import Page
from shared.schemas.reporting import Counts, DailyRollup, Trade


async def position(session: AsyncSession) -> Position:
    """Return how far the ledger has read."""
    return await store.position(session)


async def apply(
    session: AsyncSession, before: Position, entries: Sequence[JournalRow], now: datetime
) -> Changes | None:
    """Take rows into the ledger and return what they changed, None where another process took them first.

    Raises MalformedRowError.
    """
    changes = fold(entries)
    held = await store.position(session, lock=True)
    if held.seq != before.seq:
        return None
    await store.put(session, changes)
    for seq, day in changes.days:
        trades = await store.day_trades(session, day.account_id, day.session_date)
        counts = await store.day_counts(session, day.account_id, day.session_date)
        await store.put_rollups(session, roll_up(seq, day, trades, counts))
    await store.move(session, entries[-1].seq, entries[-1].hash, now)
    return changes


async def list_trades(session: AsyncSession, wanted: Filter, cursor: str | None, limit: int) -> Page[Trade]:
    """Return a page of trades, the newest first."""
    before = int(decode_cursor(cursor, seq=int)["seq"]) if cursor else None
    found = await store.list_trades(session, wanted, before, limit + 1)
    following = encode_cursor({"seq": found[limit - 1].journal_seq}) if len(found) > limit else None
    return Page(items=found[:limit], next_cursor=following)


async def list_rollups(session: AsyncSession, wanted: Filter, cursor: str | None, limit: int) -> Page[DailyRollup]:
    """Return a page of roll-ups, the newest first."""
    values = decode_cursor(cursor, seq=int, strategy=str) if cursor else None
    before = (int(values["seq"]), str(values["strategy"])) if values else None
    found = await store.list_rollups(session, wanted, before, limit + 1)
    if len(found) <= limit:
        return Page(items=found)
    last = found[limit - 1]
    following = encode_cursor({"seq": last.journal_seq, "strategy": last.strategy_id or ""})
    return Page(items=found[:limit], next_cursor=following)


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
