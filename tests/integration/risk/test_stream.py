"""Events as they happen, and cancels that execution is told of."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis

from services.risk.engine import Engine
from services.risk.main import create
from services.risk.settings import RiskSettings
from shared.roles import Role
from shared.schemas.kill_switches import CANCELS_STREAM
from tests.conftest import MakeSettings
from tests.harness import serving
from tests.integration.risk.client import BASE, RiskClient, until
from tests.integration.risk.test_clients import Auth

pytestmark = pytest.mark.integration


@pytest.fixture
async def served(make_settings: MakeSettings, auth: Auth) -> AsyncIterator[RiskClient]:
    app = create(make_settings(RiskSettings))
    async with serving(app) as url, httpx.AsyncClient(base_url=url, timeout=10) as http:
        risk = RiskClient(http, auth, app)
        await until(risk.ready)
        await risk.set_up()
        yield risk


async def events(risk: RiskClient, count: int, query: str = "", last: int | None = None) -> list[dict[str, Any]]:
    headers = {**risk.auth(Role.VIEWER), **({"Last-Event-ID": str(last)} if last is not None else {})}
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(10), risk.http.stream("GET", f"{BASE}/stream{query}", headers=headers) as answer:
        assert answer.status_code == 200
        event: dict[str, Any] = {}
        async for line in answer.aiter_lines():
            name, _, value = line.partition(": ")
            if name in {"id", "event", "data"}:
                event[name] = value
            elif not line and event:
                found.append({**event, "data": json.loads(event["data"])})
                event = {}
                if len(found) == count:
                    break
    return found


async def test_decisions_are_streamed_as_they_are_made(served: RiskClient) -> None:
    listening = asyncio.create_task(events(served, 3, "?kind=ORDER_APPROVED&kind=ORDER_DENIED&account_id=main"))
    await asyncio.sleep(0.5)
    decisions = [await served.order("o1"), await served.order("o2", "1000"), await served.order("o3")]
    found = await listening
    assert [int(each["id"]) for each in found] == [decision["seq"] for decision in decisions]
    assert [each["event"] for each in found] == ["ORDER_APPROVED", "ORDER_DENIED", "ORDER_APPROVED"]
    assert found[1]["data"]["decision"]["reasons"][0]["code"] == "POSITION_LIMIT"


async def test_whoever_comes_back_misses_nothing(served: RiskClient) -> None:
    first = await served.order("o1")
    for number in range(2, 20):
        await served.order(f"o{number}")
    later = asyncio.create_task(events(served, 20, "?kind=ORDER_APPROVED", last=first["seq"]))
    await asyncio.sleep(0.3)
    await served.order("o20")
    await served.order("o21")
    ids = [each["data"]["order"]["client_order_id"] for each in await later]
    assert ids == [f"o{number}" for number in range(2, 22)]


async def test_one_reader_too_many_is_refused_until_another_has_left(make_settings: MakeSettings, auth: Auth) -> None:
    # Two of the four are the service's own: the cancels' and the history's.
    app = create(make_settings(RiskSettings, risk_streams=4))
    async with serving(app) as url, httpx.AsyncClient(base_url=url, timeout=10, headers=auth(Role.VIEWER)) as http:
        risk = RiskClient(http, auth, app)
        await until(risk.ready)
        one = http.stream("GET", f"{BASE}/stream")
        async with http.stream("GET", f"{BASE}/stream") as other:
            async with one as first:
                assert [first.status_code, other.status_code] == [200, 200]
                await until(lambda: _full(app))
                refused = await risk.call("GET", "/stream")
                assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
                assert "TRADING_RISK_STREAMS" in refused.json()["detail"]

            async def taken() -> bool:
                async with http.stream("GET", f"{BASE}/stream") as again:
                    return again.status_code == 200

            await until(taken)


async def _full(app: FastAPI) -> bool:
    engine: Engine = app.state.engine
    return engine.broadcast.full


async def test_cancels_of_a_switch_are_told_until_they_are_acknowledged(
    served: RiskClient, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.risk.cancels._REPEAT_SECONDS", 0.5)
    switch = await served.ok("POST", "/kill-switches", {"scope": "FIRM", "reason": "fire drill"}, Role.ADMIN)
    async with Redis.from_url(redis_url, decode_responses=True) as redis:

        async def told(times: int) -> bool:
            return bool(await redis.xlen(CANCELS_STREAM) >= times)

        await until(lambda: told(3))
        message = json.loads((await redis.xrange(CANCELS_STREAM, count=1))[0][1]["data"])
        assert (message["kill_switch_id"], message["scope"]) == (switch["kill_switch_id"], "FIRM")
        path = f"/kill-switches/{switch['kill_switch_id']}/acknowledgements"
        await served.ok("POST", path, {"execution_id": "gateway-1", "cancelled_orders": 0})
        await asyncio.sleep(0.5)
        count = await redis.xlen(CANCELS_STREAM)
        await asyncio.sleep(1.2)
        assert await redis.xlen(CANCELS_STREAM) == count
