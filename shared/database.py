"""The connection to PostgreSQL: sessions that commit before the answer goes out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import DateTime, MetaData, Numeric, text
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from shared.money import DECIMAL_PLACES, MAX_DIGITS

MONEY = Numeric(MAX_DIGITS, DECIMAL_PLACES)
TIMESTAMP = DateTime(timezone=True)

# What SQLAlchemy raises when PostgreSQL is away, restarting, or the pool is exhausted.
UNAVAILABLE = (OperationalError, InterfaceError, PoolTimeoutError)

_NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


def schema_metadata(schema: str) -> MetaData:
    """Return table metadata for one service's schema, with stable constraint names."""
    return MetaData(schema=schema, naming_convention=_NAMES)


class Database:
    """A pool of connections that finds its way back after PostgreSQL was away."""

    def __init__(self, url: str, *, application_name: str, pool_size: int = 5) -> None:
        self.engine: AsyncEngine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_timeout=5,
            # A connection that died with the server is replaced instead of failing one request each.
            pool_pre_ping=True,
            connect_args={
                "application_name": f"keelson-{application_name}",
                "connect_timeout": 3,
                # A commit that was confirmed is durable, whatever the server's default.
                "options": "-c timezone=UTC -c synchronous_commit=on -c statement_timeout=30s"
                " -c idle_in_transaction_session_timeout=60s",
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
            },
        )
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """Yield a session in a transaction: committed on success, rolled back on any error."""
        async with self._sessions() as session, session.begin():
            yield session

    async def ping(self) -> None:
        """Ask for one row. Raises one of UNAVAILABLE."""
        async with self.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def dispose(self) -> None:
        """Close every connection."""
        await self.engine.dispose()
