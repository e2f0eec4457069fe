"""A kill switch stops the next order everywhere, and goes on doing so whatever is started anew."""

import asyncio
import time
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from shared.embedded import EmbeddedPostgres, EmbeddedValkey
from shared.roles import Role
from shared.schemas.kill_switches import CANCELS_STREAM
from tests.integration.risk.client import order, until
from tests.integration.risk.load import Load, either, leader_of, set_up, verified
from tests.integration.risk.processes import RiskProcess, Start

pytestmark = pytest.mark.integration


async def test_no_order_that_begins_after_a_kill_switch_is_approved_on_any_replica(
    start: Start,
) -> None:
    with start() as first, start() as second:
        replicas = [first, second]
        leader = await asyncio.to_thread(leader_of, replicas)
        await set_up(leader, "1000000000")
        began: dict[str, float] = {}
        approved_after: list[str] = []
        stopped_at = float("inf")
        async with either(replicas) as send:

            async def timed(body: dict[str, Any]) -> httpx.Response:
                began.setdefault(body["client_order_id"], time.monotonic())
                answer = await send(body)
                if (
                    answer.status_code == 200
                    and answer.json()["decision"] == "APPROVED"
                    and began[body["client_order_id"]] > stopped_at
                ):
                    approved_after.append(body["client_order_id"])
                return answer

            load = Load("s")
            task = asyncio.create_task(load.run(timed))
            await asyncio.sleep(1)
            async with leader.client(Role.ADMIN) as admin:
                answer = await admin.post("/emergency-stop", json={"reason": "fire drill"})
                stopped_at = time.monotonic()
                answer.raise_for_status()
            await asyncio.sleep(0.5)
            # It holds after the leader is gone.
            leader.kill()
            await asyncio.sleep(2)
            load.stop.set()
            await task
        assert len(load.approved) > 10
        assert [each for each in began.values() if each > stopped_at]
        assert approved_after == []
        standby = second if leader is first else first
        async with standby.client() as client:
            assert (await client.get("/accounts/main")).json()["risk_level"] == "BLACK"


async def test_it_holds_after_a_restart_of_the_service_of_postgres_and_of_redis(
    start: Start, own_postgres: EmbeddedPostgres, own_valkey: EmbeddedValkey
) -> None:
    urls = {"database_url": own_postgres.start(), "redis_url": own_valkey.start()}
    with start(**urls) as risk:
        await asyncio.to_thread(risk.await_ready)
        await set_up(risk)
        async with risk.client(Role.ADMIN) as admin, risk.client() as client:
            sent = Sender(client)
            assert await sent.codes() == []
            assert await sent.codes("OTHER-STRATEGY") == []
            scoped = {"scope": "STRATEGY", "target": "OTHER-STRATEGY", "reason": "fire drill"}
            (await admin.post("/kill-switches", json=scoped)).raise_for_status()
            stop = (await admin.post("/emergency-stop", json={"reason": "fire drill"})).raise_for_status().json()
            for end, begin in (
                (risk.kill, risk.start),
                (own_postgres.kill, own_postgres.start),
                (own_postgres.stop, own_postgres.start),
                (own_valkey.kill, own_valkey.start),
                (own_valkey.stop, own_valkey.start),
            ):
                await asyncio.to_thread(end)
                await sent.none_is_approved()
                await asyncio.to_thread(begin)
                await until(lambda: _ready(risk), 60)
                assert await sent.codes() == ["KILL_SWITCH_ACTIVE"]
                await sent.none_is_approved()
            await _told_again(urls["redis_url"], stop["kill_switch_id"])
            # Released, it lets through what no other switch stops.
            released = await admin.post(f"/kill-switches/{stop['kill_switch_id']}/release", json={"reason": "over"})
            released.raise_for_status()
            assert await sent.codes() == []
            assert await sent.codes("OTHER-STRATEGY") == ["KILL_SWITCH_ACTIVE"]
        assert await verified(risk)


class Sender:
    """Orders of one caller, each under an id of its own."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._count = 0

    async def codes(self, strategy: str = "trend") -> list[str]:
        """Send an order; return why it is denied, nothing where it is approved."""
        answer = (await self._send(strategy, 30)).raise_for_status().json()
        return [reason["code"] for reason in answer["reasons"]]

    async def none_is_approved(self, seconds: float = 0.5) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                answer = await self._send("trend", 0.5)
            except httpx.HTTPError:
                # The service itself is away.
                continue
            assert answer.status_code == 503 or answer.json()["decision"] == "DENIED", answer.text

    async def _send(self, strategy: str, timeout: float) -> httpx.Response:
        self._count += 1
        body = order(f"o{self._count}", strategy_id=strategy)
        return await self._client.post("/accounts/main/orders", json=body, timeout=timeout)


async def _ready(risk: RiskProcess) -> bool:
    return await asyncio.to_thread(risk.ready)


async def _told_again(redis_url: str, kill_switch_id: str) -> None:
    """Hold that execution is told to cancel by a Redis that has lost what it was told before."""
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        await redis.flushall()

        async def told() -> bool:
            return kill_switch_id in str(await redis.xrange(CANCELS_STREAM))

        await until(told, 60)
