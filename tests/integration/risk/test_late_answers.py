"""A statement that is given up while the process is held up, on the event loop that services run on."""

import asyncio
import subprocess
import sys
import time

import pytest
import uvloop
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from services.risk.store.journal import _in_time
from shared.database import Database

pytestmark = pytest.mark.integration


def test_a_statement_given_up_in_the_turn_it_is_looked_at_again_ends_no_process(database_url: str) -> None:
    # libuv would end the process by SIGABRT, without a word: in one of its own, as this one shall go on.
    done = subprocess.run([sys.executable, "-m", __name__, database_url], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["late"] * 3


async def _given_up(url: str) -> None:
    database = Database(url, application_name="test")
    for _ in range(3):
        async with database.engine.connect() as connection:
            # Held up for long enough: the wait for the socket and that for the answer end in the same turn.
            asyncio.get_running_loop().call_later(0.25, time.sleep, 0.6)
            try:
                await _in_time(0.5, connection.scalar(text("SELECT pg_sleep(5)")))
            except PoolTimeoutError:
                print("late")
            await connection.invalidate()
            # The turn in which libuv looks at the sockets.
            await asyncio.sleep(0.01)
    await database.dispose()


if __name__ == "__main__":
    uvloop.run(_given_up(sys.argv[1]))
