"""All SQL of marketdata."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Numeric, bindparam, delete, func, select, text, tuple_
from sqlalchemy.dialects.postgresql import ARRAY, BIGINT, TEXT, TIMESTAMP
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata.core.bars import Earlier
from services.marketdata.core.states import EarlierState
from services.marketdata.models import FeedSymbol, MarketStateRow, OhlcvBar, Outbox
from shared.journal import canonical
from shared.schemas.base import Severity
from shared.schemas.marketdata import (
    Bar,
    FeedStatus,
    Interval,
    MarketState,
    QualityIssue,
    StoredBar,
    StoredMarketState,
)

# Any number nobody else uses on this database.
_OUTBOX_KEY = 0x6F757462
_NUMERIC = Numeric()
_TIME = TIMESTAMP(timezone=True)

_EARLIER = text("""
    SELECT k.symbol, k.interval, b.ts, b.close, b.volume
    FROM unnest(:symbols, :intervals, :tss) AS k(symbol, interval, ts)
    CROSS JOIN LATERAL (
        SELECT ts, close, volume FROM marketdata.ohlcv_bar
        WHERE scope = :scope AND source = :source AND symbol = k.symbol AND interval = k.interval AND ts < k.ts
        ORDER BY ts DESC LIMIT 1
    ) AS b
""").bindparams(
    bindparam("symbols", type_=ARRAY(TEXT)),
    bindparam("intervals", type_=ARRAY(TEXT)),
    bindparam("tss", type_=ARRAY(_TIME)),
)

_PUT_BARS = text("""
    INSERT INTO marketdata.ohlcv_bar AS known
        (scope, source, symbol, interval, ts, open, high, low, close, volume, revision, severity, issues, ts_init)
    SELECT :scope, :source, r.symbol, r.interval, r.ts, r.open, r.high, r.low, r.close, r.volume,
           1, r.severity, CAST(r.issues AS json), :ts_init
    FROM unnest(:symbols, :intervals, :tss, :opens, :highs, :lows, :closes, :volumes, :severities, :issues)
        AS r(symbol, interval, ts, open, high, low, close, volume, severity, issues)
    ON CONFLICT (scope, symbol, interval, ts, source) DO UPDATE SET
        open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
        volume = excluded.volume, revision = known.revision + 1, severity = excluded.severity,
        issues = excluded.issues, ts_init = excluded.ts_init
    WHERE (known.open, known.high, known.low, known.close, known.volume)
        IS DISTINCT FROM (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume)
    RETURNING symbol, interval, ts
""").bindparams(
    *(bindparam(name, type_=ARRAY(TEXT)) for name in ("symbols", "intervals", "severities", "issues")),
    bindparam("tss", type_=ARRAY(_TIME)),
    *(bindparam(name, type_=ARRAY(_NUMERIC)) for name in ("opens", "highs", "lows", "closes", "volumes")),
)

_COUNT_FEED = text("""
    INSERT INTO marketdata.feed_symbol AS known
        (scope, source, symbol, rows, warning, critical, last_ts_event, last_ts_init)
    SELECT :scope, :source, r.symbol, r.rows, r.warning, r.critical, r.last, :ts_init
    FROM unnest(:symbols, :rows, :warnings, :criticals, :lasts) AS r(symbol, rows, warning, critical, last)
    ON CONFLICT (scope, source, symbol) DO UPDATE SET
        rows = known.rows + excluded.rows, warning = known.warning + excluded.warning,
        critical = known.critical + excluded.critical,
        last_ts_event = greatest(known.last_ts_event, excluded.last_ts_event), last_ts_init = excluded.last_ts_init
""").bindparams(
    bindparam("symbols", type_=ARRAY(TEXT)),
    *(bindparam(name, type_=ARRAY(BIGINT)) for name in ("rows", "warnings", "criticals")),
    bindparam("lasts", type_=ARRAY(_TIME)),
)

_PUT_MARKS = text("""
    INSERT INTO marketdata.outbox (message)
    SELECT r.message FROM unnest(:messages) WITH ORDINALITY AS r(message, position) ORDER BY r.position
""").bindparams(bindparam("messages", type_=ARRAY(TEXT)))

BarKey = tuple[str, str, datetime]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where rows come from and when they came."""

    scope: str
    source: str
    ts_init: datetime


@dataclass(slots=True)
class FeedChange:
    """What a batch adds to the figures of a symbol's feed."""

    rows: int = 0
    warning: int = 0
    critical: int = 0
    last_ts_event: datetime | None = None


