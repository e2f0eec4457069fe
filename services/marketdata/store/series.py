"""Read rows of one symbol, oldest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal
from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata.core.catalogue import Subject
from services.marketdata.core.widths import Width
from services.marketdata.store.put import driver
from services.marketdata.store.tables import TABLES
from shared.schemas.marketdata import Interval
from shared.windows import Window

_CRITICAL = 2


@dataclass(frozen=True)
class Wanted:
    """Which rows: of a scope and symbol, in a window of time, after the last one of an earlier page.

    `source` and `interval` narrow them; `timed` leaves out market states that do not say when they were; `known_at`
    shows them as they were known at a moment; `roll_up` is the view to take bars from that were not sent as such.
    """

    subject: Subject
    scope: str
    symbol: str
    window: Window
    limit: int
    after: tuple[datetime, Sequence[str | int]] | None = None
    source: str | None = None
    interval: Interval | None = None
    timed: bool = False
    known_at: datetime | None = None
    roll_up: Width | None = None


async def read_rows(session: AsyncSession, wanted: Wanted) -> list[dict[str, Any]]:
    """Return rows with every column of their table."""
    connection = await driver(session)
    async with connection.cursor(row_factory=dict_row) as cursor:
        # Planned each time: a plan kept from when a table was empty reads all of it.
        await cursor.execute(query_of(wanted), prepare=False)
        return await cursor.fetchall()


async def latest_at(
    session: AsyncSession, wanted: Wanted, at: datetime | None, since: datetime | None
) -> dict[str, Any] | None:
    """Return the newest row at or before a moment that can be trusted, None where none is as new as `since`."""
    table = TABLES[wanted.subject]
    chosen = [*_chosen(wanted), SQL("severity < {}").format(Literal(_CRITICAL))]
    if at is not None:
        chosen.append(SQL("ts <= {}").format(Literal(at)))
    if since is not None:
        chosen.append(SQL("ts >= {}").format(Literal(since)))
    query = SQL("SELECT {} FROM {} WHERE {} ORDER BY ts DESC LIMIT 1").format(
        _names(table.columns), Identifier("marketdata", table.name), _of_table(wanted, chosen)
    )
    connection: psycopg.AsyncConnection[Any] = await driver(session)
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query)
        return await cursor.fetchone()


async def latest_summed(
    session: AsyncSession, wanted: Wanted, width: Width, at: datetime, since: datetime
) -> dict[str, Any] | None:
    """Return the newest bar of a roll-up that starts at or before a moment, None where none does since another."""
    chosen = [
        *_chosen(wanted),
        SQL("severity < {}").format(Literal(_CRITICAL)),
        SQL("ts <= {}").format(Literal(at)),
        SQL("ts >= {}").format(Literal(since)),
    ]
    connection: psycopg.AsyncConnection[Any] = await driver(session)
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_summed(wanted, width, chosen, SQL("ORDER BY ts DESC LIMIT 1")), prepare=False)
        return await cursor.fetchone()


def _names(names: Sequence[str]) -> Composed:
    return SQL(", ").join(map(Identifier, names))


def _chosen(wanted: Wanted) -> list[Composable]:
    found: list[Composable] = [
        SQL("scope = {}").format(Literal(wanted.scope)),
        SQL("symbol = {}").format(Literal(wanted.symbol)),
    ]
    if wanted.source is not None:
        found.append(SQL("source = {}").format(Literal(wanted.source)))
    if wanted.timed and wanted.subject is Subject.MARKET_STATE:
        found.append(SQL("timestamp IS NOT NULL"))
    return found


def _of_table(wanted: Wanted, chosen: Sequence[Composable]) -> Composed:
    """Return what chooses rows of the table; a roll-up has one interval only."""
    narrowed = [SQL("interval = {}").format(Literal(wanted.interval))] if wanted.interval is not None else []
    return SQL(" AND ").join([*chosen, *narrowed])


def query_of(wanted: Wanted) -> Composed:
    """Return the query for rows with every column of their table; of roll-ups also how many minutes are in and out."""
    table = TABLES[wanted.subject]
    chosen, order = _chosen(wanted), tuple(name for name in table.key[1:] if name not in ("symbol", "interval"))
    start, end = wanted.window
    if start is not None:
        chosen.append(SQL("ts >= {}").format(Literal(start)))
    if end is not None:
        chosen.append(SQL("ts < {}").format(Literal(end)))
    if wanted.after is not None:
        moment, rest = wanted.after
        place = SQL(", ").join(map(Literal, (moment, *rest)))
        # Said twice: the first is what partitions are left out by.
        chosen.append(SQL("ts >= {} AND ({}) > ({})").format(Literal(moment), _names(order), place))
    where = _of_table(wanted, chosen)
    rows = SQL("SELECT {} FROM {} WHERE {}").format(_names(table.columns), Identifier("marketdata", table.name), where)
    if wanted.known_at is not None:
        rows = SQL("{} AND ts_init <= {at} UNION ALL {} AND ts_init <= {at} AND superseded_at > {at}").format(
            rows,
            SQL("SELECT {} FROM {} WHERE {}").format(
                _names(table.columns), Identifier("marketdata", table.revisions), where
            ),
            at=Literal(wanted.known_at),
        )
    limit = SQL("LIMIT {}").format(Literal(wanted.limit))
    if wanted.roll_up is not None:
        return _with_roll_up(wanted, wanted.roll_up, rows, chosen, order, limit)
    return SQL("SELECT * FROM ({}) AS found ORDER BY {} {}").format(rows, _names(order), limit)


def _with_roll_up(
    wanted: Wanted, width: Width, rows: Composed, chosen: Sequence[Composable], order: Sequence[str], limit: Composed
) -> Composed:
    """Return bars that were sent, and of those that were not the ones summed from finer bars."""
    # Not a join: how many were sent is known too badly to choose a good one.
    return SQL("""
        SELECT DISTINCT ON ({order}) {columns} FROM (
            (
                SELECT sent.*, NULL::bigint AS bars, NULL::bigint AS left_out, 0 AS choice
                FROM ({rows}) AS sent ORDER BY {order} {limit}
            )
            UNION ALL
            SELECT summed.*, 1 FROM ({summed}) AS summed
        ) AS found ORDER BY {order}, choice {limit}
    """).format(
        order=_names(order),
        columns=_names((*TABLES[Subject.BAR].columns, "bars", "left_out")),
        rows=rows,
        summed=_summed(wanted, width, chosen, SQL("ORDER BY {} {}").format(_names(order), limit)),
        limit=limit,
    )


def _summed(wanted: Wanted, width: Width, chosen: Sequence[Composable], ending: Composable) -> Composed:
    """Return the query for bars of a roll-up, with every column of a bar and how many minutes are in and out.

    One that leaves critical minutes out is a warning at least: it says less than its time does.
    """
    values: dict[str, Composable] = {
        "interval": SQL("{} AS interval").format(Literal(wanted.interval)),
        "revision": SQL("0 AS revision"),
        "issues": SQL("NULL::jsonb AS issues"),
        "ts_init": SQL("NULL::timestamptz AS ts_init"),
        "severity": SQL("greatest(severity, (left_out > 0)::int)::smallint AS severity"),
    }
    return SQL("""
        SELECT {columns}, bars, left_out
        FROM (SELECT * FROM {view} WHERE {chosen} {ending}) AS summed
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(minutes), 0)::bigint AS left_out FROM marketdata.bar_left_out AS l
            WHERE l.scope = summed.scope AND l.symbol = summed.symbol AND l.source = summed.source
                AND l.ts >= summed.ts AND l.ts < {end}
        ) AS critical
    """).format(
        columns=SQL(", ").join(values.get(name, Identifier(name)) for name in TABLES[Subject.BAR].columns),
        view=Identifier("marketdata", width.name),
        chosen=SQL(" AND ").join(chosen),
        ending=ending,
        end=SQL(width.ends("summed.ts")),
    )
