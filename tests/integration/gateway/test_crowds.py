"""However many readers come and go, and however slowly others send: a stop gets through."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from shared.roles import Role
from tests.conftest import _TEMPLATE
from tests.harness import Tokens, fresh_database
from tests.integration.risk.client import BASE
from tests.integration.risk.processes import RiskProcess

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
CROWD = 205
STREAMS = 100
BODY_SECONDS = 3.0
# Far less than any time limit: what waits for a place or for a slow caller takes longer.
PROMPT_SECONDS = 2.5
HALF = (
    b"POST /api/v1/risk/accounts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: 100000\r\n\r\n{"
)


class FrontProcess(RiskProcess):
    """The one port in front of a risk service."""

    service = "front"
    probe = "/services/risk/readyz"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("crowds")


@pytest.fixture(scope="module")
def risk(postgres_url: str, valkey_url: str, tokens: Tokens, folder: Path) -> Iterator[RiskProcess]:
    with (
        fresh_database(postgres_url, _TEMPLATE) as url,
        RiskProcess(url, valkey_url, tokens, folder, body_seconds=BODY_SECONDS) as process,
    ):
        process.await_ready()
        yield process


@pytest.fixture(scope="module")
def front(risk: RiskProcess, valkey_url: str, tokens: Tokens, folder: Path) -> Iterator[FrontProcess]:
    settings = {"risk_url": risk.url, "body_seconds": BODY_SECONDS, "front_streams": STREAMS}
    with FrontProcess("postgresql://none/none", valkey_url, tokens, folder, **settings) as process:
        process.await_ready()
        yield process


@pytest.fixture(params=["front", "risk"])
def port(request: pytest.FixtureRequest) -> RiskProcess:
    """The front, and risk itself."""
    process: RiskProcess = request.getfixturevalue(request.param)
    return process


def connect(process: RiskProcess) -> socket.socket:
    parts = urlsplit(process.url)
    return socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=10)


def listen(process: RiskProcess, tokens: Tokens) -> socket.socket:
    connection = connect(process)
    head = f"GET {BASE}/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {tokens.by_role[Role.VIEWER]}\r\n\r\n"
    connection.sendall(head.encode())
    return connection


def admitted(process: RiskProcess, tokens: Tokens) -> socket.socket:
    """Listen, and again as long as whoever left is not yet seen to have left."""
    for _ in range(100):
        connection = listen(process, tokens)
        if connection.recv(100).startswith(b"HTTP/1.1 200"):
            return connection
        connection.close()
        time.sleep(0.1)
    raise AssertionError("there is no place")


def received(connection: socket.socket) -> bytes:
    """Return all that comes until the other side closes."""
    told = b""
    while data := connection.recv(65536):
        told += data
    return told


@contextmanager
def crowd(number: int, one: Callable[[], socket.socket]) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(closing(one())) for _ in range(number)]


def check_that_orders_and_stops_get_through(process: RiskProcess, tokens: Tokens) -> None:
    """Ask as the desk does, each question on a connection of its own."""

    def ask(method: str, path: str, role: Role, body: object = None) -> httpx.Response:
        began = time.monotonic()
        answer = httpx.request(
            method, process.url + path, json=body, headers=tokens.auth(role), timeout=20, trust_env=False
        )
        assert time.monotonic() - began < PROMPT_SECONDS, path
        return answer

    account = {"account_id": "desk", "base_currency": "USD", "initial_cash": "1000"}
    assert ask("POST", f"{BASE}/accounts", Role.ADMIN, account).status_code in {200, 201}
    order = {"client_order_id": "o", "strategy_id": "s", "symbol": "NONE", "side": "BUY", "quantity": "1"}
    assert ask("POST", f"{BASE}/accounts/desk/orders", Role.TRADER, order).json()["decision"] == "DENIED"
    switch = {"scope": "ACCOUNT", "target": "desk", "reason": "fire drill"}
    assert ask("POST", f"{BASE}/kill-switches", Role.ADMIN, switch).status_code == 201
    assert ask("POST", f"{BASE}/emergency-stop", Role.ADMIN, {"reason": "fire drill"}).status_code == 201
    assert ask("GET", f"{BASE}/accounts", Role.VIEWER).status_code == 200
    assert ask("GET", process.probe, Role.VIEWER).status_code == 200


def await_files(process: RiskProcess, most: int) -> None:
    deadline = time.monotonic() + 10
    while process.open_files() > most:
        assert time.monotonic() < deadline, f"{process.open_files()} are open"
        time.sleep(0.05)


def test_a_reader_that_comes_again_and_again_leaves_nothing_behind(
    port: RiskProcess, risk: RiskProcess, tokens: Tokens
) -> None:
    before = {process: process.open_files() for process in {port, risk}}
    for number in range(220):
        with closing(listen(port, tokens)) as connection:
            assert connection.recv(100).startswith(b"HTTP/1.1 200"), number
    for process, files in before.items():
        await_files(process, files + 10)
    check_that_orders_and_stops_get_through(port, tokens)


def test_streams_and_half_sent_requests_hold_up_nothing(port: RiskProcess, tokens: Tokens) -> None:
    with crowd(CROWD, lambda: listen(port, tokens)) as readers, crowd(CROWD, lambda: connect(port)) as senders:
        for reader in readers[:STREAMS]:
            assert reader.recv(100).startswith(b"HTTP/1.1 200")
        for sender in senders:
            sender.sendall(HALF)
        time.sleep(0.3)
        check_that_orders_and_stops_get_through(port, tokens)


def test_one_reader_too_many_is_told_so_and_comes_in_once_another_has_left(front: RiskProcess, tokens: Tokens) -> None:
    with crowd(STREAMS, lambda: admitted(front, tokens)) as readers:
        answer = httpx.get(f"{front.url}{BASE}/stream", headers=tokens.auth(Role.VIEWER), timeout=20, trust_env=False)
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:keelson:problem:dependency-unavailable")
        assert f"All {STREAMS} connections to risk for streams are in use" in answer.json()["detail"]
        assert answer.headers["retry-after"] == "1"
        readers[0].close()
        admitted(front, tokens).close()


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
def test_a_body_that_does_not_come_is_a_408_however_slowly_it_drips(port: RiskProcess, chunked: bool) -> None:
    start = HALF[:-1].replace(b"Content-Length: 100000", b"Transfer-Encoding: chunked") if chunked else HALF[:-1]
    drop = b"1\r\n{\r\n" if chunked else b"{"
    with closing(connect(port)) as silent, closing(connect(port)) as dripping:
        began = time.monotonic()
        silent.sendall(start + drop)
        dripping.sendall(start)
        while time.monotonic() - began < BODY_SECONDS * 0.8:
            dripping.sendall(drop)
            time.sleep(0.1)
        for connection in (silent, dripping):
            head, _, body = received(connection).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 408 "), head
            assert b"connection: close" in head.lower()
            document = json.loads(body)
            assert (document["status"], document["type"]) == (408, "urn:keelson:problem:request-timeout")
            assert document["correlation_id"].encode() in head
        assert BODY_SECONDS - 0.1 < time.monotonic() - began < BODY_SECONDS + PROMPT_SECONDS


def test_a_body_that_is_too_long_and_does_not_come_is_not_waited_for_either(port: RiskProcess) -> None:
    with closing(connect(port)) as connection:
        connection.sendall(HALF.replace(b"100000", b"100000000"))
        began = time.monotonic()
        assert received(connection).startswith(b"HTTP/1.1 413 ")
        assert time.monotonic() - began < BODY_SECONDS
