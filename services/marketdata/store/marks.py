"""The latest mark of symbols, worked out of the rows themselves."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata.core.finding import SEVERITIES
from services.marketdata.store.put import driver
from shared.schemas.marketdata import INTERVAL_LENGTH

_LENGTHS: Final = ", ".join(
    f"('{name}', interval '{length.total_seconds():.0f} seconds')" for name, length in INTERVAL_LENGTH.items()
)
_OF: Final = "scope = %(scope)s AND symbol = wanted.symbol"
_MID: Final = "((bids->0->>0)::numeric + (asks->0->>0)::numeric)"


def _newest(rows: str, price: str, *, early: bool, lasting: str = "interval '0'") -> str:
    """Return the query of the row that counts from the latest moment on, of the early ones or of all others.

    `core.live.counting` is the same rule: a critical live row of the future is early, and counts from its receipt on.
    """
    end = f"least(ts + {lasting}, '9999-12-31 23:59:59Z'::timestamptz)"
    is_early = f"(severity = 2 AND scope = '' AND {end} > ts_init)"
    if early:
        return f"""
            SELECT {price} AS price, ts_init AS ts_event, source, severity FROM {rows} AND {is_early}
                AND ts > %(since)s::timestamptz - {lasting}
            ORDER BY ts_init DESC, ts DESC LIMIT 1
        """
    return f"""
        SELECT {price} AS price, {end} AS ts_event, source, severity FROM {rows} AND NOT {is_early}
        ORDER BY ts DESC LIMIT 1
    """


def _latest(*, early: bool) -> str:
    """Return the query of each symbol's newest row that makes a mark, of every kind and whatever its verdict."""
    bar = _newest(
        f'marketdata.ohlcv_bar WHERE {_OF} AND "interval" = width.name AND close > 0',
        "close",
        early=early,
        lasting="width.length",
    )
    tick = _newest(f"marketdata.trade_tick WHERE {_OF} AND price > 0", "price", early=early)
    book = _newest(f"marketdata.order_book_snapshot WHERE {_OF} AND {_MID} > 0", f"round({_MID} / 2, 10)", early=early)
    # A critical state without a price has the last one that was known.
    state = _newest(
        f"marketdata.market_state AS state WHERE {_OF} AND (spot_price > 0 OR severity = 2)"
        " AND (timestamp IS NOT NULL OR scope = '')",
        """coalesce(nullif(greatest(spot_price, 0), 0), (
            SELECT spot_price FROM marketdata.market_state AS known
            WHERE known.scope = %(scope)s AND known.symbol = wanted.symbol AND known.ts < state.ts
                AND known.spot_price > 0
            ORDER BY known.ts DESC LIMIT 1
        ))""",
        early=early,
    )
    return f"""
        SELECT DISTINCT ON (wanted.symbol) wanted.symbol, newest.price, newest.ts_event, newest.source, newest.severity
        FROM unnest(%(symbols)s::text[]) AS wanted(symbol)
        CROSS JOIN LATERAL (
            SELECT bar.* FROM (VALUES {_LENGTHS}) AS width(name, length) CROSS JOIN LATERAL ({bar}) AS bar
            UNION ALL ({tick}) UNION ALL ({book}) UNION ALL ({state})
        ) AS newest
        WHERE newest.price > 0
        ORDER BY wanted.symbol, newest.ts_event DESC, newest.severity DESC
    """


_EARLY: Final = _latest(early=True)
_OTHERS: Final = _latest(early=False)


async def latest_marks(session: AsyncSession, scope: str, symbols: Sequence[str]) -> list[dict[str, Any]]:
    """Return the newest mark of each symbol that has one: symbol, price, ts_event, source, severity."""
    connection = await driver(session)
    asked = {"scope": scope, "symbols": list(symbols)}
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_OTHERS, asked)
        found = {row["symbol"]: row for row in await cursor.fetchall()}
        if not scope:
            # What is no later counts for nothing any more; said beforehand, it leaves most chunks out of the plan.
            since = "-infinity" if len(found) < len(set(symbols)) else min(row["ts_event"] for row in found.values())
            await cursor.execute(_EARLY, {**asked, "since": since}, prepare=False)
            for row in await cursor.fetchall():
                known = found.get(row["symbol"])
                if known is None or _order(row) > _order(known):
                    found[row["symbol"]] = row
    return [{**row, "severity": SEVERITIES[row["severity"]]} for _, row in sorted(found.items())]


def _order(row: dict[str, Any]) -> tuple[datetime, int]:
    return row["ts_event"], row["severity"]
