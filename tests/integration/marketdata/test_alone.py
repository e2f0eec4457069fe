"""Of several processes one does a work, and another one once that one cannot; whoever fails begins again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest

from services.marketdata.alone import Alone, key_of
from shared.database import Database
from shared.tasks import stop
from tests.harness import plain
from tests.integration.marketdata.feeds.sources import until

pytestmark = pytest.mark.integration


class Process:
    """One process that would do the work."""

    def __init__(self, url: str, fails: int = 0) -> None:
        self.database = Database(url, application_name="test", pool_size=2)
        self.began, self.working, self._fails = 0, False, fails
        self.alone = Alone(self.database, "test", self._work)

    async def _work(self) -> None:
        self.began += 1
        if self.began <= self._fails:
            raise LookupError("it does not work")
        self.working = True
        try:
            await asyncio.Event().wait()
        finally:
            self.working = False


@asynccontextmanager
async def running(url: str, fails: int = 0) -> AsyncIterator[Process]:
    process = Process(url, fails)
    task = asyncio.create_task(process.alone.run())
    try:
        yield process
    finally:
        await stop(task) if not task.done() else None
        await process.database.dispose()


async def test_one_works_at_a_time_and_the_next_takes_over(database_url: str) -> None:
    async with running(database_url) as first:
        await until(lambda: first.working)
        async with running(database_url) as second:
            await asyncio.sleep(2.5)
            assert not second.working
            cut = (
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND granted"
            )
            with psycopg.connect(plain(database_url), autocommit=True) as connection:
                assert connection.execute(cut, (key_of("test"),)).fetchall() == [(True,)]
            await until(lambda: first.working != second.working and first.began + second.began == 2, 20)
            await until(lambda: first.alone.holds != second.alone.holds)


async def test_work_that_fails_is_begun_again_and_its_lock_is_let_go(database_url: str) -> None:
    async with running(database_url, fails=2) as failing:
        # Others use its connections meanwhile: the lock must not stay with one of them.
        async with failing.database.session():
            await until(lambda: failing.began == 3, 20)
        assert failing.working
    async with running(database_url) as following:
        await until(lambda: following.working)
