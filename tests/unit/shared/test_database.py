import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from shared import database
from shared.database import UNAVAILABLE, Database


@pytest.fixture(autouse=True)
def _no_collection() -> Iterator[None]:
    """Let nothing but its last reference end a connection: the services collect rarely."""
    gc.disable()
    yield
    gc.enable()


@asynccontextmanager
async def silent_server() -> AsyncIterator[tuple[Database, asyncio.Event, asyncio.Event]]:
    """Yield a database whose server never says a word, and what is set once somebody connects and once he is gone."""
    came, left = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.set()
        await reader.read()
        left.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"postgresql+psycopg://keelson:secret@127.0.0.1:{port}/keelson"
    async with server:
        yield Database(url, application_name="test", pool_size=1), came, left


async def test_a_task_that_is_cancelled_leaves_no_half_of_a_connection() -> None:
    async with silent_server() as (silent, came, left):
        asked = asyncio.create_task(silent.ping())
        await came.wait()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await asyncio.wait_for(left.wait(), 5)


async def test_a_server_that_is_given_up_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_CONNECT_SECONDS", 2)
    async with silent_server() as (silent, _, left):
        with pytest.raises(UNAVAILABLE):
            await silent.ping()
        await asyncio.wait_for(left.wait(), 5)
