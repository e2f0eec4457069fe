"""Remove rows that are no longer kept, in whole partitions or chunks."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata.core.catalogue import Subject
from services.marketdata.core.widths import SUMMED
from services.marketdata.models import PolicyRunRow
from services.marketdata.store.tables import TABLES, SeriesTable
from shared.timescale import Rung

# A run is looked at for as long as this.
_REMEMBERED = timedelta(days=90)
_ENDED = text(r"""
    SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = to_regclass(:name)
        AND substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(''(.+)''\)')::timestamptz <= :moment
    ORDER BY c.relname
""")
_DROP_CHUNKS = text("SELECT drop_chunks(to_regclass(:name), older_than => CAST(:moment AS timestamptz))")
_POLICY = text("""
    SELECT (config ->> 'drop_after')::interval FROM timescaledb_information.jobs
    WHERE proc_name = 'policy_retention' AND hypertable_schema = 'marketdata' AND hypertable_name = :table
""")
# A refresh of buckets whose rows were removed removes the buckets too. What rows make out of date is queued anyway.
_END_REFRESHES = text("""
    SELECT remove_continuous_aggregate_policy(format('%I.%I', c.view_schema, c.view_name)::regclass)
    FROM timescaledb_information.jobs AS j
    -- Some versions name the table behind the view.
    JOIN timescaledb_information.continuous_aggregates AS c
        ON j.hypertable_name IN (c.view_name, c.materialization_hypertable_name)
    WHERE j.proc_name = 'policy_refresh_continuous_aggregate' AND c.view_schema = 'marketdata'
        AND c.view_name = ANY(:names) AND (j.config ->> 'start_offset')::interval >= CAST(:keep AS interval)
""")
_WAITING = text("SELECT EXISTS (SELECT FROM marketdata.roll_up_queue WHERE scope = '' AND from_ts < :moment)")


async def waits_to_be_rolled_up(session: AsyncSession, before: datetime) -> bool:
    """Return whether roll-ups of rows before a moment are out of date: the rows are still needed."""
    return bool(await session.scalar(_WAITING, {"moment": before}))


async def remove_revisions_before(session: AsyncSession, table: SeriesTable, moment: datetime) -> None:
    """Remove what rows before a moment were before they were corrected."""
    await session.execute(text(f"DELETE FROM marketdata.{table.revisions} WHERE ts < :moment"), {"moment": moment})


async def remove_before(session: AsyncSession, rung: Rung, table: SeriesTable, moment: datetime) -> Sequence[str]:
    """Remove what lies wholly before a moment; return the names of the partitions or chunks that went."""
    name = f"marketdata.{table.name}"
    if rung.hypertables:
        return [str(row[0]) for row in await session.execute(_DROP_CHUNKS, {"name": name, "moment": moment})]
    gone = [str(row[0]) for row in await session.execute(_ENDED, {"name": name, "moment": moment})]
    for partition in gone:
        await session.execute(text(f"DROP TABLE marketdata.{partition}"))
    return gone


async def set_policy(session: AsyncSession, subject: Subject, keep: timedelta | None) -> bool:
    """Have TimescaleDB keep rows for so long, None for ever; return whether it was told otherwise before."""
    table = TABLES[subject]
    known = await session.scalar(_POLICY, {"table": table.name})
    if known == keep:
        return False
    name = {"name": f"marketdata.{table.name}"}
    await session.execute(text("SELECT remove_retention_policy(to_regclass(:name), if_exists => true)"), name)
    if keep is not None:
        names = [width.name for width in SUMMED.get(subject, ())]
        await session.execute(_END_REFRESHES, {"names": names, "keep": keep})
        await session.execute(
            text("SELECT add_retention_policy(to_regclass(:name), drop_after => CAST(:keep AS interval))"),
            {**name, "keep": keep},
        )
    return True


async def note_run(session: AsyncSession, policy: str, subject: str, now: datetime, ok: bool, detail: str) -> None:
    """Keep how a policy ran, and forget the runs of long ago."""
    row = PolicyRunRow
    session.add(row(policy=policy, subject=subject, started_at=now, succeeded=ok, detail=detail[:500]))
    await session.execute(delete(row).where(row.policy == policy, row.started_at < now - _REMEMBERED))
