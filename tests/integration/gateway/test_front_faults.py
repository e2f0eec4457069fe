"""The one port in front of the services: what it says for one that is away, and of callers that leave."""

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from starlette.types import Message, Scope

from gateway.front import Front
from gateway.lanes import Limits
from tests.integration.gateway.desk import (
    CORRELATION,
    LIMIT,
    Desk,
    Page,
    Upstream,
    check_problem,
    desk_of,
    served,
)

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]


def test_a_service_that_is_down_is_a_503_that_says_when_to_try_again(
    upstreams: dict[str, tuple[Upstream, str]],
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with desk_of(upstreams, reporting=away) as desk:
            answer = desk.client.get("/api/v1/reporting/trades", headers={CORRELATION: "mine"})
            check_problem(answer, 503, "dependency-unavailable", "reporting")
            assert answer.headers["retry-after"] == "1"
            assert answer.json()["correlation_id"] == "mine"
            assert desk.client.get("/api/v1/risk/who").text == "risk"


def test_a_service_that_is_slow_is_a_504_and_no_promise_to_try_again(
    upstreams: dict[str, tuple[Upstream, str]],
) -> None:
    with desk_of(upstreams, Limits(answer_seconds=0.3)) as desk:
        desk.risk.forget()
        answer = desk.client.post("/api/v1/risk/slow", json={})
        check_problem(answer, 504, "gateway-timeout", "risk")
        assert "retry-after" not in answer.headers
        desk.risk.asked_to_go_on.set()
        assert desk.client.get("/api/v1/risk/slow").text == "late"


async def test_connections_that_are_all_in_use_are_no_fault_of_a_service(
    upstreams: dict[str, tuple[Upstream, str]],
) -> None:
    risk, url = upstreams["risk"]
    risk.forget()
    tried = Front({"risk": url}, Page(), LIMIT, Limits(reads=1, wait_seconds=0.2))
    transport = httpx.ASGITransport(tried)
    async with httpx.AsyncClient(transport=transport, base_url="http://front") as client:
        slow = asyncio.create_task(client.get("/api/v1/risk/slow"))
        while not risk.seen:
            await asyncio.sleep(0.01)
        check_problem(await client.get("/api/v1/risk/who"), 503, "dependency-unavailable", "connection")
        risk.asked_to_go_on.set()
        assert (await slow).text == "late"
        assert (await client.get("/api/v1/risk/who")).text == "risk"
    await tried._lanes.aclose()


@contextmanager
def answering(reply: bytes) -> Iterator[str]:
    """Answer the first request with bytes, whatever they are, and end the connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(reply)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        thread.join(10)
        listener.close()


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ],
)
def test_a_service_that_dies_in_the_middle_is_no_whole_answer(
    upstreams: dict[str, tuple[Upstream, str]], reply: bytes
) -> None:
    with answering(reply) as url, desk_of(upstreams, reporting=url) as desk:
        with pytest.raises(httpx.RemoteProtocolError):
            desk.client.get("/api/v1/reporting/trades")
        assert desk.client.get("/api/v1/risk/who").text == "risk"


@pytest.mark.parametrize("reply", [b"", b"not HTTP\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-"])
def test_a_service_that_gives_no_answer_is_a_503(upstreams: dict[str, tuple[Upstream, str]], reply: bytes) -> None:
    with answering(reply) as url, desk_of(upstreams, reporting=url) as desk:
        check_problem(desk.client.get("/api/v1/reporting/x"), 503, "dependency-unavailable", "reporting")


def test_a_head_request_has_the_headers_and_no_body(desk: Desk) -> None:
    connection = http.client.HTTPConnection(*desk.address, timeout=10)
    connection.request("HEAD", "/api/v1/risk/who")
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("content-length"), answer.read()) == (200, "4", b"")
    assert desk.risk.last[0]["method"] == "HEAD"
    # What follows on the same connection is not taken for its body.
    connection.request("GET", "/api/v1/risk/who")
    assert connection.getresponse().read() == b"risk"
    connection.close()


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_leaves_the_connection_usable(desk: Desk, status: int) -> None:
    connection = http.client.HTTPConnection(*desk.address, timeout=10)
    connection.request("GET", f"/api/v1/risk/{status}")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (status, b"")
    assert answer.getheader("transfer-encoding") is None
    connection.request("GET", "/api/v1/risk/who")
    assert connection.getresponse().read() == b"risk"
    connection.close()


def test_a_304_may_tell_the_length_of_what_it_does_not_send(upstreams: dict[str, tuple[Upstream, str]]) -> None:
    reply = b'HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\nETag: "a"\r\nConnection: close\r\n\r\n'
    with answering(reply) as url, desk_of(upstreams, reporting=url) as desk:
        answer = desk.client.get("/api/v1/reporting/x")
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", '"a"')


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 500, 503])
def test_what_a_service_says_is_passed_on_as_it_is(desk: Desk, status: int) -> None:
    assert desk.client.get(f"/api/v1/risk/{status}").status_code == status


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_is_passed_on(desk: Desk, method: str) -> None:
    assert desk.client.request(method, "/api/v1/risk/who").text == "risk"
    assert desk.risk.last[0]["method"] == method


async def test_a_caller_that_leaves_before_its_body_has_sent_nothing() -> None:
    upstream = Upstream("risk")
    with served(upstream) as url:
        scope: Scope = {
            "type": "http",
            "method": "POST",
            "path": "/api/v1/risk/echo",
            "raw_path": b"/api/v1/risk/echo",
            "query_string": b"",
            "scheme": "http",
            "headers": [(b"transfer-encoding", b"chunked")],
        }

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        await Front({"risk": url}, Page(), LIMIT)(scope, receive, send)
    assert upstream.seen == []
    assert sent == []


@pytest.mark.parametrize("length", [4, 300_000])
def test_a_caller_that_leaves_in_the_middle_of_its_body_is_no_whole_request(desk: Desk, length: int) -> None:
    with socket.create_connection(desk.address) as connection:
        connection.sendall(
            b"POST /api/v1/risk/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"%x\r\n%b\r\n" % (length, b"h" * length)
        )
        time.sleep(0.2)
    # Of a long body a service has begun to read.
    assert desk.risk.disconnected.wait(10 if length > 4 else 0.2) == (length > 4)
    assert desk.risk.seen == []


def test_many_at_once_are_answered_each_with_its_own(desk: Desk) -> None:
    """More than the connections the front opens at once: nobody is turned away."""

    async def ask() -> list[str]:
        async with httpx.AsyncClient(base_url=desk.client.base_url, trust_env=False, timeout=60) as client:
            answers = await asyncio.gather(
                *(client.post("/api/v1/risk/echo", content=json.dumps(number)) for number in range(300))
            )
        return [answer.text for answer in answers]

    assert asyncio.run(ask()) == [str(number) for number in range(300)]


@pytest.mark.parametrize("path", ["stream", "slow", "endless"])
def test_what_nobody_waits_for_is_ended(desk: Desk, path: str) -> None:
    with socket.create_connection(desk.address, timeout=10) as connection:
        connection.sendall(f"GET /api/v1/risk/{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        while not desk.risk.seen:
            time.sleep(0.01)
    if path == "slow":
        # It does not look, and answers into the void.
        desk.risk.asked_to_go_on.set()
    else:
        assert desk.risk.disconnected.wait(5)
    assert desk.client.get("/api/v1/risk/who").text == "risk"


def test_a_change_goes_on_though_its_caller_has_left(desk: Desk) -> None:
    with socket.create_connection(desk.address, timeout=10) as connection:
        connection.sendall(b"POST /api/v1/risk/emergency-stop HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
    for _ in range(500):
        if desk.risk.seen:
            break
        time.sleep(0.01)
    assert desk.risk.last[1] == b"{}"


def test_a_caller_that_does_not_read_is_left_after_a_while(upstreams: dict[str, tuple[Upstream, str]]) -> None:
    with desk_of(upstreams, Limits(reads=1, send_seconds=0.5, wait_seconds=5)) as desk:
        desk.risk.forget()
        with socket.create_connection(desk.address, timeout=10) as connection:
            connection.sendall(b"GET /api/v1/risk/endless HTTP/1.1\r\nHost: x\r\n\r\n")
            assert desk.risk.disconnected.wait(10)
            assert desk.client.get("/api/v1/risk/who").text == "risk"


def test_callers_that_leave_while_they_wait_take_no_places(upstreams: dict[str, tuple[Upstream, str]]) -> None:
    with desk_of(upstreams, Limits(reads=1, wait_seconds=2)) as desk:
        desk.risk.forget()
        for path in ["slow", *["who"] * 20]:
            with socket.create_connection(desk.address, timeout=10) as connection:
                connection.sendall(f"GET /api/v1/risk/{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                time.sleep(0.02)
        desk.risk.asked_to_go_on.set()
        for _ in range(3):
            assert desk.client.get("/api/v1/risk/who").text == "risk"


def test_long_bodies_that_stop_coming_take_nothing_from_short_ones(
    upstreams: dict[str, tuple[Upstream, str]],
) -> None:
    with desk_of(upstreams, Limits(uploads=1, changes=1, body_seconds=1, wait_seconds=0.2)) as desk:
        head = b"POST /api/v1/risk/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
        with socket.create_connection(desk.address, timeout=10) as connection:
            connection.sendall(head + b"x" * 300_000)
            time.sleep(0.3)
            assert desk.client.post("/api/v1/risk/echo", content=b"short").text == "short"
            answer = desk.client.post("/api/v1/risk/echo", content=b"l" * 300_000)
            check_problem(answer, 503, "dependency-unavailable", "uploads")
            assert connection.recv(65536).startswith(b"HTTP/1.1 408 ")
        assert desk.client.post("/api/v1/risk/echo", content=b"l" * 300_000).status_code == 200
