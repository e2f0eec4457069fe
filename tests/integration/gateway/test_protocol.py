"""Callers that send no request, and those that leave before all they asked for is answered."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from cli.supervisor.protocol import HttpProtocol
from tests.harness import QuietServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]
_GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Impatient(HttpProtocol):
    head_seconds = 0.5


class Endless:
    """Answers a little every now and then until its caller has left."""

    def __init__(self) -> None:
        self.left = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        leaving = asyncio.ensure_future(receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not leaving.done():
            await send({"type": "http.response.body", "body": b"here", "more_body": True})
            await asyncio.wait([leaving], timeout=0.1)
        assert leaving.result()["type"] == "http.disconnect"
        self.left.set()


@asynccontextmanager
async def served(app: Endless) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Serve an app and yield a connection to it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = QuietServer(
            uvicorn.Config(app, http=Impatient, lifespan="off", log_config=None, timeout_graceful_shutdown=1)
        )
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        try:
            yield reader, writer
        finally:
            writer.close()
            server.should_exit = True
            await task


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n"])
async def test_a_connection_whose_request_does_not_begin_is_closed(begun: bytes) -> None:
    async with served(Endless()) as (reader, writer):
        writer.write(begun)
        async with asyncio.timeout(5):
            with suppress(ConnectionResetError):
                assert await reader.read() == b""


async def test_a_request_that_has_begun_in_time_is_answered_for_as_long_as_it_takes() -> None:
    async with served(Endless()) as (reader, writer):
        writer.write(_GET[:10])
        await asyncio.sleep(0.2)
        writer.write(_GET[10:])
        await asyncio.sleep(0.8)
        assert (await reader.read(65536)).count(b"here") > 5


@pytest.mark.parametrize("behind", [0, 1, 2])
async def test_a_request_is_told_that_its_caller_has_left_though_others_wait_behind_it(behind: int) -> None:
    app = Endless()
    async with served(app) as (reader, writer):
        writer.write(_GET)
        await reader.readuntil(b"here")
        for _ in range(behind):
            writer.write(_GET)
            await writer.drain()
            await asyncio.sleep(0.05)
        writer.transport.abort()
        async with asyncio.timeout(5):
            await app.left.wait()
