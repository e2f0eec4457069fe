from collections.abc import AsyncIterator

import pytest
from pydantic import BaseModel
from redis.asyncio import Redis

from shared.events import Consumer, publish

pytestmark = pytest.mark.integration


class Tick(BaseModel):
    n: int


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(redis_url, decode_responses=True)
    yield client
    await client.aclose()


def consumer(redis: Redis, name: str = "a") -> Consumer[Tick]:
    return Consumer(redis, "s", "g", name, Tick, block_ms=20)


async def drain(reader: Consumer[Tick]) -> list[tuple[str, Tick]]:
    taken: list[tuple[str, Tick]] = []
    for _ in range(5):
        taken += await reader.read()
    return taken


async def test_messages_arrive_in_order(redis: Redis) -> None:
    await publish(redis, "s", [Tick(n=n) for n in range(2500)])
    taken = await drain(consumer(redis))
    assert [tick.n for _, tick in taken] == list(range(2500))


async def test_what_was_not_acknowledged_comes_again_after_a_restart(redis: Redis) -> None:
    first = consumer(redis)
    await publish(redis, "s", [Tick(n=1), Tick(n=2)])
    taken = await drain(first)
    await first.ack([taken[0][0]])
    assert [tick.n for _, tick in await drain(consumer(redis))][:1] == [2]


async def test_a_failed_batch_can_be_read_again(redis: Redis) -> None:
    reader = consumer(redis)
    await publish(redis, "s", [Tick(n=1)])
    await drain(reader)
    reader.restart()
    assert [tick.n for _, tick in await reader.read()] == [1]


async def test_the_group_is_made_again_after_redis_lost_its_data(redis: Redis) -> None:
    reader = consumer(redis)
    await publish(redis, "s", [Tick(n=1)])
    assert len(await drain(reader)) == 1
    await redis.flushall()
    await publish(redis, "s", [Tick(n=2)])
    assert [tick.n for _, tick in await drain(reader)] == [2]


async def test_an_unreadable_message_is_dropped_and_does_not_stop_the_rest(redis: Redis) -> None:
    reader = consumer(redis)
    await redis.xadd("s", {"data": "{"})
    await redis.xadd("s", {"other": "x"})
    await publish(redis, "s", [Tick(n=3)])
    assert [tick.n for _, tick in await drain(reader)] == [3]
    assert (await redis.xpending("s", "g"))["pending"] == 1


async def test_nothing_published_is_nothing_sent(redis: Redis) -> None:
    await publish(redis, "s", [])
    assert not await redis.exists("s")
