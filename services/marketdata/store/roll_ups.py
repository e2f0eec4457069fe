"""Roll-ups: what of them is out of date is queued with the rows, and worked out before it is read."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from psycopg.errors import LockNotAvailable
from sqlalchemy import (
    BindParameter,
    Select,
    TextClause,
    bindparam,
    column,
    delete,
    exists,
    func,
    select,
    table,
    text,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY, TEXT, TIMESTAMP
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from services.marketdata.core.catalogue import Subject
from services.marketdata.core.widths import FINEST, VOLUME, WIDTHS, Span, Width, aligned, portions
from services.marketdata.models import RollUpQueue
from services.marketdata.store.origin import Origin
from services.marketdata.store.series import Wanted
from shared.schemas.market_events import HourlyVolume

_TIME = TIMESTAMP(timezone=True)
_VOLUME_VIEW = table(
    VOLUME.name,
    *map(column, ("scope", "symbol", "source", "ts", "volume", "buy_volume", "sell_volume", "notional", "trades")),
    schema="marketdata",
)
# Of a refresh that another one is in the way of: some ten seconds in all.
_TRIES, _PAUSE_SECONDS = 50, 0.2
# What one statement works out of a series: well under the time it may take, even where the machine is busy.
_AT_ONCE = timedelta(days=31)
# What one refresh of an aggregate does: of all symbols at once, and anew from its start where it is cut.
_REFRESHED_AT_ONCE = timedelta(days=7)
_INSTANT = timedelta(microseconds=1)
_LAST = datetime.max.replace(tzinfo=UTC)
_SPANS: tuple[BindParameter[Any], ...] = (
    *(bindparam(name, type_=ARRAY(TEXT)) for name in ("scopes", "symbols", "sources")),
    *(bindparam(name, type_=ARRAY(_TIME)) for name in ("starts", "ends")),
)
_GIVEN = "unnest(:scopes, :symbols, :sources, :starts, :ends) AS q(scope, symbol, source, from_ts, to_ts)"
_MINE = "b.scope = q.scope AND b.symbol = q.symbol AND b.source = q.source AND b.ts >= q.from_ts AND b.ts < q.to_ts"

_QUEUE = text(f"""
    INSERT INTO marketdata.roll_up_queue ("of", scope, symbol, source, from_ts, to_ts, queued_at)
    SELECT :of, q.scope, q.symbol, q.source, q.from_ts, q.to_ts, :queued_at FROM {_GIVEN}
""").bindparams(*_SPANS)


def _bars(width: Width) -> str:
    if width.from_minutes:
        source, counted = "marketdata.ohlcv_bar", "count(*)"
        chosen = "AND b.\"interval\" = '1m' AND b.severity < 2"
    else:
        source, counted = "marketdata.bar_roll_up", "sum(bars)"
        chosen = f"AND b.width = '{FINEST}'"
    return f"""
        INSERT INTO marketdata.bar_roll_up
            (width, scope, symbol, source, ts, open, high, low, close, volume, amount, bars, severity)
        SELECT '{width.name}', q.scope, q.symbol, q.source, r.* FROM {_GIVEN} CROSS JOIN LATERAL (
            SELECT {width.sql} AS ts, (array_agg(open ORDER BY ts))[1], max(high), min(low),
                   (array_agg(close ORDER BY ts DESC))[1], sum(volume),
                   CASE WHEN bool_and(amount IS NOT NULL) THEN sum(amount) END, {counted}, max(severity)
            FROM {source} AS b WHERE {_MINE} {chosen} GROUP BY 1
        ) AS r
    """


_VOLUMES = f"""
    INSERT INTO marketdata.volume_roll_up
        (scope, symbol, source, ts, volume, buy_volume, sell_volume, notional, trades)
    SELECT q.scope, q.symbol, q.source, r.* FROM {_GIVEN} CROSS JOIN LATERAL (
        SELECT {VOLUME.sql} AS ts, sum(quantity),
               coalesce(sum(quantity) FILTER (WHERE aggressor = 'buy'), 0),
               coalesce(sum(quantity) FILTER (WHERE aggressor = 'sell'), 0), sum(price * quantity), count(*)
        FROM marketdata.trade_tick AS b WHERE {_MINE} AND b.severity < 2 GROUP BY 1
    ) AS r
