"""What the tables were made as, which stays: a licence or an extension that came later changes none of them."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.timescale import RUNG, Rung, rung_of

# The roll-ups are views of a table of ours, unless they are continuous aggregates.
_MADE = text("""
    SELECT CASE WHEN relkind = 'p' THEN 'postgresql'
                WHEN EXISTS (
                    SELECT FROM pg_depend AS d JOIN pg_rewrite AS r ON r.oid = d.objid
                    WHERE d.classid = 'pg_rewrite'::regclass AND d.refobjid = to_regclass('marketdata.bar_roll_up')
                        AND r.ev_class = to_regclass('marketdata.ohlcv_5m')
                ) THEN 'timescaledb-apache'
                ELSE 'timescaledb-community' END
    FROM pg_class WHERE oid = 'marketdata.ohlcv_bar'::regclass
""")
_VERSION = text("""
    SELECT current_setting('server_version') AS server,
           (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb') AS extension
""")


async def made_as(session: AsyncSession) -> Rung:
    """Return what the migrations made the tables as."""
    return Rung(await session.scalar(_MADE))


async def serves(session: AsyncSession) -> Rung:
    """Return what the database can do now."""
    return rung_of(await session.scalar(RUNG))


async def versions(session: AsyncSession) -> tuple[str, str | None]:
    """Return the version of PostgreSQL and of TimescaleDB, None where it is not installed."""
    server, extension = (await session.execute(_VERSION)).one()
    return server, extension
