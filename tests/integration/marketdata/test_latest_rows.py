"""Live rows that come one by one: a new level of price, and moments that have not come yet."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.integration.marketdata.client import START, bar, batch
from tests.integration.marketdata.watched import SECOND, Watched

pytestmark = pytest.mark.integration


async def until_latest(live: Watched, price: str, *, usable: bool) -> None:
    async with asyncio.timeout(10):
        while True:
            found = await live.client.get("/marks/X")
            if (found["price"], found["usable"]) == (price, usable):
                return
            await asyncio.sleep(0.02)


async def test_a_new_level_is_confirmed_by_its_second_value_though_each_comes_by_itself(live: Watched) -> None:
    for n in range(30):
        live.clock.advance(SECOND)
        await live.tick(price=f"100.{n % 3}")
    verdicts = []
    for _ in range(4):
        live.clock.advance(SECOND)
        told = await live.tick(price="80")
        verdicts.append([issue["code"] for verdict in told["verdicts"] for issue in verdict["issues"]])
    assert verdicts == [["price_outlier"], [], [], []]
    assert await live.issues() == {}
    # What is wrong in any other way confirms nothing.
    for _ in range(2):
        assert (await live.tick(price="70", age=-60))["verdicts"][0]["severity"] == "critical"
    live.clock.advance(90 * SECOND)
    assert (await live.tick(price="70"))["verdicts"][0]["issues"][0]["code"] == "price_outlier"


async def test_bars_of_a_new_level_too(live: Watched) -> None:
    async def send(minute: int, price: str) -> Any:
        live.clock.set(START + timedelta(minutes=minute + 1, seconds=1))
        prices = {"open": price, "high": price, "low": price, "close": price}
        return await live.client.post("/bars", batch(bar(minute, **prices), simulation_id=None))

    for minute in range(30):
        await send(minute, f"100.{minute % 3}")
    assert [(await send(minute, "80"))["flagged"] for minute in range(30, 33)] == [1, 0, 0]


async def test_a_row_of_the_future_is_not_the_newest_for_long(live: Watched, redis_url: str) -> None:
    await live.tick(price="100")
    for _ in range(2):
        live.clock.advance(SECOND)
        assert (await live.tick(price="101", age=-30 * 86_400))["flagged"] == 1
        await until_latest(live, "101", usable=False)
        live.clock.advance(SECOND)
        await live.tick(price="102")
        await until_latest(live, "102", usable=True)
        # What Redis has lost is worked out of the rows.
        async with Redis.from_url(redis_url) as redis:
            await redis.flushall()
        await until_latest(live, "102", usable=True)
    (feed,) = [each for each in (await live.client.get("/feeds"))["items"] if each["source"] == "a"]
    assert datetime.fromisoformat(feed["last_ts_event"]) == live.clock.now()
    health = await live.client.get("/feeds/a/health")
    assert datetime.fromisoformat(health["last_ts_event"]) == live.clock.now()
