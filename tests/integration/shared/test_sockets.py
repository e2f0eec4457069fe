"""WebSockets of any service: refused before the handshake, counted, logged once, and never a silent end."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from cli.supervisor.sockets import WebSocketProtocol
from shared.app import create_app
from shared.roles import Role
from shared.settings import AppSettings
from shared.socket_auth import SocketCaller, require_socket
from tests.harness import Tokens, serving

pytestmark = pytest.mark.integration
Trader = Annotated[SocketCaller, Depends(require_socket(Role.TRADER))]


def router() -> APIRouter:
    routes = APIRouter()

    @routes.websocket("/echo/{name}")
    async def echo(socket: WebSocket, caller: Trader, name: str, times: int = 1) -> None:
        if name == "early":
            raise ZeroDivisionError
        await socket.accept(caller.subprotocol)
        if name == "late":
            raise ZeroDivisionError
        said = await socket.receive_text()
        for _ in range(times):
            await socket.send_text(f"{caller.principal.subject} {name} {said}")
        await socket.close()

    return routes


@pytest.fixture
async def url(tokens: Tokens) -> AsyncIterator[str]:
    settings = AppSettings(environment="test", log_level="INFO", log_stdout=False, api_keys_file=tokens.file)
    app = create_app(name="demo", settings=settings, routers=[router()])
    async with serving(app, ws=WebSocketProtocol) as found:
        yield found


def to(url: str, path: str, **options: Any) -> connect:
    return connect(url.replace("http", "ws", 1) + f"/api/v1/demo{path}", proxy=None, **options)


async def refused(url: str, path: str, headers: dict[str, str]) -> tuple[int, str, str]:
    with pytest.raises(InvalidStatus) as found:
        await to(url, path, additional_headers=headers)
    response = found.value.response
    problem = json.loads(response.body)
    assert problem["correlation_id"] == response.headers["x-correlation-id"]
    return response.status_code, problem["type"].rpartition(":")[2], problem["detail"]


async def test_only_who_has_the_role_is_let_in(url: str, tokens: Tokens) -> None:
    assert (await refused(url, "/echo/x", {}))[:2] == (401, "unauthenticated")
    for role in set(Role) - {Role.TRADER}:
        status, kind, detail = await refused(url, "/echo/x", tokens.auth(role))
        assert (status, kind, detail) == (403, "forbidden", "This needs one of the roles: trader")
    async with to(url, "/echo/x?times=2", additional_headers=tokens.auth(Role.TRADER)) as socket:
        await socket.send("hello")
        assert [await socket.recv(), await socket.recv()] == ["test-trader x hello"] * 2


async def test_what_is_not_of_the_route_is_refused(url: str, tokens: Tokens) -> None:
    auth = tokens.auth(Role.TRADER)
    assert "it has times" in (await refused(url, "/echo/x?time=1", auth))[2]
    assert (await refused(url, "/echo/x?times=x", auth))[:2] == (422, "unprocessable")


async def test_a_fault_is_a_problem_before_the_handshake_and_a_code_after(url: str, tokens: Tokens) -> None:
    auth = tokens.auth(Role.TRADER)
    assert (await refused(url, "/echo/early", auth))[:2] == (500, "internal-error")
    async with to(url, "/echo/late", additional_headers=auth) as socket:
        with pytest.raises(ConnectionClosedError) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1011


async def test_each_is_logged_and_counted_once(url: str, tokens: Tokens, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "keelson.http")
    headers = {**tokens.auth(Role.TRADER), "X-Correlation-ID": "one"}
    async with to(url, "/echo/x", additional_headers=headers) as socket:
        await socket.send("hello")
        await socket.recv()
    await refused(url, "/echo/x", {"X-Correlation-ID": "two"})
    with pytest.raises(InvalidStatus):
        await to(url, "/none", additional_headers=tokens.auth(Role.TRADER))
    async with httpx.AsyncClient(base_url=url, headers=tokens.auth(Role.VIEWER)) as client:
        async with asyncio.timeout(5):
            while (text := (await client.get("/metrics")).text).count("http_requests_total{") < 3:
                await asyncio.sleep(0.05)
    of = 'handler="/api/v1/demo/echo/{name}",method="WS"'
    assert f'http_requests_total{{{of},status="101"}} 1.0' in text
    assert f'http_requests_total{{{of},status="401"}} 1.0' in text
    assert 'http_requests_total{handler="none",method="any",status="403"} 1.0' in text
    lines = [record for record in caplog.records if record.getMessage() == "request"]
    assert len(lines) == 3
    assert not any(tokens.by_role[Role.TRADER] in str(vars(record)) for record in caplog.records)


def test_a_websocket_without_a_role_does_not_start() -> None:
    routes = APIRouter()

    @routes.websocket("/open")
    async def everybody(socket: WebSocket) -> None:
        await socket.accept()

    with pytest.raises(RuntimeError, match="/api/v1/demo/open names no role"):
        create_app(name="demo", settings=AppSettings(environment="test"), routers=[routes])
