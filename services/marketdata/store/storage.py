"""What the database is and how much it holds."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata.store.roll_ups import queue_length
from services.marketdata.store.rung import made_as, versions
from services.marketdata.store.tables import TABLES
from shared.schemas.storage import PolicyRun, SeriesStorage, StorageReport

_PARTITIONS = text("""
    SELECT count(c.oid), coalesce(sum(pg_total_relation_size(c.oid)), 0), coalesce(sum(greatest(c.reltuples, 0)), 0)
    FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = to_regclass(:name)
""")
_CHUNKS = text("""
    SELECT (SELECT count(*) FROM timescaledb_information.chunks
            WHERE hypertable_schema = 'marketdata' AND hypertable_name = :table),
           coalesce(hypertable_size(to_regclass(:name)), 0), coalesce(approximate_row_count(to_regclass(:name)), 0)
""")
_COMPRESSED = text("""
    SELECT coalesce(number_compressed_chunks, 0), before_compression_total_bytes, after_compression_total_bytes
    FROM hypertable_columnstore_stats(to_regclass(:name))
""")
_POLICIES = text("""
    SELECT j.application_name, coalesce(c.view_name, j.hypertable_name) AS subject, j.schedule_interval,
           s.last_run_started_at, s.last_run_status, s.next_start, s.total_failures
    FROM timescaledb_information.jobs AS j
    LEFT JOIN timescaledb_information.job_stats AS s USING (job_id)
    LEFT JOIN timescaledb_information.continuous_aggregates AS c
        ON c.materialization_hypertable_name = j.hypertable_name
    WHERE coalesce(c.view_schema, j.hypertable_schema) = 'marketdata' ORDER BY j.job_id
""")
_RUNS = text("""
    SELECT DISTINCT ON (policy, subject) policy, subject, started_at, succeeded, detail
    FROM marketdata.policy_run ORDER BY policy, subject, started_at DESC
""")


async def storage_report(session: AsyncSession) -> StorageReport:
    """Return what the database is, what it holds of each series, and how its policies ran."""
    rung = await made_as(session)
    server, extension = await versions(session)
    series = []
    for table in TABLES.values():
        values = {"table": table.name, "name": f"marketdata.{table.name}"}
        parts, size, rows = (await session.execute(_CHUNKS if rung.hypertables else _PARTITIONS, values)).one()
        packed = (await session.execute(_COMPRESSED, values)).first() if rung.aggregates else None
        series.append(_series(table.name, (int(parts), int(size), int(rows)), packed))
    waiting, oldest = await queue_length(session)
    runs = await session.execute(_RUNS)
    policies = [
        PolicyRun(
            policy=row.policy,
            subject=row.subject,
            last_run=row.started_at,
            last_status="Success" if row.succeeded else "Failed",
            detail=row.detail,
        )
        for row in runs
    ]
    if rung.aggregates:
        policies += [_policy(row) for row in (await session.execute(_POLICIES)).mappings()]
    return StorageReport(
        database=rung.value,
        server_version=server,
        extension_version=extension,
        series=series,
        roll_ups_waiting=waiting,
        roll_ups_waiting_since=oldest,
        policies=policies,
    )


def _series(name: str, found: tuple[int, int, int], packed: Any) -> SeriesStorage:
    chunks, before, after = packed if packed is not None else (0, None, None)
    return SeriesStorage(
        table=name,
        chunks=found[0],
        bytes=found[1],
        rows_estimated=found[2],
        compressed_chunks=chunks,
        compression_ratio=before / after if before and after else None,
    )


def _policy(row: Mapping[Any, Any]) -> PolicyRun:
    return PolicyRun(
        policy=str(row["application_name"]).partition(" [")[0],
        subject=row["subject"],
        every_seconds=row["schedule_interval"].total_seconds(),
        last_run=row["last_run_started_at"],
        last_status=row["last_run_status"],
        next_run=row["next_start"],
        failures=row["total_failures"],
    )
