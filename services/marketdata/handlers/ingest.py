"""Take rows in: load what came before, judge, store with the verdict, queue what follows from them."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import datetime
from itertools import compress

import numpy as np
import pyarrow as pa
from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata import store
from services.marketdata.core.calendars import to_micros
from services.marketdata.core.catalogue import Subject
from services.marketdata.core.flags import Flags
from services.marketdata.core.stream.news import News
from services.marketdata.handlers import arrivals
from services.marketdata.handlers.arrivals import Batch
from services.marketdata.handlers.judging import Known, judge, marks_of, observed_at
from services.marketdata.handlers.outcome import (
    MOST_NAMED,
    Mode,
    count_feed,
    count_rows,
    keep_issues,
    log_critical,
    publish,
    usable,
)
from services.marketdata.handlers.rules import load_rules
from services.marketdata.handlers.writing import write
from services.marketdata.rows.columns import kept_from
from services.marketdata.rows.distinct import Distinct, distinct
from services.marketdata.rows.kinds import RowKind
from services.marketdata.rows.read import Rows, no_good_rows
from services.marketdata.store import TABLES, Origin, Partitions, SeriesTable
from shared.journal import canonical
from shared.schemas.marketdata import IngestResult, Verdict

_ROLLED_UP = frozenset({Subject.BAR, Subject.TICK})


async def ingest_rows(
    session: AsyncSession,
    partitions: Partitions,
    kind: RowKind,
    rows: Rows,
    mode: Mode,
    now: datetime,
    news: News | None = None,
) -> IngestResult:
    """Judge and store rows; queue the marks of those that are new or changed, and the roll-ups they are part of.

    `news` is of the raw stream that the rows were made of. Raises Unprocessable for a bad row where the mode is strict.
    """
    origin = Origin(rows.simulation_id or "", rows.source, now)
    table = TABLES[kind.subject]
    columns = kept_from(rows.columns, partitions.retention.horizon(kind.subject, now))
    if not len(columns.index):
        raise no_good_rows(kind, columns.rejected)
    found = await asyncio.to_thread(distinct, columns, *_key(table))
    if mode == "strict" and found.rejected:
        raise no_good_rows(kind, found.rejected)
    # Before anything is asked in the session: while it holds a connection no second one is to be waited for.
    await partitions.ensure(table.name, store.moments_of(found.table))
    symbols = found.table["symbol"].unique().to_pylist()
    await store.lock_symbols(session, table, origin, symbols)
    before = await _before(session, kind, origin, found)
    series = await arrivals.load(session, kind.subject, origin, symbols)
    live_now = None if rows.simulation_id else to_micros(now)
    trades = await _trades(session, kind, origin, found.table)
    rules = await load_rules(session, symbols)
    known = Known(before, rules, live_now, arrivals.leads(series), trades)
    flags = await asyncio.to_thread(judge, kind, found, known)
    issues = await asyncio.to_thread(_texts, flags)
    written = await write(session, partitions, table, origin, found.table, flags.severities, issues)
    batch = Batch(kind, origin, found, flags, written)
    past = arrivals.past_symbols(origin, arrivals.newest_of(kind, origin, found), series, rules)
    await arrivals.note(session, batch, series)
    return await _finish(session, batch, rows, past, news)


def _key(table: SeriesTable) -> tuple[list[str], list[str]]:
    names = [name for name in table.key if name not in ("scope", "source")]
    at = names.index("ts")
    return names[:at], names[at + 1 :]


async def _before(session: AsyncSession, kind: RowKind, origin: Origin, found: Distinct) -> Mapping[int, object]:
    """Return what is known of each series before the batch, by its place among them."""
    starts = found.table.take(found.starts).to_pylist()
    if kind.subject is Subject.BAR:
        firsts = {(row["symbol"], row["interval"]): row["ts"] for row in starts}
        bars = await store.bars_before(session, origin, firsts)
        return {n: bars[key] for n, key in enumerate(firsts) if key in bars}
    if kind.subject is Subject.TICK:
        prices = await store.prices_before(session, origin, {row["symbol"]: row["ts"] for row in starts})
        return {n: prices[row["symbol"]] for n, row in enumerate(starts) if row["symbol"] in prices}
    if kind.subject is Subject.ORDER_BOOK:
        books = await store.sequences_before(
            session, origin.scope, origin.source, {row["symbol"]: row["ts"] for row in starts}
        )
        return {n: books[row["symbol"]] for n, row in enumerate(starts) if row["symbol"] in books}
    return {}


async def _trades(
    session: AsyncSession, kind: RowKind, origin: Origin, rows: pa.Table
) -> Mapping[str, Mapping[str, int]]:
    if kind.subject is not Subject.TICK:
        return {}
    found = await store.known_trades(session, origin, rows)
    return {symbol: {name: to_micros(ts) for name, ts in each.items()} for symbol, each in found.items()}


def _texts(flags: Flags) -> dict[int, str]:
    return {
        place: canonical([issue.model_dump(mode="json") for issue in issues]) for place, issues in flags.issues.items()
    }


async def _finish(
    session: AsyncSession, batch: Batch, rows: Rows, past: Collection[str], news: News | None
) -> IngestResult:
    kind, found, flags = batch.kind, batch.rows, batch.flags
    changed = batch.written.changed
    symbols = found.table["symbol"].combine_chunks().dictionary_encode()
    if kind.subject in _ROLLED_UP:
        await _queue_roll_ups(session, batch, changed)
    marks = await asyncio.to_thread(marks_of, kind, found.table, flags, changed, rows, batch.origin.ts_init)
    await publish(session, marks)
    moments = observed_at(found.table)
    codes, named = symbols.indices.to_numpy()[changed], symbols.dictionary.to_pylist()
    await count_feed(session, batch.origin, codes, named, flags.severities[changed], moments[changed])
    places = sorted(flags.issues, key=lambda place: int(found.index[place]))
    verdicts = _verdicts(found, flags, places)
    fresh = compress(verdicts, np.isin(places, changed).tolist())
    new = [named[code] for code in np.unique(codes)]
    await keep_issues(session, batch.origin, kind.subject, new, list(fresh), past, news)
    stored = len(changed)
    unchanged = len(found.table) - stored + found.repeated
    count_rows(kind.name, stored, unchanged, len(found.rejected), flags.severities)
    log_critical(rows.source, verdicts)
    return IngestResult(
        received=rows.columns.received,
        stored=stored,
        revised=len(batch.written.revised),
        unchanged=unchanged,
        rejected_count=len(found.rejected),
        rejected=found.rejected[:MOST_NAMED],
        published=usable(marks),
        flagged=len(verdicts),
        verdicts=verdicts[:MOST_NAMED],
    )


def _verdicts(found: Distinct, flags: Flags, places: list[int]) -> list[Verdict]:
    named = found.table.select(["symbol", "ts"]).take(pa.array(places, pa.int64())).to_pylist()
    return [
        Verdict(
            index=int(found.index[place]),
            symbol=row["symbol"],
            ts=row["ts"],
            severity=flags.severity(place),
            issues=flags.issues[place],
        )
        for place, row in zip(places, named, strict=True)
    ]


async def _queue_roll_ups(session: AsyncSession, batch: Batch, changed: np.ndarray) -> None:
    table = batch.rows.table if len(changed) == len(batch.rows.table) else batch.rows.table.take(changed)
    spans = await asyncio.to_thread(store.spans_of, batch.kind.subject, batch.origin, table)
    await store.queue_roll_ups(session, batch.kind.subject, spans, batch.origin.ts_init)
