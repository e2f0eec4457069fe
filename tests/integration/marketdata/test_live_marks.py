"""The latest marks: from Redis beside the stream, from the tables where it has none, the newest event time always."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

from services.marketdata.live.latest import LATEST_KEY, SIMULATION_SECONDS
from services.marketdata.settings import MarketdataSettings
from shared.embedded import EmbeddedPostgres, EmbeddedValkey
from shared.events import MARKS_STREAM
from tests.conftest import MakeSettings
from tests.harness import Tokens
from tests.integration.marketdata.client import BASE, START, Client, bar, batch, client_of

pytestmark = pytest.mark.integration
# Nothing is a simulation here unless it says so.
LIVE: dict[str, Any] = {"simulation_id": None}


@pytest.fixture
async def client(make_settings: MakeSettings, tokens: Tokens) -> AsyncIterator[Client]:
    async with client_of(make_settings(MarketdataSettings), tokens) as found:
        yield found


async def mark(client: Client, symbol: str = "X", query: str = "") -> dict[str, Any]:
    found: dict[str, Any] = await client.get(f"/marks/{symbol}{query}")
    return found


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 10) -> None:
    # By the clock: redis-py may lose a cancellation, see shared/tasks.py.
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "it did not come about"
        await asyncio.sleep(0.02)


async def in_redis(client: Client, price: str, query: str = "") -> dict[str, Any]:
    """Wait until Redis has the mark of X at a price."""

    async def held() -> bool:
        response = await client.http.get(f"{BASE}/marks/X{query}")
        found = response.json()
        return response.status_code == 200 and (found["held_in"], found["price"]) == ("redis", price)

    await until(held)
    return await mark(client, "X", query)


def moment(minute: int) -> str:
    return (START + timedelta(minutes=minute)).isoformat().replace("+00:00", "Z")


async def test_the_latest_mark_is_of_the_newest_moment_and_not_of_the_last_word(client: Client, redis_url: str) -> None:
    await client.post("/bars", batch(bar(0, "101"), bar(1, "102"), **LIVE))
    found = await in_redis(client, "102")
    assert found == {
        "symbol": "X",
        "price": "102",
        "ts_event": moment(2),
        "source": "test",
        "simulation_id": None,
        "severity": "ok",
        "usable": True,
        "held_in": "redis",
    }
    # A late correction, and a correction of the newest.
    async with Redis.from_url(redis_url) as redis:
        count = await redis.xlen(MARKS_STREAM)
        await client.post("/bars", batch(bar(0, "103"), **LIVE))
        await until(lambda: _published(redis, count + 1))
    assert await mark(client) == found
    await client.post("/bars", batch(bar(1, "104"), **LIVE))
    assert (await in_redis(client, "104"))["ts_event"] == moment(2)


async def test_a_critical_mark_is_shown_as_what_it_is(client: Client) -> None:
    await client.post("/bars", batch(bar(0, "101"), bar(1, "102", low="500"), **LIVE))
    found = await in_redis(client, "102")
    assert (found["severity"], found["usable"]) == ("critical", False)
    await client.post("/bars", batch(bar(2, "101"), **LIVE))
    assert (await in_redis(client, "101"))["usable"] is True


async def test_several_are_asked_for_at_once(client: Client) -> None:
    await client.post("/bars", batch(bar(0, "1"), bar(0, "2", "BTC/USDT"), **LIVE))
    await in_redis(client, "1")
    found = await client.get("/marks?symbols=BTC/USDT,NONE,X,X")
    assert [(each["symbol"], each["price"]) for each in found["items"]] == [("BTC/USDT", "2"), ("X", "1")]
    assert found["unknown"] == ["NONE"]
    assert (await mark(client, "BTC/USDT"))["price"] == "2"
    for path, status in (("/marks/NONE", 404), ("/marks?symbols=a", 422), ("/marks", 422), ("/marks/a%20b", 422)):
        assert (await client.http.get(BASE + path)).status_code == status, path


async def test_simulations_are_apart_and_expire(client: Client, redis_url: str) -> None:
    await client.post("/bars", batch(bar(0, "7"), simulation_id="s1"))
    await in_redis(client, "7", "?simulation_id=s1")
    assert (await client.http.get(f"{BASE}/marks/X")).status_code == 404
    async with Redis.from_url(redis_url) as redis:
        assert 0 < await redis.ttl(f"{LATEST_KEY}:s1") <= SIMULATION_SECONDS
        assert await redis.exists(LATEST_KEY) == 0


async def test_what_redis_has_lost_is_in_the_tables_and_comes_back(client: Client, redis_url: str) -> None:
    await client.post("/bars", batch(bar(5, "105"), **LIVE))
    before = await in_redis(client, "105")
    async with Redis.from_url(redis_url) as redis:
        await redis.flushall()
        assert await mark(client) == {**before, "held_in": "database"}
        # One of long before: it is published, and does not pass for the latest.
        await client.post("/bars", batch(bar(0, "100.5"), **LIVE))
        await until(lambda: _published(redis, 1))
        assert await mark(client) == before
        # Something else under the name neither stops the marks nor is taken for one.
        await redis.set(LATEST_KEY, "x")
        assert (await mark(client))["held_in"] == "database"
        await redis.delete(LATEST_KEY)
        await redis.hset(LATEST_KEY, "X", "nonsense")
        assert (await mark(client))["held_in"] == "database"


async def _published(redis: "Redis", count: int) -> bool:
    return bool(await redis.xlen(MARKS_STREAM) >= count)


async def test_a_key_of_another_kind_does_not_hold_up_the_marks(client: Client, redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        await redis.set(LATEST_KEY, "x")
        await client.post("/bars", batch(bar(0, "9"), **LIVE))
        await in_redis(client, "9")
        assert await redis.xlen(MARKS_STREAM) == 1


async def test_without_redis_the_tables_answer_and_without_both_nobody(
    make_settings: MakeSettings, tokens: Tokens, own_valkey: EmbeddedValkey, own_postgres: EmbeddedPostgres
) -> None:
    settings = make_settings(MarketdataSettings, redis_url=own_valkey.start(), database_url=own_postgres.start())
    async with client_of(settings, tokens) as client:
        await client.post("/bars", batch(bar(0, "8"), **LIVE))
        await in_redis(client, "8")
        own_valkey.stop()
        assert (await mark(client))["held_in"] == "database"
        own_valkey.start()
        await in_redis(client, "8")
        own_postgres.stop()
        assert (await mark(client))["held_in"] == "redis"
        own_valkey.stop()
        response = await client.http.get(f"{BASE}/marks/X")
        assert (response.status_code, response.json()["type"]) == (503, "urn:keelson:problem:dependency-unavailable")


async def test_the_tables_give_the_mark_that_was_published_of_every_kind(client: Client, redis_url: str) -> None:
    """What is worked out of rows is what Redis had of them, for each kind that makes marks."""
    ts = (START + timedelta(minutes=1)).isoformat()
    later = (START + timedelta(minutes=2)).isoformat()
    source = {"source": "test", "simulation_id": "s1"}
    quote = {"expiry": "2024-02-01", "strike": "100", "open_interest": "7"}
    chain = {"option_chain": [{**quote, "right": "C"}, {**quote, "right": "P"}]}
    whole = {"total_call_oi": "7", "total_put_oi": "7", **chain}
    tick = {"symbol": "TICK", "ts": ts, "trade_id": "1", "price": "11.5", "quantity": "1"}
    book = {"symbol": "BOOK", "ts": ts, "sequence": 1, "bids": [["10", "1"]], "asks": [["11", "1"]]}
    empty = {"symbol": "BOOK", "ts": later, "sequence": 2, "bids": [], "asks": [["11", "1"]]}
    await client.post("/bars", batch(bar(0, "5", "BAR"), bar(0, "6", "BAR", interval="5m")))
    await client.post("/ticks", {**source, "ticks": [tick]})
    await client.post("/order-books", {**source, "order_books": [book, empty]})
    states = [
        {"symbol": "STATE", "timestamp": ts, "spot_price": "100", **whole},
        # Without a price it says that the last one known is not to be used.
        {"symbol": "STATE", "timestamp": later, **whole},
    ]
    await client.post("/market-states", {**source, "states": states})
    symbols = "BAR,TICK,BOOK,STATE"
    path = f"/marks?symbols={symbols}&simulation_id=s1"

    async def all_in_redis() -> bool:
        held = (await client.get(path))["items"]
        return len(held) == 4 and all(each["held_in"] == "redis" for each in held)

    await until(all_in_redis)
    published = (await client.get(path))["items"]
    assert [(each["symbol"], each["price"], each["usable"]) for each in published] == [
        ("BAR", "6", True),
        ("TICK", "11.5", True),
        ("BOOK", "10.5", True),
        ("STATE", "100", False),
    ]
    async with Redis.from_url(redis_url) as redis:
        await redis.flushall()
    assert (await client.get(path))["items"] == [{**each, "held_in": "database"} for each in published]
