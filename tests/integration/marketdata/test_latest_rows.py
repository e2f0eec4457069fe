"""Live rows that come one by one: a new level of price, and moments that have not come yet."""

import asyncio
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from redis.asyncio import Redis

from services.marketdata.live.latest import LATEST_KEY
from services.marketdata.settings import MarketdataSettings
from tests.conftest import MakeSettings
from tests.harness import Tokens
from tests.integration.marketdata.client import START, bar, batch
from tests.integration.marketdata.watched import SECOND, Watched, watched

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


async def test_a_row_of_the_future_is_not_the_newest_for_long(live: Watched) -> None:
    await live.tick(price="100")
    for _ in range(2):
        live.clock.advance(SECOND)
        assert (await live.tick(price="101", age=-30 * 86_400))["flagged"] == 1
        await until_latest(live, "101", usable=False)
        live.clock.advance(SECOND)
        await live.tick(price="102")
        await until_latest(live, "102", usable=True)
    (feed,) = [each for each in (await live.client.get("/feeds"))["items"] if each["source"] == "a"]
    assert datetime.fromisoformat(feed["last_ts_event"]) == live.clock.now()
    health = await live.client.get("/feeds/a/health")
    assert datetime.fromisoformat(health["last_ts_event"]) == live.clock.now()


def row_of(kind: str, live: Watched, price: str, ahead: timedelta) -> tuple[str, dict[str, Any]]:
    """Return a row of a kind that is known so long from now on, and where it is posted."""
    moment = live.clock.now() + ahead
    whole = {"symbol": "X", "ts": moment.isoformat()}
    if kind == "bars":
        start = {"ts": (moment - timedelta(minutes=1)).isoformat()}
        prices = dict.fromkeys(("open", "high", "low", "close"), price)
        return kind, {**whole, **start, **prices, "interval": "1m", "volume": "1"}
    if kind == "ticks":
        return kind, {**whole, "trade_id": price, "price": price, "quantity": "1"}
    if kind == "order-books":
        return kind, {**whole, "sequence": 1, "bids": [[price, "1"]], "asks": [[f"{price}.01", "1"]]}
    quote = {"expiry": "2024-02-01", "strike": "100", "open_interest": "7"}
    chain = [{**quote, "right": "C"}, {**quote, "right": "P"}]
    state = {"symbol": "X", "timestamp": moment.isoformat(), "spot_price": price, "option_chain": chain}
    return "market-states", {**state, "total_call_oi": "7", "total_put_oi": "7"}


@pytest.mark.parametrize("kind", ["bars", "ticks", "order-books", "market-states"])
async def test_the_tables_say_of_a_row_of_the_future_what_was_published_of_it(
    make_settings: MakeSettings, tokens: Tokens, series_database_url: str, redis_url: str, kind: str
) -> None:
    settings = make_settings(MarketdataSettings, database_url=series_database_url, marketdata_monitor_seconds=60)
    async with watched(settings, tokens) as live, Redis.from_url(redis_url) as redis:

        async def told(price: str, ahead: timedelta = timedelta(0)) -> dict[str, Any]:
            """Send a row, and return what is said once it is published and once Redis has lost it."""
            live.clock.advance(60 * SECOND)
            path, row = row_of(kind, live, price, ahead)
            field = path.replace("-", "_") if path != "market-states" else "states"
            await live.client.post(f"/{path}", {"source": "a", field: [row]})
            async with asyncio.timeout(10):
                while not await redis.hexists(LATEST_KEY, "X"):
                    await asyncio.sleep(0.02)
            published = await live.client.get("/marks/X")
            await redis.flushall()
            assert await live.client.get("/marks/X") == {**published, "held_in": "database"}
            assert datetime.fromisoformat(published["ts_event"]) == live.clock.now()
            return published

        # Before anything else is known.
        assert not (await told("135", timedelta(days=35)))["usable"]
        assert (await told("100"))["usable"]
        # The second is of a moment before the first, and came after it.
        for days in (30, 20):
            assert not (await told(f"{100 + days}", timedelta(days=days)))["usable"]
        # Its own moment is over, and so are those that were of the future.
        assert (await told("101"))["usable"]
        live.clock.advance(timedelta(days=40))
        assert (await told("102"))["price"].startswith("102")


async def test_a_bad_high_is_no_mark_and_hides_no_later_one(live: Watched) -> None:
    def minute(number: int, **prices: str) -> dict[str, Any]:
        draw = Random(number)
        opened, close = (f"100.0{draw.randrange(1_000)}1" for _ in range(2))
        sound = {"open": opened, "high": "100.11", "low": "99.99", "close": close}
        return bar(number, **{**sound, **prices}, volume="10")

    async def send(number: int, **prices: str) -> list[tuple[str, str]]:
        live.clock.set(START + timedelta(minutes=number + 1, seconds=1))
        told = await live.client.post("/bars", batch(minute(number, **prices), simulation_id=None))
        return [
            (issue["severity"], f"{issue['code']} {issue['details'].get('field')}")
            for verdict in told["verdicts"]
            for issue in verdict["issues"]
        ]

    live.clock.set(START + timedelta(minutes=100))
    told = await live.client.post("/bars", batch(*map(minute, range(100)), simulation_id=None))
    assert (told["stored"], told["flagged"]) == (100, 0)
    assert await send(100) == []
    for number, prices in enumerate(({"high": "1000000"}, {"low": "0.01"}, {"open": "150", "high": "150"}), 101):
        assert await send(number, **prices) == [("critical", f"price_outlier {next(iter(prices))}")]
        await until_latest(live, minute(number)["close"], usable=False)
        latest = await live.client.get(f"/asof?symbol=X&at={live.clock.now():%Y-%m-%dT%H:%M:%SZ}")
        assert datetime.fromisoformat(latest["ts"]) == START + timedelta(minutes=100)
    assert await send(104) == []
    await until_latest(live, minute(104)["close"], usable=True)
