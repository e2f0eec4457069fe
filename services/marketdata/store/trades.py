"""What is known of trades that came before, by the venue's ids."""

from datetime import datetime

import pyarrow as pa
from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, TEXT, TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata.store.origin import Origin

# What a venue sends again after a reconnect, or lists as its latest trades. They are looked through by the key there
# is: an index by id would be one more entry for every trade, and none could be unique without the time of partitions.
_MOST, _FEWEST = 1_000, 50
# Of all symbols of a batch together.
_AT_ONCE = 20_000
_KNOWN = text("""
    SELECT k.symbol, known.trade_id, known.ts
    FROM unnest(:symbols, :lasts) AS k(symbol, last) CROSS JOIN LATERAL (
        (
            SELECT trade_id, ts, severity FROM marketdata.trade_tick
            WHERE scope = :scope AND symbol = k.symbol AND ts <= k.last AND ts >= k.last - INTERVAL '1 day'
                AND source = :source
            ORDER BY ts DESC LIMIT :most
        )
        UNION ALL (
            SELECT trade_id, ts, severity FROM marketdata.trade_tick
            WHERE scope = :scope AND symbol = k.symbol AND ts > k.last AND ts <= k.last + INTERVAL '12 hours'
                AND source = :source
            ORDER BY ts LIMIT :most
        )
    ) AS known
    -- Not a join: how many ids were sent is known too badly to choose a good one; this looks them up by their hash.
    WHERE known.severity < 2 AND (known.trade_id IN (SELECT unnest(:ids))) IS TRUE
""").bindparams(
    *(bindparam(name, type_=ARRAY(TEXT)) for name in ("symbols", "ids")),
    bindparam("lasts", type_=ARRAY(TIMESTAMP(timezone=True))),
)


async def known_trades(session: AsyncSession, origin: Origin, rows: pa.Table) -> dict[str, dict[str, datetime]]:
    """Return when trades were whose ids a batch has, by symbol and id, of each symbol's next to its end.

    Those that are critical count for none.
    """
    lasts = rows.group_by("symbol").aggregate([("ts", "max")])
    values = {
        "scope": origin.scope,
        "source": origin.source,
        "most": max(_FEWEST, min(_MOST, _AT_ONCE // len(lasts))),
        "symbols": lasts["symbol"].to_pylist(),
        "lasts": lasts["ts_max"].to_pylist(),
        "ids": rows["trade_id"].unique().to_pylist(),
    }
    found: dict[str, dict[str, datetime]] = {}
    for symbol, trade_id, ts in await session.execute(_KNOWN, values):
        found.setdefault(symbol, {})[trade_id] = ts
    return found
