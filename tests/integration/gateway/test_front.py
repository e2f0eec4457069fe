"""The one port in front of the services: what it passes on, unchanged, and what it says for a service that is away."""

import asyncio
import http.client
import json
import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.front import Front
from gateway.lanes import Limits
from tests.harness import QuietServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

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


@pytest.fixture(scope="module")
def upstreams() -> Iterator[dict[str, tuple[Upstream, str]]]:
    risk, ml = Upstream("risk"), Upstream("ml")
    with served(risk) as risk_url, served(ml) as ml_url:
        yield {"risk": (risk, risk_url), "ml": (ml, ml_url)}


@contextmanager
def desk_of(upstreams: dict[str, tuple[Upstream, str]], limits: Limits | None = None, **others: str) -> Iterator[Desk]:
    page = Page()
    urls = {**{name: url for name, (_, url) in upstreams.items()}, **others}
    with served(Front(urls, page, LIMIT, limits), "on") as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield Desk(client, upstreams["risk"][0], upstreams["ml"][0], page)


@pytest.fixture(scope="module")
def running_desk(upstreams: dict[str, tuple[Upstream, str]]) -> Iterator[Desk]:
    with desk_of(upstreams) as found:
        yield found


@pytest.fixture
def desk(running_desk: Desk) -> Iterator[Desk]:
    """The desk, with nothing seen yet and a client without cookies."""
    running_desk.risk.forget()
    running_desk.ml.forget()
    with httpx.Client(base_url=running_desk.client.base_url, trust_env=False) as client:
        yield replace(running_desk, client=client)


def raw(desk: Desk, request: bytes) -> bytes:
    """Send bytes as they are and return all that comes back."""
    with socket.create_connection(desk.address, timeout=10) as connection:
        connection.sendall(request)
        received = b""
        while data := connection.recv(65536):
            received += data
    return received


@pytest.mark.parametrize(
    "target",
    [
        "/api/v1/risk/a%2Fb%2fc",
        "/api/v1/risk/a+b%20c",
        "/api/v1/risk/%C3%A9%E2%82%AC",
        "/api/v1/risk/a?q=a+b%20c%2Fd&q=%C3%A9&empty=&flag",
        "/api/v1/risk/a?q='|{}^[]\"<>",
        "/api/v1/risk/a|b'c",
        "/api/v1/risk/a?q=?/..;x=1",
        "/api/v1/risk//a/./b/../c",
        "/api/v1/risk",
        "/api/v1/risk/",
        "/api/v1/risk/a?",
    ],
)
def test_path_and_query_arrive_byte_for_byte(desk: Desk, target: str) -> None:
    told = raw(desk, f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert told.startswith(b"HTTP/1.1 200 "), told
    scope, _ = desk.risk.last
    path, _, query = target.partition("?")
    assert scope["raw_path"] == path.encode()
    assert scope["query_string"] == query.encode()


@pytest.mark.parametrize("target", ["/api/v1/risk/é", "/api/v1/risk/a?q=é"])
def test_letters_that_should_have_been_encoded_are_no_error_of_ours(desk: Desk, target: str) -> None:
    told = raw(desk, f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert re.match(rb"HTTP/1.1 (200|400) ", told), told


def test_each_service_gets_its_own_requests_and_probes(desk: Desk) -> None:
    assert desk.client.get("/api/v1/risk/who").text == "risk"
    assert desk.client.get("/api/v1/ml/who").text == "ml"
    for probe in ("healthz", "readyz", "metrics"):
        assert desk.client.get(f"/services/ml/{probe}?a=1").text == "ml"
        assert desk.ml.last[0]["raw_path"] == f"/{probe}".encode()
        assert desk.ml.last[0]["query_string"] == b"a=1"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/dashboard.js",
        "/api/v1",
        "/api/v1/dashboard",
        "/api/v1/nothing/x",
        "/api/v1/riskier",
        "/api/v2/risk/x",
        "/services/risk/secrets",
        "/services/risk/healthz/more",
        "/services/nothing/healthz",
        "/x/api/v1/risk/",
    ],
)
def test_everything_else_is_the_pages(desk: Desk, path: str) -> None:
    assert desk.client.get(path).text == f"page {path}"
    assert desk.risk.seen == []