"""


_LEFT_OUT = f"""
    INSERT INTO marketdata.bar_left_out AS known (scope, symbol, source, ts, minutes)
    SELECT q.scope, q.symbol, q.source, r.* FROM {_GIVEN} CROSS JOIN LATERAL (
        SELECT {WIDTHS[0].sql} AS ts, count(*) FROM marketdata.ohlcv_bar AS b
        WHERE {_MINE} AND b."interval" = '1m' AND b.severity = 2 GROUP BY 1
    ) AS r
    ON CONFLICT (scope, symbol, ts, source) DO UPDATE SET minutes = excluded.minutes
"""


def _anew(width: Width, name: str, insert: str, chosen: str = "") -> tuple[Width, TextClause, TextClause]:
    clear = f"DELETE FROM marketdata.{name} AS b USING {_GIVEN} WHERE {_MINE} {chosen}"
    return width, text(clear).bindparams(*_SPANS), text(insert).bindparams(*_SPANS)


_OF: Mapping[str, Sequence[tuple[Width, TextClause, TextClause]]] = {
    Subject.BAR.value: [_anew(width, "bar_roll_up", _bars(width), f"AND b.width = '{width.name}'") for width in WIDTHS],
    Subject.TICK.value: [_anew(VOLUME, "volume_roll_up", _VOLUMES)],
}

_REFRESH = "CALL refresh_continuous_aggregate(:name, :start, :end{})"
# Since 2.28 a refresh is ten buckets a transaction unless it is told not to: twenty times slower over weeks of
# minutes, and the first of those versions miss a bucket. Earlier ones do not know the option.
_WHOLE = text("""
    SELECT (split_part(extversion, '.', 1)::int, split_part(extversion, '.', 2)::int) >= (2, 28)
    FROM pg_extension WHERE extname = 'timescaledb'
