"""The latest mark of symbols, worked out of the rows themselves."""

from collections.abc import Sequence
from typing import Any, Final

from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata.core.finding import SEVERITIES
from services.marketdata.store.put import driver
from shared.schemas.marketdata import INTERVAL_LENGTH

_LENGTHS: Final = ", ".join(
    f"('{name}', interval '{length.total_seconds():.0f} seconds')" for name, length in INTERVAL_LENGTH.items()
)
# Of each kind the newest row that makes a mark, whatever its verdict: a critical one says not to trust any, unless it
# is of the future. A bar counts from its end on. A critical state without a price has the last one that was known.
_LATEST: Final = f"""
SELECT DISTINCT ON (wanted.symbol) wanted.symbol, newest.price, newest.ts_event, newest.source, newest.severity
FROM unnest(%(symbols)s::text[]) AS wanted(symbol)
CROSS JOIN LATERAL (
    SELECT bar.* FROM (VALUES {_LENGTHS}) AS width(name, length)
    CROSS JOIN LATERAL (
        SELECT close AS price, least(ts + width.length, '9999-12-31 23:59:59Z'::timestamptz) AS ts_event, source,
            severity
        FROM marketdata.ohlcv_bar
        WHERE scope = %(scope)s AND symbol = wanted.symbol AND "interval" = width.name AND close > 0
            AND (severity < 2 OR ts + width.length <= ts_init OR scope <> '')
        ORDER BY ts DESC LIMIT 1
    ) AS bar
    UNION ALL (
        SELECT price, ts, source, severity FROM marketdata.trade_tick
        WHERE scope = %(scope)s AND symbol = wanted.symbol AND price > 0
            AND (severity < 2 OR ts <= ts_init OR scope <> '')
        ORDER BY ts DESC LIMIT 1
    )
    UNION ALL (
        SELECT round(((bids->0->>0)::numeric + (asks->0->>0)::numeric) / 2, 10), ts, source, severity
        FROM marketdata.order_book_snapshot
        WHERE scope = %(scope)s AND symbol = wanted.symbol
            AND (bids->0->>0)::numeric + (asks->0->>0)::numeric > 0
            AND (severity < 2 OR ts <= ts_init OR scope <> '')
        ORDER BY ts DESC LIMIT 1
    )
    UNION ALL (
        SELECT coalesce(nullif(greatest(spot_price, 0), 0), (
                SELECT spot_price FROM marketdata.market_state AS known
                WHERE known.scope = %(scope)s AND known.symbol = wanted.symbol AND known.ts < state.ts
                    AND known.spot_price > 0
                ORDER BY known.ts DESC LIMIT 1
            )), ts, source, severity
        FROM marketdata.market_state AS state
        WHERE scope = %(scope)s AND symbol = wanted.symbol AND (spot_price > 0 OR severity = 2)
            AND (timestamp IS NOT NULL OR scope = '') AND (severity < 2 OR ts <= ts_init OR scope <> '')
        ORDER BY ts DESC LIMIT 1
    )
) AS newest
WHERE newest.price > 0
ORDER BY wanted.symbol, newest.ts_event DESC, newest.severity DESC
"""


async def latest_marks(session: AsyncSession, scope: str, symbols: Sequence[str]) -> list[dict[str, Any]]:
    """Return the newest mark of each symbol that has one: symbol, price, ts_event, source, severity."""
    connection = await driver(session)
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_LATEST, {"scope": scope, "symbols": list(symbols)})
        found = await cursor.fetchall()
    return [{**row, "severity": SEVERITIES[row["severity"]]} for row in found]
