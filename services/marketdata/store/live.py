"""What is known of live series, and what of their rows the quality monitor looks at."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import bindparam, func, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, TEXT, TIMESTAMP
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata.core.catalogue import Subject
from services.marketdata.core.monitor.arrival import SeriesState
from services.marketdata.models import LiveSeries

_MOST_RECENT = 1_000
_TOGETHER = 1_000


@dataclass(frozen=True, slots=True, order=True)
class SeriesName:
    """A live series; `interval` is empty where its rows are no bars."""

    source: str
    symbol: str
    subject: Subject
    interval: str = ""


# The learnt skew is the monitor's to write.
_WRITTEN = tuple(field.name for field in fields(SeriesState) if field.name != "skew")
_KEY = ("source", "symbol", "subject", "interval")


async def known_series(
    session: AsyncSession, source: str, subject: Subject, symbols: Sequence[str]
) -> dict[SeriesName, SeriesState]:
    """Return what is known of the series of a source and subject."""
    row = LiveSeries
    query = select(row).where(row.source == source, row.subject == subject.value, row.symbol.in_(symbols))
    return {_name(found): _state(found) for found in await session.scalars(query)}


async def all_series(session: AsyncSession, since: datetime) -> dict[SeriesName, SeriesState]:
    """Return what is known of every series that a row came of since a moment."""
    query = select(LiveSeries).where(LiveSeries.message_at >= since)
    return {_name(found): _state(found) for found in await session.scalars(query)}


async def symbols_by_source(session: AsyncSession, since: datetime) -> dict[str, frozenset[str]]:
    """Return the symbols that each source gave rows of since a moment."""
    row = LiveSeries
    query = select(row.source, func.array_agg(row.symbol.distinct())).where(row.message_at >= since)
    return {source: frozenset(symbols) for source, symbols in await session.execute(query.group_by(row.source))}


async def put_series(session: AsyncSession, states: Mapping[SeriesName, SeriesState]) -> None:
    """Write what is known of series whose symbols are locked, in one order for everyone."""
    rows = [
        {**_key(name), **{field: getattr(state, field) for field in _WRITTEN}} for name, state in sorted(states.items())
    ]
    for start in range(0, len(rows), _TOGETHER):
        statement = upsert(LiveSeries).values(rows[start : start + _TOGETHER])
        changed = {field: statement.excluded[field] for field in _WRITTEN}
        await session.execute(statement.on_conflict_do_update(index_elements=_KEY, set_=changed))


async def set_skew(session: AsyncSession, name: SeriesName, skew: float | None) -> None:
    """Write the learnt skew of a series."""
    row = LiveSeries
    chosen = [getattr(row, field) == value for field, value in _key(name).items()]
    await session.execute(update(row).where(*chosen).values(skew=skew))


_TABLE = {
    Subject.BAR: "ohlcv_bar",
    Subject.TICK: "trade_tick",
    Subject.ORDER_BOOK: "order_book_snapshot",
    Subject.MARKET_STATE: "market_state",
    Subject.FUNDING_RATE: "funding_rate",
    Subject.LIQUIDATION: "liquidation_event",
}
_PRICE = {
    Subject.BAR: "close",
    Subject.TICK: "price",
    Subject.ORDER_BOOK: "((bids -> 0 ->> 0)::numeric + (asks -> 0 ->> 0)::numeric) / 2",
    Subject.MARKET_STATE: "spot_price",
}


def _of_series(name: SeriesName) -> tuple[str, dict[str, Any]]:
    narrowed = ' AND "interval" = :interval' if name.interval else ""
    where = f"scope = '' AND symbol = :symbol AND source = :source{narrowed}"
    return f"marketdata.{_TABLE[name.subject]} WHERE {where}", {
        "symbol": name.symbol,
        "source": name.source,
        **({"interval": name.interval} if name.interval else {}),
    }


async def last_moments(session: AsyncSession, name: SeriesName, since: datetime, limit: int) -> list[datetime]:
    """Return the times of the newest rows of a series since a moment, oldest first."""
    rows, values = _of_series(name)
    query = text(f"SELECT ts FROM {rows} AND ts >= :since ORDER BY ts DESC LIMIT :most")
    found = await session.scalars(query, {**values, "since": since, "most": limit})
    return [*reversed(found.all())]


async def delays(session: AsyncSession, name: SeriesName, since: datetime) -> list[tuple[datetime, float]]:
    """Return of the newest 1,000 rows, by batch: when it came, and the least of receive less event time in seconds."""
    rows, values = _of_series(name)
    query = text(
        f"SELECT ts_init, min(extract(epoch FROM ts_init - ts))::float8 FROM"
        f" (SELECT ts, ts_init FROM {rows} AND ts >= :since ORDER BY ts DESC LIMIT {_MOST_RECENT}) AS newest"
        " GROUP BY ts_init"
    )
    return [(moment, delay) for moment, delay in await session.execute(query, {**values, "since": since})]


async def last_prices(
    session: AsyncSession, name: SeriesName, since: datetime, until: datetime, limit: int
) -> list[tuple[datetime, Decimal]]:
    """Return the newest usable prices of a series of [since, until], oldest first; those of bars are their closes."""
    rows, values = _of_series(name)
    price = _PRICE[name.subject]
    query = text(
        f"SELECT ts, {price} FROM {rows} AND ts >= :since AND ts <= :until AND severity < 2 AND {price} > 0"
        " ORDER BY ts DESC LIMIT :most"
    )
    found = await session.execute(query, {**values, "since": since, "until": until, "most": limit})
    return [(moment, value) for moment, value in found][::-1]


async def count_rows_of(
    session: AsyncSession, name: SeriesName, slots: Sequence[datetime], length: timedelta
) -> dict[datetime, int]:
    """Return how many rows of a series each slot has, and keep the numbers."""
    rows, values = _of_series(name)
    query = text(f"""
        INSERT INTO marketdata.row_volume (source, symbol, subject, "interval", slot, rows)
        SELECT :of_source, :of_symbol, :of_subject, :of_interval, s.slot,
               (SELECT count(*) FROM {rows} AND ts >= s.slot AND ts < s.slot + CAST(:length AS interval))
        FROM unnest(:slots) AS s(slot)
        ON CONFLICT (source, symbol, subject, "interval", slot) DO UPDATE SET rows = excluded.rows
        RETURNING slot, rows
    """).bindparams(bindparam("slots", type_=ARRAY(TIMESTAMP(timezone=True))))
    key = {f"of_{field}": value for field, value in _key(name).items()}
    given = {**values, **key, "slots": list(slots), "length": length}
    return {key: value for key, value in await session.execute(query, given)}  # noqa: C416


_VOLUMES = text("""
    SELECT slot, rows FROM marketdata.row_volume
    WHERE source = :source AND symbol = :symbol AND subject = :subject AND "interval" = :interval AND slot = ANY(:slots)
