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


async def drain(reader: Consumer[Tick]) -> list[int]:
    taken = []
    for _ in range(5):
        taken += await book(reader)
    return taken


async def book(reader: Consumer[Tick]) -> list[int]:
    messages = await reader.read()
    await reader.ack([entry_id for entry_id, _ in messages])
    return [tick.n for _, tick in messages]


async def test_messages_arrive_in_order(redis: Redis) -> None:
    await publish(redis, "s", [Tick(n=n) for n in range(2500)])
    assert await drain(consumer(redis)) == list(range(2500))


async def test_what_was_not_acknowledged_comes_again_after_a_restart(redis: Redis) -> None:
    first = consumer(redis)
    await publish(redis, "s", [Tick(n=1), Tick(n=2)])
    taken = await first.read()
    await first.ack([taken[0][0]])
    assert await drain(consumer(redis)) == [2]


async def test_a_failed_batch_can_be_read_again(redis: Redis) -> None:
    reader = consumer(redis)
    await publish(redis, "s", [Tick(n=1)])
    await reader.read()
    await publish(redis, "s", [Tick(n=2)])
    reader.restart()
    assert await drain(reader) == [1, 2]


@pytest.mark.parametrize("busy", [False, True])
async def test_what_a_former_process_of_the_same_name_took_and_never_booked_is_taken_over(
    redis: Redis, busy: bool
) -> None:
    before, after = consumer(redis), consumer(redis)
    assert await drain(before) == await drain(after) == []
    await publish(redis, "s", [Tick(n=0)])
    # It took the message when its successor was at work already, and it never came to book it.
    assert len(await before.read()) == 1
    found: list[int] = []
    for number in range(1, 40):
        if busy:
            await publish(redis, "s", [Tick(n=number)])
        found += await book(after)
    assert found.count(0) == 1


async def test_the_group_is_made_again_after_redis_lost_its_data(redis: Redis) -> None:
    reader = consumer(redis)
    await publish(redis, "s", [Tick(n=1)])
    assert await drain(reader) == [1]
    await redis.flushall()
    await publish(redis, "s", [Tick(n=2)])
    assert await drain(reader) == [2]


async def test_an_unreadable_message_is_dropped_and_does_not_stop_the_rest(redis: Redis) -> None:
    reader = consumer(redis)
    await redis.xadd("s", {"data": "{"})
    await redis.xadd("s", {"other": "x"})
    await publish(redis, "s", [Tick(n=3)])
    assert [tick.n for _, tick in await reader.read()] == [3]
    assert (await redis.xpending("s", "g"))["pending"] == 1


async def test_nothing_published_is_nothing_sent(redis: Redis) -> None:
    await publish(redis, "s", [])
    assert not await redis.exists("s")
