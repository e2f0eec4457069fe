"""WebSockets through the front: both ways, bounded, and closed by whoever closes first."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from gateway.front import Front
from gateway.lanes import Limits
from services.marketdata.settings import MarketdataSettings
from shared.roles import Role
from tests.conftest import MakeSettings
from tests.harness import Tokens, serving
from tests.integration.gateway.desk import LIMIT, Page
from tests.integration.marketdata.streams import PATH, SOCKETS, Served, mark, stream_of, until

pytestmark = pytest.mark.integration


class Service:
    """Says what it was told, and whatever its query asks of it."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.heard: list[dict[str, Any]] = []
        self.sent = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            return
        self.scopes.append(scope)
        wanted = scope["query_string"].decode()
        await receive()
        if wanted == "refuse":
            headers = [(b"content-type", b"application/problem+json"), (b"retry-after", b"7"), (b"x-own", b"1")]
            await send({"type": "websocket.http.response.start", "status": 503, "headers": headers})
            await send({"type": "websocket.http.response.body", "body": b'{"detail": "full"}'})
            return
        offered = scope["subprotocols"]
        await send({"type": "websocket.accept", "subprotocol": offered[0] if offered else None})
        if wanted == "close":
            await send({"type": "websocket.close", "code": 4401, "reason": "no longer"})
        elif wanted == "die":
            raise ConnectionResetError
        elif wanted == "endless":
            while True:
                try:
                    await send({"type": "websocket.send", "text": "x" * 1_000})
                except OSError:
                    self.heard.append({"type": "websocket.disconnect"})
                    return
                self.sent += 1
                await asyncio.sleep(0)
        while True:
            message = dict(await receive())
            self.heard.append(message)
            if message["type"] == "websocket.disconnect":
                return
            await send({**message, "type": "websocket.send"})


class Desk:
    def __init__(self, url: str, service: Service) -> None:
        self.url = url.replace("http", "ws", 1)
        self.service = service

    def connect(self, query: str = "", path: str = PATH, **options: Any) -> connect:
        return connect(f"{self.url}{path}?{query}", proxy=None, compression=None, close_timeout=0.5, **options)


@asynccontextmanager
async def desk_of(service: Any, **limits: Any) -> AsyncIterator[Desk]:
    async with serving(service, lifespan="off", **SOCKETS) as upstream:
        front = Front({"marketdata": upstream}, Page(), LIMIT, Limits(**limits))
        async with serving(front, **SOCKETS) as url:
            yield Desk(url, service)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with desk_of(Service(), sockets=2) as found:
        yield found


async def drain(socket: ClientConnection) -> None:
    while True:
        await socket.recv()


async def code_of(socket: ClientConnection) -> tuple[int, str]:
    async with asyncio.timeout(10):
        with pytest.raises(ConnectionClosed) as closed:
            await drain(socket)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, closed.value.rcvd.reason


async def test_messages_go_both_ways_and_headers_to_the_service(desk: Desk) -> None:
    offered = [Subprotocol("bearer"), Subprotocol("secret")]
    headers = {"Authorization": "Bearer x", "X-Correlation-ID": "desk-1", "X-Forwarded-For": "1.2.3.4"}
    async with desk.connect("symbols=A%2FB", additional_headers=headers, subprotocols=offered) as socket:
        assert socket.subprotocol == "bearer"
        assert socket.response is not None
        assert socket.response.headers.get_all("x-correlation-id") == ["desk-1"]
        for said in ("text", b"bytes", "", "ü"):
            await socket.send(said)
            assert await socket.recv() == said
    scope = desk.service.scopes[0]
    assert (scope["path"], scope["query_string"]) == (PATH, b"symbols=A%2FB")
    assert scope["subprotocols"] == ["bearer", "secret"]
    seen = dict(scope["headers"])
    assert len(seen) == len(scope["headers"]), "a header came twice"
    assert (seen[b"authorization"], seen[b"x-correlation-id"]) == (b"Bearer x", b"desk-1")
    assert (seen[b"x-forwarded-for"], seen[b"x-forwarded-proto"]) == (b"127.0.0.1", b"http")


async def test_the_service_hears_that_its_caller_left_and_why(desk: Desk) -> None:
    async with desk.connect() as socket:
        await socket.close(4000, "done")
    async with desk.connect() as socket:
        socket.transport.abort()
    await until(lambda: len(desk.service.heard) == 2)
    assert (desk.service.heard[0]["code"], desk.service.heard[0]["reason"]) == (4000, "done")
    assert desk.service.heard[1]["type"] == "websocket.disconnect"


async def test_the_caller_hears_that_the_service_closed_and_why(desk: Desk) -> None:
    async with desk.connect("close") as socket:
        assert await code_of(socket) == (4401, "no longer")


async def test_the_caller_hears_that_the_service_was_lost(desk: Desk) -> None:
    async with desk.connect("die") as socket:
        assert (await code_of(socket))[0] == 1014


