"""Orders are answered past the framework's general way: nothing else about them may differ."""

import json
from typing import Any

import httpx
import pytest

from shared.roles import Role
from shared.shards import SHARD_HEADER
from tests.integration.risk.client import BASE, RiskClient, order
from tests.integration.risk.conftest import Running

pytestmark = pytest.mark.integration
ORDERS = f"{BASE}/accounts/main/orders"
JSON = {"Content-Type": "application/json"}
CORRELATION = "x-correlation-id"


async def both(risk: RiskClient, path: str, **request: Any) -> tuple[httpx.Response, httpx.Response]:
    """Send a request as it is, and with a query, though an empty one, which is never answered directly."""
    # Only callers that are known by now are answered directly.
    await risk.call("GET", "/accounts", role=Role.TRADER)
    headers = {CORRELATION: "same", **request.pop("headers", {})}
    direct = await risk.http.post(path, headers=headers, **request)
    return direct, await risk.http.post(f"{path}?&", headers=headers, **request)


def same(direct: httpx.Response, general: httpx.Response) -> bool:
    def shown(response: httpx.Response) -> tuple[Any, ...]:
        document = response.json()
        if isinstance(document, dict):
            document.pop("ts_event", None)
        headers = [response.headers.get(name) for name in ("content-type", CORRELATION, SHARD_HEADER, "allow")]
        return response.status_code, headers, document

    return shown(direct) == shown(general)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"null", b'"order"', b"\xff\xfe", b"\xef\xbb\xbf{}", b'{"a":NaN}', b"[" * 5_000),
        *(b"[" * 100_000, b'{"quantity":' + b"9" * 5_000 + b"}", b'{"symbol":"\x80"}'),
        json.dumps(order("o", quantity=1.5)).encode(),
        json.dumps(order("o", quantity="0")).encode(),
        json.dumps(order("o", unknown="1")).encode(),
        json.dumps(order("o o")).encode(),
        json.dumps(order("o")).encode("utf-16"),
        json.dumps(order("o")).encode(),
        json.dumps(order("o", symbol="NOBODY")).encode(),
        json.dumps(order("o", quantity="1" + "0" * 17)).encode(),
    ],
)
async def test_every_body_is_answered_the_same_way(risk: RiskClient, content: bytes) -> None:
    for path in (f"{ORDERS}/check", f"{BASE}/accounts/nobody/orders", f"{ORDERS}/batch"):
        if path.endswith("batch") and content.startswith(b'{"client'):
            continue
        headers = {**risk.auth(Role.TRADER), **JSON}
        assert same(*await both(risk, path, content=content, headers=headers)), (path, content)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": ""},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer kl_0123_nobody"},
        {"Authorization": "Basic dXNlcjpwYXNz"},
        {"Content-Type": ""},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/json; charset=utf-8"},
        {"Content-Type": "application/problem+json"},
    ],
)
async def test_every_caller_is_answered_the_same_way(risk: RiskClient, headers: dict[str, str]) -> None:
    sent = {**risk.auth(Role.TRADER), **JSON, **headers}
    assert same(*await both(risk, f"{ORDERS}/check", content=json.dumps(order("o")), headers=sent))


async def test_a_role_that_may_not_trade_is_refused_the_same_way(risk: RiskClient) -> None:
    for role in (Role.VIEWER, Role.RISK_OFFICER, Role.ADMIN):
        direct, general = await both(risk, f"{ORDERS}/check", json=order("o"), headers=risk.auth(role))
        assert direct.status_code == 403
        assert same(direct, general)


async def test_a_decision_the_same_order_again_and_a_conflict_are_answered_the_same_way(risk: RiskClient) -> None:
    headers = risk.auth(Role.TRADER)
    first, again = await both(risk, ORDERS, json=order("once"), headers=headers)
    assert first.json()["decision"] == "APPROVED"
    assert again.json() == first.json()
    assert same(*await both(risk, ORDERS, json=order("once", quantity="2"), headers=headers))
    batch = {"orders": [order("b1"), order("once", quantity="3")]}
    first, again = await both(risk, f"{ORDERS}/batch", json=batch, headers=headers)
    assert first.json()["refused"][0]["client_order_id"] == "once"
    assert again.json() == first.json()


async def test_too_long_a_body_is_refused_before_it_is_read(run_risk: Running) -> None:
    async with run_risk(max_body_bytes=2_000) as risk:
        await risk.set_up()
        answers = await both(risk, ORDERS, content=b" " * 2_001, headers={**risk.auth(Role.TRADER), **JSON})
        assert [answer.status_code for answer in answers] == [413, 413]


async def test_a_revoked_key_is_refused_at_once(risk: RiskClient) -> None:
    assert (await risk.call("POST", "/accounts/main/orders", order("o1"))).status_code == 200
    keys = risk.app.state.resources.settings.api_keys_file
    kept = keys.read_text()
    try:
        keys.write_text("[]")
        # The file is looked at once a second.
        risk.app.state.resources.authenticator._api_keys._looked = 0.0
        assert (await risk.call("POST", "/accounts/main/orders", order("o2"))).status_code == 401
    finally:
        keys.write_text(kept)


async def test_direct_requests_are_counted_under_their_route(risk: RiskClient) -> None:
    await both(risk, ORDERS, json=order("counted"), headers=risk.auth(Role.TRADER))
    await risk.http.post("/no/such/route", headers=risk.auth(Role.TRADER))
    text = (await risk.http.get("/metrics", headers=risk.auth(Role.VIEWER))).text
    template = "/api/v1/risk/accounts/{account_id}/orders"
    assert f'http_requests_total{{handler="{template}",method="POST",status="200"}} 2.0' in text
    assert 'http_requests_total{handler="none",method="any",status="404"} 1.0' in text
    assert f'http_request_duration_seconds_count{{handler="{template}",method="POST"}} 2.0' in text
