"""Note of each live series when its rows came: what the quality monitor judges whole streams by."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata import store
from services.marketdata.calendars import ALWAYS_OPEN, calendar_of
from services.marketdata.core.calendars import to_micros
from services.marketdata.core.calendars.sessions import from_micros
from services.marketdata.core.catalogue import Subject
from services.marketdata.core.flags import Flags, Longs
from services.marketdata.core.monitor.arrival import Arrived, SeriesState, after, late_rows
from services.marketdata.core.monitor.timed import is_fed
from services.marketdata.handlers.judging import observed_at
from services.marketdata.handlers.rules import Rules
from services.marketdata.rows.distinct import Distinct
from services.marketdata.rows.kinds import RowKind
from services.marketdata.store import Origin, SeriesName, Written
from shared.schemas.marketdata import INTERVAL_LENGTH

Known = Mapping[SeriesName, SeriesState]
_HOUR = 3_600.0
_DEFAULT_FUNDING_HOURS = 8
# Bars are what they are in whatever order they come; that one is missing is the gap ledger's.
_IN_ORDER = frozenset({Subject.TICK, Subject.ORDER_BOOK, Subject.LIQUIDATION})
_CRITICAL = 2


@dataclass(frozen=True)
class Batch:
    """Rows that were judged and stored."""

    kind: RowKind
    origin: Origin
    rows: Distinct
    flags: Flags
    written: Written


async def load(session: AsyncSession, subject: Subject, origin: Origin, symbols: Sequence[str]) -> Known:
    """Return what is known of the series of live rows, whose symbols are locked; of a simulation's nothing is."""
    return {} if origin.scope else await store.known_series(session, origin.source, subject, symbols)


def leads(known: Known) -> dict[str, float]:
    """Return by how many seconds the clocks of sources are ahead of ours, by symbol, where they are."""
    return {name.symbol: -state.skew for name, state in known.items() if state.skew is not None and state.skew < 0}


async def note(session: AsyncSession, batch: Batch, known: Known) -> None:
    """Note what live rows say of their series."""
    if batch.origin.scope or not len(batch.written.changed):
        return
    found = await asyncio.to_thread(_arrived, batch, known)
    states = {name: after(known.get(name), arrived) for name, arrived in found.items()}
    await store.put_series(session, {name: state for name, state in states.items() if state != known.get(name)})


async def note_states(
    session: AsyncSession, origin: Origin, newest: Mapping[str, datetime], counts: Mapping[str, int], known: Known
) -> None:
    """Note what live market states say of their series: the newest usable ones that are new, and how many they are."""
    if origin.scope or not newest:
        return
    found = {}
    for symbol, moment in newest.items():
        name = SeriesName(origin.source, symbol, Subject.MARKET_STATE)
        found[name] = after(known.get(name), Arrived(moment, origin.ts_init, rows=counts[symbol]))
    await store.put_series(session, {name: state for name, state in found.items() if state != known.get(name)})


def newest_of(kind: RowKind, origin: Origin, rows: Distinct) -> list[tuple[str, Arrived]]:
    """Return of each series of a batch its symbol and its newest row, whatever its verdict."""
    ts, found = observed_at(rows.table), []
    for each in rows.series():
        first = _first(rows, each)
        arrived = Arrived(from_micros(int(ts[each].max())), origin.ts_init, _period(kind.subject, first))
        found.append((first["symbol"], arrived))
    return found


def past_symbols(origin: Origin, newest: Iterable[tuple[str, Arrived]], known: Known, rules: Rules) -> frozenset[str]:
    """Return the symbols of which a batch has history alone, and that nobody feeds live; a simulation has none.

    Old rows of a series that is fed are what its source has to say of now.
    """
    if origin.scope:
        return frozenset()
    past: set[str] = set()
    live = {name.symbol for name, state in known.items() if _is_fed(rules, name.symbol, state, origin)}
    for symbol, arrived in newest:
        (past if arrived.is_past else live).add(symbol)
    return frozenset(past - live)


def _is_fed(rules: Rules, symbol: str, state: SeriesState, origin: Origin) -> bool:
    return is_fed(state, rules.calendar(symbol) or calendar_of(ALWAYS_OPEN), origin.ts_init)


def _arrived(batch: Batch, known: Known) -> dict[SeriesName, Arrived]:
    """Return what came of each series that has usable rows which are new, or say something else."""
    ts = observed_at(batch.rows.table)
    changed, repeats = batch.written.changed, batch.rows.repeats
    usable = changed[batch.flags.severities[changed] < _CRITICAL]
    found = {}
    for rows in batch.rows.series():
        places = _within(usable, rows)
        if not len(places):
            continue
        first = _first(batch.rows, rows)
        name = SeriesName(batch.origin.source, first["symbol"], batch.kind.subject, first.get("interval") or "")
        arrived = Arrived(
            from_micros(int(ts[places].max())),
            batch.origin.ts_init,
            _period(batch.kind.subject, first),
            rows=rows.stop - rows.start,
            repeats=len(_within(repeats, rows)),
        )
        found[name] = _with_late(batch, arrived, known.get(name), ts, _within(batch.written.new, rows))
    return found


def _with_late(batch: Batch, arrived: Arrived, known: SeriesState | None, ts: Longs, new: Longs) -> Arrived:
    if batch.kind.subject not in _IN_ORDER or not arrived.is_live or not len(new):
        return arrived
    sent = ts[new[np.argsort(batch.rows.index[new], kind="stable")]]
    late = late_rows(sent, None if known is None else to_micros(known.last_ts))
    return Arrived(arrived.newest, arrived.received, arrived.period, arrived.rows, arrived.repeats, late)


def _first(rows: Distinct, series: slice) -> dict[str, Any]:
    """Return what the rows of a series have in common."""
    names = {"symbol", "interval", "interval_hours"} & set(rows.table.column_names)
    return {name: rows.table[name][series.start].as_py() for name in names}


def _period(subject: Subject, first: Mapping[str, Any]) -> float:
    if subject is Subject.BAR:
        return INTERVAL_LENGTH[first["interval"]].total_seconds()
    if subject is Subject.FUNDING_RATE:
        return float(first.get("interval_hours") or _DEFAULT_FUNDING_HOURS) * _HOUR
    return 0.0


def _within(places: Longs, rows: slice) -> Longs:
    start, stop = np.searchsorted(places, [rows.start, rows.stop])
    found: Longs = places[start:stop]
    return found
