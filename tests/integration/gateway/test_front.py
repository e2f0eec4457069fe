"""The one port in front of the services: what it passes on, unchanged, both ways."""

import json
import re
from typing import Any

import httpx
import pytest
from starlette.types import Message

from gateway.front import Front
from tests.integration.gateway.desk import CORRELATION, LIMIT, MEGABYTES, Desk, Page, Upstream, desk_of, raw

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]


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


def test_the_quality_report_is_also_where_it_was_looked_for_of_old(
    upstreams: dict[str, tuple[Upstream, str]],
) -> None:
    ml, url = upstreams["ml"]
    with desk_of(upstreams, marketdata=url) as desk:
        ml.forget()
        assert desk.client.get("/api/data-quality?x=1").text == "ml"
        assert ml.last[0]["raw_path"] == b"/api/v1/marketdata/quality/report"
        assert ml.last[0]["query_string"] == b"x=1"
        assert desk.client.get("/api/data-quality/more").text == "page /api/data-quality/more"
