"""What judging rows needs to know of those before them."""

from collections.abc import Mapping
from datetime import datetime

import numpy as np
import numpy.typing as npt
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, TEXT, TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata.core.bars import BarsBefore
from services.marketdata.core.calendars import to_micros
from services.marketdata.core.outliers import WINDOW
from services.marketdata.store.origin import Origin

# An outlier is among what the next value is held against: a new level is confirmed by its second value, whether both
# come in one batch or each by itself.
_OF_A_LEVEL = """
    (severity < 2 OR NOT jsonb_path_exists(issues, '$[*] ? (@.severity == "critical" && @.code != "price_outlier")'))
"""
_BEFORE = text(f"""
    SELECT k.symbol, k.interval, b.closes, b.volumes, b.ranges, b.last
    FROM unnest(:symbols, :intervals, :tss) AS k(symbol, interval, ts)
    CROSS JOIN LATERAL (
        SELECT array_agg(close::float8 ORDER BY ts) AS closes, array_agg(volume::float8 ORDER BY ts) AS volumes,
               array_agg((high - low)::float8 ORDER BY ts) AS ranges, max(ts) AS last FROM (
            SELECT ts, high, low, close, volume FROM marketdata.ohlcv_bar
            WHERE scope = :scope AND symbol = k.symbol AND "interval" = k.interval AND ts < k.ts AND source = :source
                AND {_OF_A_LEVEL}
            ORDER BY ts DESC LIMIT {WINDOW}
        ) AS newest
    ) AS b
    WHERE b.closes IS NOT NULL
""").bindparams(
    bindparam("symbols", type_=ARRAY(TEXT)),
    bindparam("intervals", type_=ARRAY(TEXT)),
    bindparam("tss", type_=ARRAY(TIMESTAMP(timezone=True))),
)


async def bars_before(
    session: AsyncSession, origin: Origin, firsts: Mapping[tuple[str, str], datetime]
) -> dict[tuple[str, str], BarsBefore]:
    """Return the bars that judge others before each symbol's and interval's first of a batch, where there are any."""
    values = {
        "scope": origin.scope,
        "source": origin.source,
        "symbols": [symbol for symbol, _ in firsts],
        "intervals": [interval for _, interval in firsts],
        "tss": list(firsts.values()),
    }
    rows = await session.execute(_BEFORE, values)
    return {
        (symbol, interval): BarsBefore(np.array(closes), np.array(volumes), np.array(ranges), to_micros(last))
        for symbol, interval, closes, volumes, ranges, last in rows
    }


_PRICES = text(f"""
    SELECT k.symbol, b.prices FROM unnest(:symbols, :tss) AS k(symbol, ts) CROSS JOIN LATERAL (
        SELECT array_agg(price::float8 ORDER BY ts, trade_id) AS prices FROM (
            SELECT ts, trade_id, price FROM marketdata.trade_tick
            WHERE scope = :scope AND symbol = k.symbol AND ts < k.ts AND source = :source AND {_OF_A_LEVEL}
            ORDER BY ts DESC, trade_id DESC LIMIT {WINDOW}
        ) AS newest
    ) AS b
    WHERE b.prices IS NOT NULL
""").bindparams(bindparam("symbols", type_=ARRAY(TEXT)), bindparam("tss", type_=ARRAY(TIMESTAMP(timezone=True))))


async def prices_before(
    session: AsyncSession, origin: Origin, firsts: Mapping[str, datetime]
) -> dict[str, npt.NDArray[np.float64]]:
    """Return the prices that judge others before each symbol's first of a batch, where there are any."""
    values = {
        "scope": origin.scope,
        "source": origin.source,
        "symbols": list(firsts),
        "tss": list(firsts.values()),
    }
    return {symbol: np.array(prices) for symbol, prices in await session.execute(_PRICES, values)}