def test_the_pages_lifespan_runs_around_the_requests(upstreams: dict[str, tuple[Upstream, str]]) -> None:
    with desk_of(upstreams) as desk:
        assert desk.page.events == ["started"]
    assert desk.page.events == ["started", "stopped"]


def test_body_bytes_arrive_unchanged(desk: Desk) -> None:
    body = bytes(range(256)) + b"\r\n0\r\n\r\n"
    answer = desk.client.post("/api/v1/risk/echo", content=body, headers={"Content-Type": "a/b; c=d"})
    assert answer.content == body
    assert desk.risk.last[1] == body
    assert desk.risk.header("content-length") == [str(len(body))]
    assert desk.risk.header("content-type") == ["a/b; c=d"]


@pytest.mark.parametrize("chunked", [True, False])
def test_a_long_upload_arrives_whole(desk: Desk, chunked: bool) -> None:
    body = bytes(range(256)) * (MEGABYTES // 256)
    parts = (body[at : at + 100_000] for at in range(0, len(body), 100_000))
    answer = desk.client.post("/api/v1/risk/echo", content=parts if chunked else body)
    assert desk.risk.last[1] == body
    assert answer.content == body
    assert desk.risk.header("content-length") == ([] if chunked else [str(len(body))])


def test_a_long_download_arrives_whole_and_as_it_comes(desk: Desk) -> None:
    with desk.client.stream("GET", "/api/v1/risk/download") as answer:
        assert answer.headers["transfer-encoding"] == "chunked"
        body = b"".join(answer.iter_raw())
    assert body == b"".join(bytes([number]) * (MEGABYTES // 80) for number in range(80))


def test_an_upload_refused_before_its_end_gets_the_refusal(desk: Desk) -> None:
    answer = desk.client.post("/api/v1/risk/refuse", content=b"x" * MEGABYTES)
    assert answer.status_code == 413
    assert answer.text == "too long"


def test_headers_of_one_connection_are_not_passed_to_the_service(desk: Desk) -> None:
    told = raw(
        desk,
        b"POST /api/v1/risk/echo HTTP/1.1\r\nHost: desk.example\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\n"
        b"Keep-Alive: 5\r\nProxy-Authorization: secret\r\nTE: trailers\r\nTrailer: x\r\nProxy-Connection: close\r\n"
        b"Authorization: Bearer kept\r\nX-Twice: 1\r\nX-Twice: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nok\r\n0\r\n\r\n",
    )
    assert told.endswith(b"ok")
    for name in ("x-mine", "keep-alive", "proxy-authorization", "te", "trailer", "proxy-connection"):
        assert desk.risk.header(name) == []
    assert "close" not in ",".join(desk.risk.header("connection"))
    assert desk.risk.header("authorization") == ["Bearer kept"]
    assert desk.risk.header("x-twice") == ["1", "2"]
    assert desk.risk.header("user-agent") == []
    assert desk.risk.header("accept-encoding") == []
    assert len(desk.risk.header("host")) == 1


@pytest.mark.parametrize(
    ("sent", "arrives"),
    [(b"Bearer ", "Bearer"), (b"Bearer a\t ", "Bearer a"), (b" \t Bearer a", "Bearer a"), (b" ", "")],
)
def test_whitespace_around_a_header_is_no_part_of_it(desk: Desk, sent: bytes, arrives: str) -> None:
    told = raw(
        desk,
        b"GET /api/v1/risk/who HTTP/1.1\r\nHost: desk.example \r\nConnection: close \r\n"
        b"X-Correlation-ID: mine \r\nAuthorization: " + sent + b"\r\n\r\n",
    )
    assert told.startswith(b"HTTP/1.1 200 "), told
    assert desk.risk.header("authorization") == [arrives]
    assert desk.risk.header("x-forwarded-host") == ["desk.example"]
    assert desk.risk.header(CORRELATION) == ["mine"]


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": [(b"x-odd", b"a\x0bb")]},
        {"headers": [(b"x odd", b"a")]},
        {"raw_path": "/api/v1/risk/é".encode()},
        {"query_string": b"a=\x00"},
    ],
    ids=["a header's value", "a header's name", "the path", "the query"],
)
async def test_what_cannot_be_passed_on_is_the_callers_error_and_no_fault_of_a_service(
    upstreams: dict[str, tuple[Upstream, str]], changes: dict[str, Any]
) -> None:
    """Past a server that takes such things, as the one the suite runs on takes a few of them."""
    told = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        told.append(message)

    risk, url = upstreams["risk"]
    risk.forget()
    scope = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": "/api/v1/risk/who",
        "raw_path": b"/api/v1/risk/who",
        "query_string": b"",
        "headers": [],
        **changes,
    }
    await Front({"risk": url}, Page(), LIMIT)(scope, receive, send)
    assert told[0]["status"] == 400
    document = json.loads(told[1]["body"])
    assert document["type"] == "urn:keelson:problem:bad-request"
    assert (b"x-correlation-id", document["correlation_id"].encode()) in told[0]["headers"]
    assert risk.seen == []


