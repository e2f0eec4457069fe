"""Write rows: by binary COPY where none of their time is there, else beside what is there, with its revisions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg.sql import SQL, Composed, Identifier
from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata.store.binary import encode
from services.marketdata.store.origin import Origin
from services.marketdata.store.tables import SeriesTable

# So many locks share all symbols: those of every symbol of a batch would fill PostgreSQL's table of locks.
_LOCKS = 64
_Longs = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Written:
    """Which rows were new and which took the place of an earlier revision, by their place in the table."""

    new: _Longs
    revised: _Longs

    @property
    def changed(self) -> _Longs:
        """Return both, in their order."""
        found: _Longs = np.sort(np.concatenate([self.new, self.revised]))
        return found


async def lock_symbols(session: AsyncSession, table: SeriesTable, origin: Origin, symbols: Sequence[str]) -> None:
    """Keep other writers of these symbols waiting until the transaction ends, in one order for everyone."""
    base = crc32(f"{table.name} {origin.scope} {origin.source}".encode()) << 8
    keys = sorted({base + crc32(symbol.encode()) % _LOCKS for symbol in symbols})
    connection = await driver(session)
    await connection.execute(
        "SELECT pg_advisory_xact_lock(k) FROM (SELECT k FROM unnest(%s::bigint[]) AS k ORDER BY k OFFSET 0) AS s",
        [keys],
    )


async def put_rows(
    session: AsyncSession,
    table: SeriesTable,
    origin: Origin,
    rows: pa.Table,
    severities: npt.NDArray[np.int16],
    issues: Mapping[int, str],
) -> Written:
    """Store rows of distinct keys, whose symbols are locked; `issues` are JSON by a row's place.

    The same again changes nothing; another content of a known key is its next revision, and the earlier one is kept.
    """
    connection = await driver(session)
    count = len(rows)
    full = full_rows(table, origin, rows, severities, issues)
    known = await _where_known(connection, table, origin, rows)
    fresh = np.flatnonzero(~known)
    if len(fresh):
        await _copy(connection, _target(table.name), table.columns, full if len(fresh) == count else full.take(fresh))
    if len(fresh) == count:
        return Written(fresh, np.empty(0, np.int64))
    beside = np.flatnonzero(known)
    new, revised = await _merge(connection, table, origin, full.take(beside), rows["ts"].take(beside))
    return Written(np.sort(np.concatenate([fresh, beside[new]])), beside[revised])


async def driver(session: AsyncSession) -> psycopg.AsyncConnection[Any]:
    """Return psycopg's connection of a session, in the session's transaction."""
    raw = await (await session.connection()).get_raw_connection()
    found: psycopg.AsyncConnection[Any] | None = raw.driver_connection
    assert found is not None  # noqa: S101  # a checked-out connection has one
    return found


def full_rows(
    table: SeriesTable,
    origin: Origin,
    rows: pa.Table,
    severities: npt.NDArray[np.int16],
    issues: Mapping[int, str],
) -> pa.Table:
    """Return the rows with every column of their table, in its order."""
    count = len(rows)
    made = {
        "scope": pa.array([origin.scope], pa.string()).take(pa.nulls(count, pa.int32()).fill_null(0)),
        "source": pa.array([origin.source], pa.string()).take(pa.nulls(count, pa.int32()).fill_null(0)),
        "revision": pa.array(np.ones(count, np.int32)),
        "severity": pa.array(severities, pa.int16()),
        "issues": _jsonb(pa.array([issues.get(n) for n in range(count)], pa.string()) if issues else pa.nulls(count)),
        "ts_init": pa.array(np.full(count, np.datetime64(origin.ts_init.replace(tzinfo=None), "us"))).cast(
            pa.timestamp("us", "UTC")
        ),
    }
    for name in table.key + table.data:
        if name not in made:
            column = rows[name].combine_chunks()
            # `json` is text as it is, `jsonb` has a version before it.
            made[name] = _jsonb(column) if name in table.json and name != "option_chain" else column
    return pa.table({name: made[name] for name in table.columns})


def _jsonb(column: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(pa.scalar("\x01"), column.cast(pa.string()), "")


def _series(table: SeriesTable) -> tuple[str, ...]:
    return tuple(name for name in table.key if name in ("symbol", "interval"))


async def _where_known(
    connection: psycopg.AsyncConnection[Any], table: SeriesTable, origin: Origin, rows: pa.Table
) -> npt.NDArray[np.bool_]:
    """Return for each row whether its series has rows of this source between the first and last of the batch."""
    names = _series(table)
    spans = rows.group_by(list(names)).aggregate([("ts", "min"), ("ts", "max")])
    arrays = [spans[name].to_pylist() for name in names]
    query = SQL("""
        SELECT n FROM unnest({arrays}, %s::timestamptz[], %s::timestamptz[])
            WITH ORDINALITY AS s({series}, least, most, n)
        WHERE EXISTS (
            SELECT FROM {table} AS k
            WHERE k.scope = %s AND {joined} AND k.source = %s AND k.ts BETWEEN s.least AND s.most
        )
    """).format(
        arrays=SQL(", ").join(SQL("%s::text[]") for _ in names),
        series=_names(names),
        table=_target(table.name),
        joined=SQL(" AND ").join(SQL("k.{0} = s.{0}").format(Identifier(name)) for name in names),
    )
    cursor = await connection.execute(
        query, [*arrays, spans["ts_min"].to_pylist(), spans["ts_max"].to_pylist(), origin.scope, origin.source]
    )
    overlapping = [n - 1 for (n,) in await cursor.fetchall()]
    if not overlapping:
        return np.zeros(len(rows), bool)
    if len(overlapping) == len(spans):
        return np.ones(len(rows), bool)
    chosen = spans.take(overlapping).select(list(names))
    numbered = rows.select(list(names)).append_column("place", pa.array(np.arange(len(rows))))
    places = numbered.join(chosen, list(names), join_type="left semi")["place"].to_numpy()
    known = np.zeros(len(rows), bool)
    known[places] = True
    return known


async def _copy(
    connection: psycopg.AsyncConnection[Any], target: Composed | Identifier, columns: Sequence[str], rows: pa.Table
) -> None:
    query = SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(target, _names(columns))
    async with connection.cursor() as cursor, cursor.copy(query) as copy:
        for block in encode([rows[name].combine_chunks() for name in columns]):
            await copy.write(block)


async def _merge(
    connection: psycopg.AsyncConnection[Any], table: SeriesTable, origin: Origin, rows: pa.Table, moments: pa.Array
) -> tuple[_Longs, _Longs]:
    """Write rows beside those that are there; return the places of new and of revised ones."""
    stage = Identifier(f"stage_{table.name}")
    place = "stage_place"
    await connection.execute(
        SQL(
            "CREATE TEMPORARY TABLE IF NOT EXISTS {} (LIKE {}, {} integer) ON COMMIT DELETE ROWS",
        ).format(stage, _target(table.name), Identifier(place))
    )
    numbered = rows.append_column(place, pa.array(np.arange(len(rows), dtype=np.int32)))
    await _copy(connection, stage, (*table.columns, place), numbered)
    # PostgreSQL knows nothing of tables just filled; without these it reads whole partitions to find a few rows.
    for method in ("hashjoin", "mergejoin", "seqscan", "bitmapscan", "material"):
        await connection.execute(SQL("SET LOCAL {} = off").format(SQL(f"enable_{method}")))
    parts = {
        "stage": stage,
        "table": _target(table.name),
        "same_key": SQL(" AND ").join(SQL("k.{0} = s.{0}").format(Identifier(name)) for name in table.key),
        "known": _tuple("k", table.compared),
        "given": _tuple("s", table.compared),
        "columns": _names(table.columns),
        "place": Identifier(place),
    }
    least, most = pc.min_max(moments).as_py().values()
    cursor = await connection.execute(
        SQL("""
            SELECT s.{place}, k.ts IS NOT NULL FROM {stage} AS s LEFT JOIN {table} AS k
                ON {same_key} AND k.ts BETWEEN %s AND %s
            WHERE k.ts IS NULL OR {known} IS DISTINCT FROM {given}
        """).format(**parts),
        [least, most],
        # Planned each time, by the moments of this batch: a plan kept for all is of partitions that are not asked.
        prepare=False,
    )
    found = await cursor.fetchall()
    new = np.array(sorted(n for n, known in found if not known), np.int64)
    revised = np.array(sorted(n for n, known in found if known), np.int64)
    if len(revised):
        await connection.execute(
            SQL("""
                INSERT INTO {revisions} ({columns}, superseded_at)
                SELECT {earlier}, %s FROM {stage} AS s JOIN {table} AS k ON {same_key} AND k.ts BETWEEN %s AND %s
                WHERE (%s::boolean[])[s.{place} + 1]
            """).format(
                revisions=_target(table.revisions),
                earlier=SQL(", ").join(SQL("k.{}").format(Identifier(name)) for name in table.columns),
                **parts,
            ),
            [origin.ts_init, least, most, _marked(revised, len(rows))],
            prepare=False,
        )
    if found:
        changing = (*table.data, "severity", "issues", "ts_init")
        await connection.execute(
            SQL("""
                INSERT INTO {table} AS k ({columns})
                SELECT {columns} FROM {stage} AS s WHERE (%s::boolean[])[s.{place} + 1] ORDER BY s.{place}
                ON CONFLICT ({key}) DO UPDATE SET {set}, revision = k.revision + 1
                WHERE {known} IS DISTINCT FROM {excluded}
            """).format(
                key=_names(table.key),
                set=SQL(", ").join(SQL("{0} = excluded.{0}").format(Identifier(name)) for name in changing),
                excluded=_tuple("excluded", table.compared),
                **parts,
            ),
            [_marked(np.concatenate([new, revised]), len(rows))],
            prepare=False,
        )
    await connection.execute(SQL("DELETE FROM {}").format(stage))
    return new, revised


def _marked(places: _Longs, count: int) -> list[bool]:
    """Return places as a truth for each row: looked up at once, however many there are."""
    found = np.zeros(count, bool)
    found[places] = True
    return found.tolist()


def _target(name: str) -> Identifier:
    return Identifier("marketdata", name)


def _names(names: Sequence[str]) -> Composed:
    return SQL(", ").join(map(Identifier, names))


def _tuple(alias: str, names: Sequence[str]) -> Composed:
    return SQL("({})").format(SQL(", ").join(SQL("{}.{}").format(SQL(alias), Identifier(name)) for name in names))


def moments_of(rows: pa.Table) -> list[datetime]:
    """Return one moment of each month that rows are of, and of each year."""
    months = pc.unique(pc.floor_temporal(rows["ts"], unit="month")).to_pylist()
    return [moment for moment in months if moment is not None]