async def test_a_refused_handshake_is_passed_on_as_it_is(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await desk.connect("refuse", additional_headers={"X-Correlation-ID": "desk-2"})
    response = refused.value.response
    assert (response.status_code, bytes(response.body)) == (503, b'{"detail": "full"}')
    assert response.headers["retry-after"] == "7"
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers.get_all("x-correlation-id") == ["desk-2"]
    await asyncio.sleep(0.1)
    assert errors(caplog) == []


@pytest.mark.parametrize("headers", [{}, {"Sec-WebSocket-Version": "12"}, {"Sec-WebSocket-Version": "13"}])
async def test_what_is_no_handshake_is_refused_without_an_error_in_the_log(
    desk: Desk, caplog: pytest.LogCaptureFixture, headers: dict[str, str]
) -> None:
    url = desk.url.replace("ws", "http", 1)
    async with httpx.AsyncClient(trust_env=False) as client:
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", **headers}
        assert (await client.get(f"{url}{PATH}", headers=upgrade)).status_code in {400, 426}
    await asyncio.sleep(0.1)
    assert errors(caplog) == []


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR or each.exc_info]


async def refusal(attempt: connect) -> tuple[int, dict[str, Any], str]:
    with pytest.raises(InvalidStatus) as refused:
        await attempt
    response = refused.value.response
    document = json.loads(response.body)
    assert document["correlation_id"] == response.headers["x-correlation-id"]
    return response.status_code, document, response.headers.get("retry-after", "")


async def test_one_too_many_is_refused_until_another_has_left(desk: Desk) -> None:
    async with desk.connect() as first, desk.connect():
        status, document, again = await refusal(desk.connect())
        assert (status, document["type"], again) == (503, "urn:keelson:problem:dependency-unavailable", "1")
        assert "All 2 streams to marketdata are in use" in document["detail"]
        await first.close()
        await until(lambda: len(desk.service.heard) == 1)
        async with desk.connect() as third:
            await third.send("x")
            assert await third.recv() == "x"


@pytest.mark.parametrize("path", ["/", "/api/v1/risk/stream", "/api/v1/marketdata/bars", "/api/v1/ml/stream"])
async def test_nothing_else_speaks_websocket(desk: Desk, caplog: pytest.LogCaptureFixture, path: str) -> None:
    assert (await refusal(desk.connect(path=path)))[0] == 404
    await asyncio.sleep(0.1)
    assert errors(caplog) == []
    assert desk.service.scopes == []


async def test_a_service_that_is_away_is_a_503(make_settings: MakeSettings) -> None:
    front = Front({"marketdata": "http://127.0.0.1:1"}, Page(), LIMIT)
    async with serving(front, **SOCKETS) as url:
        status, document, again = await refusal(Desk(url, Service()).connect())
    assert (status, again) == (503, "1")
    assert "marketdata does not answer" in document["detail"]


async def test_a_service_that_cannot_speak_it_is_refused_as_it_answers() -> None:
    async with desk_of(Page()) as desk:
        with pytest.raises(InvalidStatus):
            await desk.connect()


async def test_a_caller_that_reads_nothing_holds_the_service_back_and_is_let_go() -> None:
    service = Service()
    async with desk_of(service, send_seconds=1) as desk, desk.connect("endless", max_queue=1) as socket:
        await until(lambda: service.sent > 0)
        await until(lambda: bool(service.heard), 20)
        # What waits in the front, in the kernel and in the caller itself, at 1,000 bytes each.
        assert service.sent < 20_000
        assert (await code_of(socket))[0] == 1013


async def test_the_front_that_stops_waits_for_nobody_and_the_service_hears_of_it() -> None:
    service = Service()
    async with serving(service, lifespan="off", **SOCKETS) as upstream:
        front = Front({"marketdata": upstream}, Page(), LIMIT)
        async with serving(front, **SOCKETS, timeout_graceful_shutdown=30) as url:
            desk = Desk(url, service)
            socket = await desk.connect()
        assert (await code_of(socket))[0] == 1012
        await until(lambda: bool(service.heard))


@pytest.fixture
async def served(make_settings: MakeSettings, tokens: Tokens) -> AsyncIterator[Served]:
    async with stream_of(make_settings(MarketdataSettings), tokens) as found:
        yield found


async def test_the_stream_of_marks_comes_through_and_conflates_for_who_reads_slowly(
    served: Served, tokens: Tokens
) -> None:
    front = Front({"marketdata": served.url}, Page(), LIMIT)
    async with serving(front, **SOCKETS) as url:
        through = Served(served.app, url, tokens)
        with pytest.raises(InvalidStatus) as refused:
            async with through.reader("A", additional_headers={}):
                pass
        assert refused.value.response.status_code == 401
        token = tokens.by_role[Role.VIEWER]
        offered = [Subprotocol("bearer"), Subprotocol(token)]
        async with through.reader("A", additional_headers={}, subprotocols=offered, max_queue=1) as slow:
            await slow.next_of("snapshot")
            for number in range(0, 40_000, 500):
                await through.publish(*(mark("A", n) for n in range(number, number + 500)))
            found = []
            while not found or found[-1]["price"] != "40000":
                found += await slow.marks(1)
        assert sum(1 + each["skipped"] for each in found) == 40_000
        assert len(found) < 40_000
    await until(lambda: served.live.hub.listening == 0)
