"""The figures of each symbol's feed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY, BIGINT, TEXT, TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata.models import FeedSymbol
from services.marketdata.store.origin import Origin
from shared.schemas.marketdata import FeedStatus

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
    bindparam("lasts", type_=ARRAY(TIMESTAMP(timezone=True))),
)


@dataclass(slots=True)
class FeedChange:
    """What a batch adds to the figures of a symbol's feed."""

    rows: int = 0
    warning: int = 0
    critical: int = 0
    last_ts_event: datetime | None = None


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