""")

_COUNTED = _anew(WIDTHS[0], "bar_left_out", _LEFT_OUT)


def spans_of(of: Subject, origin: Origin, rows: pa.Table) -> list[Span]:
    """Return the spans of rows that roll-ups are made of, one for each symbol and day."""
    if of is Subject.BAR:
        rows = rows.filter(pc.equal(rows["interval"], "1m"))
    day = pc.floor_temporal(rows["ts"], unit="day")
    days = pa.table({"symbol": rows["symbol"], "day": day, "ts": rows["ts"]})
    found = days.group_by(["symbol", "day"]).aggregate([("ts", "min"), ("ts", "max")])
    return [
        Span(origin.scope, row["symbol"], origin.source, row["ts_min"], _after(row["ts_max"]))
        for row in found.to_pylist()
    ]


def _after(moment: datetime) -> datetime:
    return moment + _INSTANT if moment < _LAST else moment


async def queue_roll_ups(session: AsyncSession, of: Subject, spans: Sequence[Span], now: datetime) -> None:
    """Say that roll-ups of these spans are out of date."""
    if spans:
        await session.execute(_QUEUE, {**_values(spans), "of": of.value, "queued_at": now})


async def is_queued(session: AsyncSession, of: Subject, within: Span) -> bool:
    """Tell whether roll-ups within a span of any source are out of date, or are just being worked out."""
    return bool(await session.scalar(select(exists(_queued(within).where(RollUpQueue.of == of.value)))))


def _queued(within: Span) -> Select[RollUpQueue]:
    entry = RollUpQueue
    return select(entry).where(
        entry.scope == within.scope,
        entry.symbol == within.symbol,
        entry.from_ts < within.end,
        entry.to_ts > within.start,
    )


async def take_queued(
    session: AsyncSession, limit: int, of: Subject | None = None, within: Span | None = None
) -> dict[str, list[Span]]:
    """Remove queued spans, of live data or within one span of any source; return them by what they are of.

    Whoever else has taken some of them is waited for where `within` is given, and passed over where not.
    """
    entry = RollUpQueue
    if within is None:
        query = select(entry).where(entry.scope == "").with_for_update(skip_locked=True)
    else:
        query = _queued(within).with_for_update()
    if of is not None:
        query = query.where(entry.of == of.value)
    rows = (await session.scalars(query.order_by(entry.entry_id).limit(limit))).all()
    await session.execute(delete(entry).where(entry.entry_id.in_([row.entry_id for row in rows])))
    found: dict[str, list[Span]] = {}
    for row in rows:
        found.setdefault(row.of, []).append(Span(row.scope, row.symbol, row.source, row.from_ts, row.to_ts))
    return found


async def refresh_tables(
    session: AsyncSession, queued: dict[str, list[Span]], kept_from: Mapping[str, datetime | None]
) -> None:
    """Work out the roll-ups of spans anew, where they are tables."""
    for of, spans in queued.items():
        for anew in _OF[of]:
            await _work_out(session, anew, spans, kept_from.get(of))


async def refresh_left_out(
    session: AsyncSession, queued: dict[str, list[Span]], kept_from: Mapping[str, datetime | None]
) -> None:
    """Count the minutes anew that roll-ups of spans leave out."""
    of = Subject.BAR.value
    await _work_out(session, _COUNTED, queued.get(of, []), kept_from.get(of))


async def _work_out(
    session: AsyncSession,
    anew: tuple[Width, TextClause, TextClause],
    spans: Sequence[Span],
    kept_from: datetime | None,
) -> None:
    width, clear, fill = anew
    for portion in portions(width, aligned(width, spans, kept_from), _AT_ONCE):
        values = _values(portion)
        await session.execute(clear, values)
        await session.execute(fill, values)


async def refresh_aggregates(
    session: AsyncSession,
    connection: AsyncConnection,
    queued: dict[str, list[Span]],
    kept_from: Mapping[str, datetime | None],
) -> None:
    """Work out the roll-ups of spans anew, where they are continuous aggregates; the connection commits by itself.

    An aggregate is refreshed for all symbols at once, so that spans of time are what counts. The session that took
    the spans waits meanwhile, as long as that takes.
    """
    await session.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
    options = """, options => '{"buckets_per_batch": 0}'""" if await connection.scalar(_WHOLE) else ""
    call = text(_REFRESH.format(options))
    for of, spans in queued.items():
        everything = [Span("", "", "", span.start, span.end) for span in spans]
        for width, *_ in _OF[of]:
            for portion in portions(width, aligned(width, everything, kept_from.get(of)), _REFRESHED_AT_ONCE):
                for span in portion:
                    values = {"name": f"marketdata.{width.name}", "start": span.start, "end": span.end}
                    await _refresh(connection, call, values)


async def _refresh(connection: AsyncConnection, call: TextClause, values: Mapping[str, object]) -> None:
    for patience in range(_TRIES, -1, -1):
        try:
            await connection.execute(call, values)
        except OperationalError as error:
            # TimescaleDB refuses two refreshes of one stretch at once: its policy's, or another process's.
            if patience == 0 or not isinstance(error.orig, LockNotAvailable):
                raise
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            return


async def queue_length(session: AsyncSession) -> tuple[int, datetime | None]:
    """Return how many spans wait and since when the oldest does."""
    query = select(func.count(), func.min(RollUpQueue.queued_at)).where(RollUpQueue.scope == "")
    count, oldest = (await session.execute(query)).one()
    return count, oldest


def _values(spans: Sequence[Span]) -> dict[str, object]:
    return {
        "scopes": [span.scope for span in spans],
        "symbols": [span.symbol for span in spans],
        "sources": [span.source for span in spans],
        "starts": [span.start for span in spans],
        "ends": [span.end for span in spans],
    }


async def list_volume(
    session: AsyncSession, wanted: Wanted, after: tuple[datetime, str] | None, limit: int
) -> list[HourlyVolume]:
    """Return what was traded in hours of a window, oldest first."""
    view = _VOLUME_VIEW.c
    query = select(_VOLUME_VIEW).where(view.scope == wanted.scope, view.symbol == wanted.symbol)
    if wanted.source is not None:
        query = query.where(view.source == wanted.source)
    start, end = wanted.window
    if start is not None:
        query = query.where(view.ts >= start)
    if end is not None:
        query = query.where(view.ts < end)
    if after is not None:
        query = query.where(tuple_(view.ts, view.source) > tuple_(*after))
    rows = await session.execute(query.order_by(view.ts, view.source).limit(limit))
    return [HourlyVolume(**{k: v for k, v in row._mapping.items() if k != "scope"}) for row in rows]