def test_the_service_is_told_for_whom_and_a_forged_word_does_not_reach_it(desk: Desk) -> None:
    forged = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}
    desk.client.get("/api/v1/risk/who", headers={**forged, "Host": "desk.example"})
    assert desk.risk.header("x-forwarded-for") == ["127.0.0.1"]
    assert desk.risk.header("x-forwarded-proto") == ["http"]
    assert desk.risk.header("x-forwarded-host") == ["desk.example"]


def test_headers_of_one_connection_are_not_passed_to_the_caller(desk: Desk) -> None:
    answer = desk.client.get("/api/v1/risk/headers", headers={CORRELATION: "mine"})
    for name in ("x-mine", "keep-alive", "proxy-connection"):
        assert name not in answer.headers
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert answer.headers["etag"] == '"kept"'
    # The front's connection to the service was its last; the caller's goes on.
    assert answer.headers.get("connection") != "close"


def test_a_cookie_of_one_caller_is_not_sent_for_another(desk: Desk) -> None:
    desk.client.get("/api/v1/risk/headers")
    with httpx.Client(base_url=desk.client.base_url, trust_env=False) as other:
        other.get("/api/v1/risk/who")
    assert desk.risk.header("cookie") == []


@pytest.mark.parametrize("given", ["abc-123", "A.b_c:d", "x" * 64])
def test_a_correlation_id_is_passed_on_and_back(desk: Desk, given: str) -> None:
    answer = desk.client.get("/api/v1/risk/headers", headers={CORRELATION: given})
    assert desk.risk.header(CORRELATION) == [given]
    assert answer.headers.get_list(CORRELATION) == [given]


@pytest.mark.parametrize("given", [None, "", "x" * 65, "a b", "<script>", "é", 'a"b'])
def test_a_missing_or_hostile_correlation_id_is_replaced(desk: Desk, given: str | None) -> None:
    headers = {} if given is None else {CORRELATION: given.encode()}
    answer = desk.client.get("/api/v1/risk/who", headers=headers)
    (made,) = desk.risk.header(CORRELATION)
    assert re.fullmatch(r"[0-9a-f]{32}", made)
    assert answer.headers.get_list(CORRELATION) == [made]


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


def check_problem(answer: httpx.Response, status: int, kind: str, name: str) -> None:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["type"] == f"urn:keelson:problem:{kind}"
    assert name in document["detail"]
    assert answer.headers.get_list(CORRELATION) == [document["correlation_id"]]


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
        async with httpx.AsyncClient(base_url=desk.client.base_url, trust_env=False) as client:
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
