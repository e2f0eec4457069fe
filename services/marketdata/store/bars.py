"""Bars in their newest revision."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Numeric, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY, TEXT, TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata.core.bars import Earlier
from services.marketdata.models import OhlcvBar
from services.marketdata.store.origin import Origin
from shared.journal import canonical
from shared.schemas.base import Severity
from shared.schemas.marketdata import Bar, Interval, QualityIssue, StoredBar
from shared.windows import Window, page_of

_NUMERIC = Numeric()
_TIME = TIMESTAMP(timezone=True)
BarKey = tuple[str, str, datetime]

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


async def list_bars(
    session: AsyncSession,
    scope: str,
    series: tuple[str, str],
    window: Window,
    after: tuple[datetime, str] | None,
    limit: int,
) -> list[StoredBar]:
    """Return bars of a symbol and interval from a start until before an end, oldest first."""
    symbol, interval = series
    chosen = select(OhlcvBar).where(OhlcvBar.scope == scope, OhlcvBar.symbol == symbol, OhlcvBar.interval == interval)
    query = page_of(chosen, (OhlcvBar.ts, OhlcvBar.source), window, after, limit)
    fields = StoredBar.model_fields
    return [
        StoredBar.model_validate({name: getattr(row, name) for name in fields}) for row in await session.scalars(query)
    ]


def _issues_text(issues: Sequence[QualityIssue]) -> str:
    return canonical([issue.model_dump(mode="json") for issue in issues])
