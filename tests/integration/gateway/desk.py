"""The front in front of two services that note what came, and a client of it."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.front import Front
from gateway.lanes import Limits
from tests.harness import QuietServer

MEGABYTES = 5 * 1024 * 1024
LIMIT = 2 * MEGABYTES
CORRELATION = "x-correlation-id"


@dataclass
class Upstream:
    """A service that notes what came and answers what its path asks for."""

    name: str
    seen: list[tuple[Scope, bytes]] = field(default_factory=list)
    asked_to_go_on: threading.Event = field(default_factory=threading.Event)
    disconnected: threading.Event = field(default_factory=threading.Event)

    def forget(self) -> None:
        self.seen.clear()
        self.asked_to_go_on.clear()
        self.disconnected.clear()

    @property
    def last(self) -> tuple[Scope, bytes]:
        return self.seen[-1]

    def header(self, name: str) -> list[str]:
        """Return every value of a header of the last request."""
        return [value.decode() for key, value in self.last[0]["headers"] if key.decode().lower() == name]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        wanted = scope["path"].rsplit("/", 1)[1]
        if wanted == "refuse":
            await PlainTextResponse("too long", 413)(scope, receive, send)
            return
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.disconnected.set()
                return
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        self.seen.append((scope, body))
        await self._answer(wanted, scope, body)(scope, receive, send)

    def _answer(self, wanted: str, scope: Scope, body: bytes) -> ASGIApp:
        if wanted == "headers":
            return Headers()
        if wanted == "download":
            return StreamingResponse(chunks(), media_type="application/octet-stream")
        if wanted in {"stream", "endless"}:
            return Endless(self.disconnected, silent=wanted == "stream")
        if wanted == "slow":
            return Slow(self.asked_to_go_on)
        if wanted.isdigit():
            return Response(status_code=int(wanted))
        return PlainTextResponse(body if body else self.name)


class Headers:
    """Answers with headers of one connection, one it names itself, and two cookies."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = [
            (b"connection", b"X-Mine, close"),
            (b"x-mine", b"of this connection"),
            (b"keep-alive", b"timeout=5"),
            (b"proxy-connection", b"close"),
            (b"set-cookie", b"a=1"),
            (b"set-cookie", b"b=2"),
            (b"x-correlation-id", b"the-upstreams-own"),
            (b"etag", b'"kept"'),
            (b"content-length", b"2"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": raw})
        await send({"type": "http.response.body", "body": b"ok"})


@dataclass
class Slow:
    """Begins its answer only once it is told to."""

    go_on: threading.Event

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while not self.go_on.is_set():
            await asyncio.sleep(0.01)
        await PlainTextResponse("late")(scope, receive, send)


@dataclass
class Endless:
    """Begins its answer and then is silent, or never stops; notes that its caller has left."""

    left: threading.Event
    silent: bool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        leaving = asyncio.ensure_future(receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        while not leaving.done():
            if self.silent:
                await leaving
                break
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            await asyncio.sleep(0)
        self.left.set()


async def chunks() -> AsyncIterator[bytes]:
    for number in range(80):
        yield bytes([number]) * (MEGABYTES // 80)


class Page:
    """Stands where the page is; notes whether it was started and stopped."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self._app = Starlette(routes=[Route("/{path:path}", self._shown)], lifespan=self._lifespan)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    async def _shown(self, request: Request) -> Response:
        return PlainTextResponse(f"page {request.url.path}")

    def _lifespan(self, _: Starlette) -> "Page":
        return self

    async def __aenter__(self) -> None:
        self.events.append("started")

    async def __aexit__(self, *_: object) -> None:
        self.events.append("stopped")


@contextmanager
def served(app: ASGIApp, lifespan: str = "off") -> Iterator[str]:
    """Serve an app in a thread of its own, as the suite serves it, and yield its URL."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, http="httptools", lifespan=lifespan, log_config=None, timeout_graceful_shutdown=1, proxy_headers=False
    )
    server = QuietServer(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()


@dataclass
class Desk:
    """The front in front of two services, and a client of it."""

    client: httpx.Client
    risk: Upstream
    ml: Upstream
    page: Page

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(str(self.client.base_url))
        return str(parts.hostname), int(parts.port or 0)


@contextmanager
def desk_of(upstreams: dict[str, tuple[Upstream, str]], limits: Limits | None = None, **others: str) -> Iterator[Desk]:
    page = Page()
    urls = {**{name: url for name, (_, url) in upstreams.items()}, **others}
    with served(Front(urls, page, LIMIT, limits), "on") as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield Desk(client, upstreams["risk"][0], upstreams["ml"][0], page)


def raw(desk: Desk, request: bytes) -> bytes:
    """Send bytes as they are and return all that comes back."""
    with socket.create_connection(desk.address, timeout=10) as connection:
        connection.sendall(request)
        received = b""
        while data := connection.recv(65536):
            received += data
    return received


def check_problem(answer: httpx.Response, status: int, kind: str, name: str) -> None:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["type"] == f"urn:keelson:problem:{kind}"
    assert name in document["detail"]
    assert answer.headers.get_list(CORRELATION) == [document["correlation_id"]]