""").bindparams(bindparam("slots", type_=ARRAY(TIMESTAMP(timezone=True))))


async def known_volumes(session: AsyncSession, name: SeriesName, slots: Sequence[datetime]) -> dict[datetime, int]:
    """Return how many rows the slots have that were counted."""
    found = await session.execute(_VOLUMES, {**_key(name), "slots": list(slots)})
    return {slot: rows for slot, rows in found}  # noqa: C416


async def forget_volumes(session: AsyncSession, before: datetime) -> None:
    """Remove the counts of slots before a moment."""
    await session.execute(text("DELETE FROM marketdata.row_volume WHERE slot < :before"), {"before": before})


_SEQUENCES = text("""
    SELECT k.symbol, array_agg(b.sequence ORDER BY b.ts, b.sequence)
    FROM unnest(:symbols, :tss) AS k(symbol, ts) CROSS JOIN LATERAL (
        SELECT ts, sequence FROM marketdata.order_book_snapshot
        WHERE scope = :scope AND symbol = k.symbol AND source = :source AND ts < k.ts
            AND ts >= k.ts - INTERVAL '1 day' AND sequence >= 0
        ORDER BY ts DESC, sequence DESC LIMIT 2
    ) AS b
    GROUP BY k.symbol
""").bindparams(bindparam("symbols", type_=ARRAY(TEXT)), bindparam("tss", type_=ARRAY(TIMESTAMP(timezone=True))))


async def sequences_before(
    session: AsyncSession, scope: str, source: str, firsts: Mapping[str, datetime]
) -> dict[str, list[int]]:
    """Return the last two updates before each symbol's first book of a batch, of the day before it, oldest first."""
    values = {"scope": scope, "source": source, "symbols": list(firsts), "tss": list(firsts.values())}
    return {key: value for key, value in await session.execute(_SEQUENCES, values)}  # noqa: C416


def _key(name: SeriesName) -> dict[str, str]:
    return {key: str(value) for key, value in asdict(name).items()}


def _name(row: LiveSeries) -> SeriesName:
    return SeriesName(row.source, row.symbol, Subject(row.subject), row.interval)


def _state(row: LiveSeries) -> SeriesState:
    return SeriesState(**{field.name: getattr(row, field.name) for field in fields(SeriesState)})