async def earlier_bars(
    session: AsyncSession, origin: Origin, firsts: Mapping[tuple[str, Interval], datetime]
) -> dict[tuple[str, str], Earlier]:
    """Return the newest bar before each symbol's and interval's first of a batch, where there is one."""
    keys = list(firsts)
    values = {
        "scope": origin.scope,
        "source": origin.source,
        "symbols": [symbol for symbol, _ in keys],
        "intervals": [interval for _, interval in keys],
        "tss": list(firsts.values()),
    }
    rows = await session.execute(_EARLIER, values)
    return {(symbol, interval): Earlier(ts, close, volume) for symbol, interval, ts, close, volume in rows}


async def put_bars(
    session: AsyncSession, origin: Origin, rows: Sequence[tuple[Bar, Severity, list[QualityIssue]]]
) -> set[BarKey]:
    """Store bars, in the order of their keys; return the keys of those that are new or changed."""
    values = {
        "scope": origin.scope,
        "source": origin.source,
        "ts_init": origin.ts_init,
        "symbols": [bar.symbol for bar, _, _ in rows],
        "intervals": [bar.interval for bar, _, _ in rows],
        "tss": [bar.ts for bar, _, _ in rows],
        "opens": [bar.open for bar, _, _ in rows],
        "highs": [bar.high for bar, _, _ in rows],
        "lows": [bar.low for bar, _, _ in rows],
        "closes": [bar.close for bar, _, _ in rows],
        "volumes": [bar.volume for bar, _, _ in rows],
        "severities": [severity.value for _, severity, _ in rows],
        "issues": [_issues_text(issues) for _, _, issues in rows],
    }
    return {(symbol, interval, ts) for symbol, interval, ts in await session.execute(_PUT_BARS, values)}


async def earlier_state(
    session: AsyncSession, origin: Origin, symbol: str, before: datetime | None
) -> EarlierState | None:
    """Return the newest state of a symbol before a moment, or of all where none is given."""
    query = (
        select(MarketStateRow.spot_price, MarketStateRow.content_hash)
        .where(
            MarketStateRow.scope == origin.scope,
            MarketStateRow.symbol == symbol,
            MarketStateRow.source == origin.source,
            MarketStateRow.ts.is_not(None),
        )
        .order_by(MarketStateRow.ts.desc())
        .limit(1)
    )
    if before is not None:
        query = query.where(MarketStateRow.ts < before)
    row = (await session.execute(query)).first()
    return EarlierState(row.spot_price, row.content_hash) if row else None


async def put_state(
    session: AsyncSession,
    origin: Origin,
    market_state_id: str,
    state: MarketState,
    content: str,
    verdict: tuple[Severity, list[QualityIssue]],
) -> bool:
    """Store a state; return whether it is new."""
    severity, issues = verdict
    row: dict[str, Any] = {
        "market_state_id": market_state_id,
        "scope": origin.scope,
        "source": origin.source,
        "symbol": state.symbol,
        "ts": state.timestamp,
        "spot_price": state.spot_price,
        "total_call_oi": state.total_call_oi,
        "total_put_oi": state.total_put_oi,
        "option_chain": None
        if state.option_chain is None
        else [quote.model_dump(mode="json", exclude_none=True) for quote in state.option_chain],
        "content_hash": content,
        "severity": severity.value,
        "issues": [issue.model_dump(mode="json") for issue in issues],
        "ts_init": origin.ts_init,
    }
    statement = upsert(MarketStateRow).values(row).on_conflict_do_nothing().returning(MarketStateRow.market_state_id)
    return await session.scalar(statement) is not None


async def count_feed(session: AsyncSession, origin: Origin, changes: Mapping[str, FeedChange]) -> None:
    """Add a batch to the figures of its feed."""
    ordered = sorted(changes.items())
    values = {
        "scope": origin.scope,
        "source": origin.source,
        "ts_init": origin.ts_init,
        "symbols": [symbol for symbol, _ in ordered],
        "rows": [change.rows for _, change in ordered],
        "warnings": [change.warning for _, change in ordered],
        "criticals": [change.critical for _, change in ordered],
        "lasts": [change.last_ts_event for _, change in ordered],
    }
    await session.execute(_COUNT_FEED, values)


async def put_marks(session: AsyncSession, messages: Sequence[str]) -> None:
    """Queue marks to be published, in this order."""
    await session.execute(_PUT_MARKS, {"messages": list(messages)})


