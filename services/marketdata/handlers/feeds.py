"""Sources: what they showed, how they are doing, and what is fetched from their history."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata import store
from services.marketdata.backfills import new_id
from services.marketdata.core.feeds.rows import Observed
from services.marketdata.feeds.manager import Manager
from services.marketdata.rows.read import Rows, States
from shared.pagination import decode_cursor, encode_cursor
from shared.problems import Conflict, NotFound, Unprocessable
from shared.schemas.base import Page, Severity
from shared.schemas.feeds import Backfill, BackfillRequest, BackfillState, FeedCall, FeedHealth, FeedsOverview
from shared.schemas.marketdata import INTERVAL_LENGTH, IngestResult


def seen(rows: Rows, result: IngestResult) -> Observed:
    """Return what pushed rows showed of their source; a result names at most 1,000 rows that are bad."""
    table, index = rows.columns.table, rows.columns.index
    bad = {verdict.index for verdict in result.verdicts if verdict.severity is Severity.CRITICAL}
    good = table if not bad else table.filter(pa.array([int(n) not in bad for n in index]))
    cadence = timedelta(0)
    if "interval" in table.column_names:
        cadence = min(INTERVAL_LENGTH[interval] for interval in table["interval"].unique().to_pylist())
    return Observed(
        rows=result.received,
        warning=sum(1 for verdict in result.verdicts if verdict.severity is Severity.WARNING),
        critical=len(bad) + result.rejected_count,
        newest=_newest(table),
        newest_good=_newest(good),
        first_good=pc.min(good["ts"]).as_py() if len(good) else None,
        cadence=cadence,
    )


def seen_states(given: States, result: IngestResult) -> Observed:
    """Return what pushed market states showed of their source; a result names at most 1,000 that are bad."""
    bad = {verdict.index for verdict in result.verdicts if verdict.severity is Severity.CRITICAL}
    moments = {index: state.timestamp for index, state in given.states if state.timestamp is not None}
    good = [moment for index, moment in moments.items() if index not in bad]
    return Observed(
        rows=result.received,
        warning=sum(1 for verdict in result.verdicts if verdict.severity is Severity.WARNING),
        critical=len(bad) + result.rejected_count,
        newest=max(moments.values(), default=None),
        newest_good=max(good, default=None),
        first_good=min(good, default=None),
        cadence=timedelta(0),
    )


def _newest(table: pa.Table) -> datetime | None:
    """Return the latest moment that rows were known at: of bars their end."""
    if not len(table):
        return None
    if "interval" not in table.column_names:
        found: datetime = pc.max(table["ts"]).as_py()
        return found
    ends = table.group_by("interval").aggregate([("ts", "max")]).to_pylist()
    return max(_end(end["ts_max"], INTERVAL_LENGTH[end["interval"]]) for end in ends)


def _end(start: datetime, length: timedelta) -> datetime:
    return start + length if start <= datetime.max.replace(tzinfo=UTC) - length else start


def overview(manager: Manager) -> FeedsOverview:
    """Return all sources and the latest changes of the active one."""
    return FeedsOverview(active=manager.active, sources=manager.snapshot(), switches=list(manager.switches))


def health(manager: Manager, name: str) -> FeedHealth:
    """Return how a source is doing. Raises NotFound."""
    found = next((each for each in manager.snapshot() if each.source == name), None)
    if found is None:
        raise NotFound(f"nothing is known of a source {name}")
    return found


def record_calls(manager: Manager, name: str, calls: Sequence[FeedCall]) -> FeedHealth:
    """Take in calls that somebody made to a source. Raises NotFound where too many sources are watched."""
    if not manager.record_calls(name, calls):
        raise NotFound(f"{name} is not watched: name it in TRADING_MARKETDATA_SOURCES")
    return health(manager, name)


async def start_backfill(
    session: AsyncSession, manager: Manager, request: BackfillRequest, who: str, now: datetime
) -> Backfill:
    """Queue a backfill. Raises Unprocessable for a source that cannot be asked."""
    if manager.runner(request.source) is None:
        raise Unprocessable(
            f"{request.source} is no source that can be asked for its history",
            errors=[{"location": "body.source", "message": "Cannot be asked", "code": "unknown_source"}],
        )
    identifier = new_id()
    await store.put_backfill(session, identifier, request, who, now)
    return await get_backfill(session, identifier)


async def get_backfill(session: AsyncSession, backfill_id: str) -> Backfill:
    """Return a backfill. Raises NotFound."""
    found = await store.get_backfill(session, backfill_id)
    if found is None:
        raise NotFound(f"backfill {backfill_id} does not exist")
    return found


async def list_backfills(session: AsyncSession, cursor: str | None, limit: int) -> Page[Backfill]:
    """Return a page of backfills, the newest first."""
    place = decode_cursor(cursor, ts=datetime, key=str) if cursor else None
    found = await store.list_backfills(session, (place["ts"], place["key"]) if place else None, limit + 1)
    last = found[limit - 1] if len(found) > limit else None
    following = encode_cursor({"ts": last.created_at, "key": last.backfill_id}) if last else None
    return Page(items=found[:limit], next_cursor=following)


async def change_backfill(session: AsyncSession, backfill_id: str, state: BackfillState, now: datetime) -> Backfill:
    """Cancel a backfill, or resume one that failed or was cancelled. Raises NotFound, and Conflict where it is over."""
    found = await get_backfill(session, backfill_id)
    if not await store.set_state(session, backfill_id, state, now):
        raise Conflict(f"the backfill is {found.state}")
    return await get_backfill(session, backfill_id)
