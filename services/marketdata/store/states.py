"""Market states: what judging one needs to know of those before it, and one by its id."""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from statistics import median
from typing import Any

from psycopg.rows import dict_row
from sqlalchemy import bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata.core.catalogue import Subject
from services.marketdata.core.chain.context import EarlierState, earlier_of
from services.marketdata.core.finding import SEVERITIES
from services.marketdata.models import MarketStateRow
from services.marketdata.store.origin import Origin
from services.marketdata.store.put import driver
from services.marketdata.store.tables import TABLES

_COLUMNS = ", ".join(TABLES[Subject.MARKET_STATE].columns)
_BY_ID = (
    f"SELECT {_COLUMNS} FROM marketdata.market_state WHERE market_state_id = %(id)s "
    f"UNION ALL SELECT {_COLUMNS} FROM marketdata.market_state_revision WHERE market_state_id = %(id)s LIMIT 1"
)

# Content that has been the same on more polls than this is no worse for it.
_MOST_POLLS = 100


async def earlier_state(
    session: AsyncSession,
    origin: Origin,
    symbol: str,
    before: datetime | None,
    is_open: Callable[[datetime], bool | None],
) -> EarlierState | None:
    """Return what is known of the states of a symbol before a moment, or of all where none is given."""
    query = (
        select(MarketStateRow.spot_price, MarketStateRow.content_hash, MarketStateRow.ts, MarketStateRow.severity)
        .where(
            MarketStateRow.scope == origin.scope,
            MarketStateRow.symbol == symbol,
            MarketStateRow.source == origin.source,
        )
        .order_by(MarketStateRow.ts.desc())
        .limit(_MOST_POLLS)
    )
    if before is not None:
        query = query.where(MarketStateRow.ts < before)
    rows = await session.execute(query)
    polls = [(row.spot_price, row.content_hash, row.ts, SEVERITIES[row.severity]) for row in rows]
    return earlier_of(polls, is_open)


async def get_state(session: AsyncSession, market_state_id: str) -> dict[str, Any] | None:
    """Return a state by its id, in whatever revision."""
    connection = await driver(session)
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_BY_ID, {"id": market_state_id})
        return await cursor.fetchone()


async def time_of_state(session: AsyncSession, market_state_id: str) -> datetime | None:
    """Return the time that a known state is kept at, None of one that is not known."""
    row = MarketStateRow
    found: datetime | None = await session.scalar(select(row.ts).where(row.market_state_id == market_state_id).limit(1))
    return found


_SPOTS = text("""
    SELECT d.day_end, s.spot_price FROM unnest(:starts, :ends) AS d(day_start, day_end) CROSS JOIN LATERAL (
        SELECT spot_price FROM marketdata.market_state
        WHERE scope = :scope AND symbol = :symbol AND source = :source AND ts >= d.day_start AND ts < d.day_end
            AND severity < 2 AND spot_price > 0
        ORDER BY ts DESC LIMIT 1
    ) AS s ORDER BY d.day_end
""").bindparams(*(bindparam(name, type_=ARRAY(TIMESTAMP(timezone=True))) for name in ("starts", "ends")))


async def session_spots(
    session: AsyncSession, origin: Origin, symbol: str, sessions: Sequence[tuple[datetime, datetime]]
) -> list[tuple[datetime, Decimal]]:
    """Return the last usable spot of each session that has one, with its end; sessions are [start, end), in order."""
    values = {
        "scope": origin.scope,
        "source": origin.source,
        "symbol": symbol,
        "starts": [start for start, _ in sessions],
        "ends": [end for _, end in sessions],
    }
    return [(moment, spot) for moment, spot in await session.execute(_SPOTS, values)]


_SPREADS = text("""
    SELECT relative_spread::float8 FROM marketdata.market_state
    WHERE scope = :scope AND symbol = :symbol AND source = :source AND ts >= :start AND ts < :end
        AND relative_spread IS NOT NULL
    ORDER BY ts DESC LIMIT :most
""")
_MOST_SPREADS = 1_000
_FEWEST_SPREADS = 10


async def median_spread(
    session: AsyncSession, origin: Origin, symbol: str, start: datetime, end: datetime
) -> float | None:
    """Return the median of the relative spreads of the newest 1,000 states of [start, end), None of fewer than ten."""
    values = {
        "scope": origin.scope,
        "source": origin.source,
        "symbol": symbol,
        "start": start,
        "end": end,
        "most": _MOST_SPREADS,
    }
    found = (await session.scalars(_SPREADS, values)).all()
    return median(found) if len(found) >= _FEWEST_SPREADS else None
