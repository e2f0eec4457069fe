"""Work that one process at a time does, however many there are."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from zlib import crc32

from sqlalchemy import text

from shared.database import UNAVAILABLE, Database
from shared.logging import Category, get_trading_logger
from shared.tasks import finish, stop

_LOG = get_trading_logger("keelson.marketdata.alone", Category.SYSTEM)
_LOOK_SECONDS = 2.0
_TRY = text("SELECT pg_try_advisory_lock(:key)")


def key_of(name: str) -> int:
    """Return the number of a work's lock."""
    return crc32(f"keelson.marketdata.{name}".encode())


class Alone:
    """Runs `work` for as long as this process holds a lock of PostgreSQL, which falls with its connection."""

    def __init__(self, database: Database, name: str, work: Callable[[], Coroutine[None, None, None]]) -> None:
        self._database = database
        self._name = name
        self._key = key_of(name)
        self._work = work
        self.holds = False

    async def run(self) -> None:
        """Wait for the lock, work, and again once it is lost; for ever."""
        away = False
        while True:
            try:
                async with self._database.engine.connect() as connection:
                    await connection.execution_options(isolation_level="AUTOCOMMIT")
                    if await connection.scalar(_TRY, {"key": self._key}):
                        try:
                            await self._hold(connection.scalar)
                        finally:
                            # Given back to the pool it would go on holding the lock, and nobody could work.
                            await finish(connection.invalidate())
                away = False
            except (*UNAVAILABLE, OSError) as error:
                if not away:
                    _LOG.warning("work waits for PostgreSQL", work=self._name, reason=type(error).__name__)
                away = True
            await asyncio.sleep(_LOOK_SECONDS)

    async def _hold(self, ask: Callable[..., Awaitable[object]]) -> None:
        self.holds = True
        _LOG.info("this process does the work", work=self._name)
        task = asyncio.create_task(self._work())
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=_LOOK_SECONDS)
                # Without an answer the lock may be another's already.
                await ask(text("SELECT 1"))
        finally:
            self.holds = False
            await _end(task, self._name)


async def _end(task: asyncio.Task[None], name: str) -> None:
    try:
        await stop(task)
    except Exception:  # it is begun again
        _LOG.exception("work ended with an error", work=name)
