"""What outlives a process, in a real Valkey."""

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

import pytest
from redis.asyncio import Redis

from services.marketdata.core.feeds.breaker import Breaker
from services.marketdata.core.feeds.failover import Active
from services.marketdata.feeds.http_push import HttpPushConnector
from services.marketdata.feeds.manager import Manager
from services.marketdata.feeds.memory import FeedMemory
from shared.schemas.feeds import CircuitState
from tests.integration.marketdata.feeds.desk import CALLS, CLOCK, Told, fetched, running
from tests.integration.marketdata.feeds.sources import Polled, Sink, until

pytestmark = pytest.mark.integration


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


async def test_a_new_process_goes_on_with_the_active_source_and_the_open_circuits(redis: Redis) -> None:
    now = CLOCK.now()
    opened = Breaker(CircuitState.OPEN, 3, opened=2, retry_at=now + timedelta(seconds=60))
    active = Active("b", now, {"a": now})
    await FeedMemory(redis).save(active, {"a": opened, "b": Breaker()})
    connectors = [Polled(partial(fetched, name), name=name) for name in ("a", "b")]
    manager = Manager(connectors, CLOCK, Told().wiring(Sink(), FeedMemory(redis)), CALLS)
    async with running(manager):
        await until(lambda: manager.active is not None)
        assert manager.active == "b"
        view = manager.snapshot()[0]
    assert view.circuit is CircuitState.OPEN
    # Not longer than its own policy would keep it open.
    assert view.retry_at is not None
    assert view.retry_at - CLOCK.now() <= timedelta(seconds=0.4)


async def test_it_survives_nonsense_and_a_source_that_is_gone(redis: Redis) -> None:
    await redis.set("keelson:marketdata:feeds", '{"active": 3}')
    assert await FeedMemory(redis).load() == (Active(), {})
    await FeedMemory(redis).save(Active("gone", CLOCK.now(), {}), {})
    manager = Manager([HttpPushConnector("here")], CLOCK, Told().wiring(Sink(), FeedMemory(redis)))
    async with running(manager):
        await until(lambda: manager.active == "here")


async def test_without_redis_it_starts_and_runs_all_the_same() -> None:
    nobody = Redis.from_url("redis://127.0.0.1:1/0", socket_connect_timeout=0.2)
    manager = Manager([HttpPushConnector("here")], CLOCK, Told().wiring(Sink(), FeedMemory(nobody)))
    async with running(manager):
        await until(lambda: manager.active == "here")
    await nobody.aclose()


async def test_nothing_is_written_while_nothing_changes(redis: Redis) -> None:
    memory = FeedMemory(redis)
    await memory.save(Active("a", CLOCK.now(), {}), {})
    await redis.delete("keelson:marketdata:feeds")
    active = Active("a")
    await memory.save(active, {})
    assert await redis.get("keelson:marketdata:feeds") is not None
    await redis.delete("keelson:marketdata:feeds")
    await memory.save(active, {})
    assert await redis.get("keelson:marketdata:feeds") is None
