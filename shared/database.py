"""The connection to PostgreSQL: sessions that commit before the answer goes out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Self, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from psycopg.waiting import wait_async
from sqlalchemy import DateTime, MetaData, Numeric, text
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from shared.money import DECIMAL_PLACES, MAX_DIGITS

MONEY = Numeric(MAX_DIGITS, DECIMAL_PLACES)
TIMESTAMP = DateTime(timezone=True)

# What SQLAlchemy raises when PostgreSQL is away, restarting, or the pool is exhausted; what psycopg does by itself.
UNAVAILABLE = (
    OperationalError,
    InterfaceError,
    PoolTimeoutError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
)

# A caller waits for a statement, and the front for 35 s: a server that hangs must be given up well before that.
_CONNECT_SECONDS = 3
_STATEMENT_SECONDS = 8
# The server ends a statement by itself; one that has not said a word so long after that hangs.
_GRACE = timedelta(seconds=2)
_PATIENCE = timedelta(seconds=_STATEMENT_SECONDS) + _GRACE
R = TypeVar("R")

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


class _Connection(psycopg.AsyncConnection[Any]):
    """A connection that is cut where its server falls silent or its task is cancelled.

    Psycopg by itself waits for ever for the one, and for the other asks the server first, up to ten seconds.
    """

    patience = _PATIENCE

    @classmethod
    async def connect(cls, *args: Any, **kwargs: Any) -> Self:
        """Return a connection. Raises psycopg's errors."""
        try:
            return await super().connect(*args, **kwargs)
        except (asyncio.CancelledError, psycopg.Error) as error:
            # Its frames hold the half of a connection, which would stay open as long as anything refers to them.
            raise error.with_traceback(None)  # noqa: B904 - the same error

    # The parameters are psycopg's.
    async def wait(self, gen: PQGen[R], interval: float = 0.1, timeout: float | None = None) -> R:  # noqa: ASYNC109
        """Return what the server answers. Raises OperationalError where it does not."""
        try:
            async with asyncio.timeout(self.patience.total_seconds()):
                return await wait_async(gen, self.pgconn.socket, interval=interval, timeout=timeout)
        except TimeoutError:
            self.pgconn.finish()
            waited = self.patience.total_seconds()
            raise psycopg.OperationalError(f"the server has been silent for {waited:g} s") from None
        except asyncio.CancelledError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                # In the middle of a statement it is of no more use to anybody.
                self.pgconn.finish()
            raise


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
                "async_creator_fn": _Connection.connect,
                "application_name": f"keelson-{application_name}",
                "connect_timeout": _CONNECT_SECONDS,
                # A commit that was confirmed is durable, whatever the server's default. Compiling a statement, as
                # servers with LLVM do where they think it dear, takes half a second; statements here take milliseconds.
                "options": f"-c timezone=UTC -c synchronous_commit=on -c statement_timeout={_STATEMENT_SECONDS}s"
                " -c idle_in_transaction_session_timeout=60s -c jit=off",
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

    @asynccontextmanager
    async def autocommit(self, longest: timedelta) -> AsyncIterator[AsyncConnection]:
        """Yield a connection without transactions, for what none may hold; a statement of it takes at most so long."""
        async with self.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(text(f"SET statement_timeout = {int(longest.total_seconds() * 1000)}"))
            driver: Any = (await connection.get_raw_connection()).driver_connection
            driver.patience = longest + _GRACE
            try:
                yield connection
            except BaseException:
                # Whatever state it is in, nobody else shall have it.
                await connection.invalidate()
                raise
            await connection.execute(text("RESET statement_timeout"))
            driver.patience = _PATIENCE

    async def ping(self) -> None:
        """Ask for one row. Raises one of UNAVAILABLE."""
        async with self.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def dispose(self) -> None:
        """Close every connection."""
        await self.engine.dispose()