async def take_marks(session: AsyncSession, limit: int) -> list[tuple[int, str]]:
    """Return the oldest queued marks, kept from other processes until the transaction ends."""
    await session.execute(select(func.pg_advisory_xact_lock(_OUTBOX_KEY)))
    query = select(Outbox.outbox_id, Outbox.message).order_by(Outbox.outbox_id).limit(limit)
    return [(outbox_id, message) for outbox_id, message in await session.execute(query)]


async def remove_marks(session: AsyncSession, ids: Sequence[int]) -> None:
    """Remove marks that were published."""
    await session.execute(delete(Outbox).where(Outbox.outbox_id.in_(ids)))


async def list_bars(
    session: AsyncSession,
    scope: str,
    series: tuple[str, str],
    window: tuple[datetime | None, datetime | None],
    after: tuple[datetime, str] | None,
    limit: int,
) -> list[StoredBar]:
    """Return bars of a symbol and interval from a start until before an end, oldest first."""
    symbol, interval = series
    start, end = window
    query = (
        select(OhlcvBar)
        .where(OhlcvBar.scope == scope, OhlcvBar.symbol == symbol, OhlcvBar.interval == interval)
        .order_by(OhlcvBar.ts, OhlcvBar.source)
        .limit(limit)
    )
    if start is not None:
        query = query.where(OhlcvBar.ts >= start)
    if end is not None:
        query = query.where(OhlcvBar.ts < end)
    if after is not None:
        query = query.where(tuple_(OhlcvBar.ts, OhlcvBar.source) > tuple_(*after))
    fields = StoredBar.model_fields
    return [
        StoredBar.model_validate({name: getattr(row, name) for name in fields}) for row in await session.scalars(query)
    ]


async def list_states(
    session: AsyncSession,
    scope: str,
    symbol: str,
    window: tuple[datetime | None, datetime | None],
    after: tuple[datetime, str] | None,
    limit: int,
) -> list[StoredMarketState]:
    """Return states of a symbol from a start until before an end, oldest first; those without a time are left out."""
    start, end = window
    query = (
        select(MarketStateRow)
        .where(MarketStateRow.scope == scope, MarketStateRow.symbol == symbol, MarketStateRow.ts.is_not(None))
        .order_by(MarketStateRow.ts, MarketStateRow.market_state_id)
        .limit(limit)
    )
    if start is not None:
        query = query.where(MarketStateRow.ts >= start)
    if end is not None:
        query = query.where(MarketStateRow.ts < end)
    if after is not None:
        query = query.where(tuple_(MarketStateRow.ts, MarketStateRow.market_state_id) > tuple_(*after))
    return [_stored_state(row) for row in await session.scalars(query)]


async def get_state(session: AsyncSession, market_state_id: str) -> StoredMarketState | None:
    """Return a state by its id."""
    row = await session.get(MarketStateRow, market_state_id)
    return _stored_state(row) if row else None


async def current_state(session: AsyncSession, scope: str, symbol: str) -> StoredMarketState | None:
    """Return the newest state that is not critical."""
    query = (
        select(MarketStateRow)
        .where(
            MarketStateRow.scope == scope,
            MarketStateRow.symbol == symbol,
            MarketStateRow.severity != Severity.CRITICAL.value,
        )
        .order_by(MarketStateRow.ts.desc())
        .limit(1)
    )
    row = await session.scalar(query)
    return _stored_state(row) if row else None


async def list_feeds(session: AsyncSession, scope: str | None, after: str, limit: int) -> list[FeedStatus]:
    """Return the figures of each source, of one scope or of all."""
    query = (
        select(
            FeedSymbol.source,
            func.count(FeedSymbol.symbol.distinct()).label("symbols"),
            func.sum(FeedSymbol.rows).label("rows"),
            func.sum(FeedSymbol.critical).label("critical"),
            func.sum(FeedSymbol.warning).label("warning"),
            func.max(FeedSymbol.last_ts_event).label("last_ts_event"),
            func.max(FeedSymbol.last_ts_init).label("last_ts_init"),
        )
        .where(FeedSymbol.source > after)
        .group_by(FeedSymbol.source)
        .order_by(FeedSymbol.source)
        .limit(limit)
    )
    if scope is not None:
        query = query.where(FeedSymbol.scope == scope)
    return [FeedStatus.model_validate(dict(row._mapping)) for row in await session.execute(query)]


def _issues_text(issues: Sequence[QualityIssue]) -> str:
    return canonical([issue.model_dump(mode="json") for issue in issues])


def _stored_state(row: MarketStateRow) -> StoredMarketState:
    values = {name: getattr(row, name) for name in StoredMarketState.model_fields if hasattr(row, name)}
    return StoredMarketState.model_validate({**values, "timestamp": row.ts, "simulation_id": row.scope or None})
