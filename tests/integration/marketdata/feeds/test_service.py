"""The whole service with exchanges on loopback: polled, backfilled, failed over, and told over its API."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.marketdata.backfills import Backfills
from services.marketdata.main import create
from services.marketdata.settings import MarketdataSettings
from shared.clock import SystemClock
from shared.roles import Role
from shared.schemas.feeds import FeedSwitch, SwitchReason
from tests.conftest import MakeSettings
from tests.harness import Tokens, running, serving
from tests.integration.marketdata.client import BASE, Client, bar, batch, client_of
from tests.integration.marketdata.feeds.exchange import Exchange
from tests.integration.marketdata.measured import metric

pytest.importorskip("ccxt", reason="ccxt is an extra: requirements/feeds.in")
pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
CLOCK = SystemClock()


@pytest.fixture
def exchange() -> Exchange:
    now = CLOCK.now().replace(second=0, microsecond=0)
    found = Exchange(now)
    found.add_bars(now - timedelta(minutes=3_000), 3_001)
    return found


@asynccontextmanager
async def service(
    make_settings: MakeSettings, tokens: Tokens, exchange: Exchange, **more: Any
) -> AsyncIterator[Client]:
    async with serving(exchange.app) as url:
        settings = make_settings(
            MarketdataSettings,
            primary_source="ccxt.binance",
            marketdata_source_urls=f"ccxt.binance={url}",
            marketdata_symbols="BTCUSDT=BTC/USDT",
            marketdata_poll_seconds=0.2,
            marketdata_calls_per_second=100,
            connection_timeout=2,
            **more,
        )
        async with client_of(settings, tokens) as client:
            yield client


async def wait_for(ask: Callable[[], Awaitable[Any]], good: Callable[[Any], bool], seconds: float = 40) -> Any:
    found = None
    async with asyncio.timeout(seconds):
        while True:
            found = await ask()
            if good(found):
                return found
            await asyncio.sleep(0.1)


def request(first: datetime, last: datetime, **changes: Any) -> dict[str, Any]:
    body = {"source": "ccxt.binance", "symbol": "BTCUSDT", "interval": "1m", "reason": "history for a model"}
    return {**body, "start": first.isoformat(), "end": last.isoformat(), **changes}


async def test_bars_of_an_exchange_are_stored_and_its_history_is_fetched(
    make_settings: MakeSettings, tokens: Tokens, exchange: Exchange
) -> None:
    async with service(make_settings, tokens, exchange) as client:
        polled = await wait_for(lambda: client.get("/bars?symbol=BTCUSDT&interval=1m"), lambda page: page["items"])
        assert polled["items"][0]["source"] == "ccxt.binance"
        start, end = exchange.now - timedelta(minutes=2_500), exchange.now - timedelta(minutes=10)
        response = await client.http.post(f"{BASE}/backfill", json=request(start, end))
        assert response.status_code == 202, response.text
        begun = response.json()
        assert (begun["state"], begun["progress"], begun["requested_by"]) == ("QUEUED", 0.0, "test-service")
        path = f"/backfills/{begun['backfill_id']}"
        done = await wait_for(lambda: client.get(path), lambda found: found["state"] != "RUNNING" and found["progress"])
        assert (done["state"], done["progress"], done["rows"], done["error"]) == ("DONE", 1.0, 2_490, None)
        window = f"start={start.isoformat()}&end={end.isoformat()}".replace("+", "%2B")
        stored = await client.all(f"/bars?symbol=BTCUSDT&interval=1m&limit=1000&{window}")
        assert [datetime.fromisoformat(item["ts"]) for item in stored] == [
            start + timedelta(minutes=n) for n in range(2_490)
        ]
        assert Decimal(stored[7]["open"]) == Decimal("42507.1") - 500 + (500 + 7) % 100 - 7
        assert [each["backfill_id"] for each in await client.all("/backfills?limit=1")] == [begun["backfill_id"]]
        # What is over stays so.
        for change in ("cancel", "resume"):
            assert (await client.http.post(f"{BASE}{path}/{change}")).status_code == 409
        assert (await client.http.get(f"{BASE}/backfills/none")).status_code == 404


async def test_a_backfill_that_fails_says_why_and_goes_on_where_it_stopped(
    make_settings: MakeSettings, tokens: Tokens, exchange: Exchange
) -> None:
    async with service(make_settings, tokens, exchange) as client:
        await wait_for(lambda: client.get("/bars?symbol=BTCUSDT&interval=1m"), lambda page: page["items"])
        before = metric("marketdata_backfills_total", state="FAILED") or 0
        exchange.fault = "500"
        start, end = exchange.now - timedelta(minutes=900), exchange.now - timedelta(minutes=100)
        begun = (await client.http.post(f"{BASE}/backfill", json=request(start, end))).json()
        path = f"/backfills/{begun['backfill_id']}"
        failed = await wait_for(lambda: client.get(path), lambda found: found["state"] == "FAILED")
        assert failed["error"]
        assert metric("marketdata_backfills_total", state="FAILED") == before + 1
        exchange.fault = ""

        async def resumed() -> Any:
            await client.http.post(f"{BASE}{path}/resume")
            return await client.get(path)

        done = await wait_for(resumed, lambda found: found["state"] == "DONE")
        assert (done["rows"], done["error"]) == (800, None)


async def test_a_restart_in_the_middle_loses_and_doubles_nothing(
    make_settings: MakeSettings, tokens: Tokens, exchange: Exchange
) -> None:
    start, end = exchange.now - timedelta(minutes=2_900), exchange.now - timedelta(minutes=100)
    async with service(make_settings, tokens, exchange) as client:
        await wait_for(lambda: client.get("/bars?symbol=BTCUSDT&interval=1m"), lambda page: page["items"])
        exchange.fault = "slow"
        begun = (await client.http.post(f"{BASE}/backfill", json=request(start, end))).json()
        path = f"/backfills/{begun['backfill_id']}"
        await wait_for(lambda: client.get(path), lambda found: found["rows"] > 0)
    exchange.fault = ""
    async with service(make_settings, tokens, exchange) as client:
        done = await wait_for(lambda: client.get(path), lambda found: found["state"] == "DONE")
        assert done["progress"] == 1.0
        window = f"start={start.isoformat()}&end={end.isoformat()}".replace("+", "%2B")
        stored = await client.all(f"/bars?symbol=BTCUSDT&interval=1m&limit=1000&{window}")
        assert len(stored) == 2_800
        assert {item["revision"] for item in stored} == {1}


@pytest.mark.parametrize(
    ("changes", "location"),
    [
        ({"source": "nobody"}, "body.source"),
        ({"interval": "2m"}, "body.interval"),
        ({"start": "2024-01-02T00:00:00Z", "end": "2024-01-02T00:00:00Z"}, "body"),
        ({"reason": ""}, "body.reason"),
    ],
)
async def test_backfills_that_cannot_be(
    make_settings: MakeSettings, tokens: Tokens, changes: dict[str, Any], location: str
) -> None:
    async with client_of(make_settings(MarketdataSettings), tokens) as client:
        moment = CLOCK.now()
        response = await client.http.post(
            f"{BASE}/backfill", json=request(moment - timedelta(days=1), moment, **changes)
        )
        assert response.status_code == 422
        assert response.json()["errors"][0]["location"] == location
        assert await client.all("/backfills?limit=10") == []


async def test_sources_that_push_are_watched(make_settings: MakeSettings, tokens: Tokens) -> None:
    settings = make_settings(MarketdataSettings, primary_source="desk", marketdata_sources="desk,other")
    async with client_of(settings, tokens) as client:
        minute = CLOCK.now().replace(second=0, microsecond=0) - timedelta(minutes=2)
        rows = [bar(0, ts=minute.isoformat()), bar(0, ts=(minute + timedelta(minutes=1)).isoformat(), high="1")]
        await client.post("/bars", batch(*rows, source="desk", simulation_id=None))
        await client.post("/bars", batch(*rows, source="desk", simulation_id="s1"))
        calls = [{"at": CLOCK.now().isoformat(), "ok": n > 9, "latency_ms": 100 + n} for n in range(30)]
        health = await client.post("/feeds/desk/calls", {"calls": calls})
        assert (health["calls"], health["failure_rate"], health["rows"]) == (30, pytest.approx(1 / 3), 2)
        assert health["critical_share"] == 0.5
        assert {issue["code"] for issue in health["issues"]} == {"failure_rate"}
        assert await client.get("/feeds/desk/health") == {**health, "score": pytest.approx(health["score"], abs=0.2)}
        overview = await client.get("/feeds/health")
        assert [source["source"] for source in overview["sources"]][:2] == ["desk", "other"]
        assert (await client.http.get(f"{BASE}/feeds/nobody/health")).status_code == 404
        for body in ({"calls": []}, {"calls": [{"at": "x", "ok": True, "latency_ms": 1}]}, {}):
            assert (await client.http.post(f"{BASE}/feeds/desk/calls", json=body)).status_code == 422
        viewer = await client.http.post(
            f"{BASE}/feeds/desk/calls", json={"calls": calls}, headers=tokens.auth(Role.VIEWER)
        )
        assert viewer.status_code == 403


async def test_a_source_that_fails_is_left_for_the_next(
    make_settings: MakeSettings, tokens: Tokens, exchange: Exchange
) -> None:
    async with service(make_settings, tokens, exchange, marketdata_sources="desk") as client:
        await wait_for(lambda: client.get("/feeds/health"), lambda found: found["active"] == "ccxt.binance")
        await wait_for(lambda: client.get("/bars?symbol=BTCUSDT&interval=1m"), lambda page: page["items"])
        exchange.fault = "500"
        overview = await wait_for(lambda: client.get("/feeds/health"), lambda found: found["active"] == "desk", 90)
        assert overview["switches"][-1]["reason"] in ("errors", "stale")
        assert overview["sources"][0]["circuit"] in ("OPEN", "HALF_OPEN")


async def test_the_gap_of_a_failover_is_fetched(
    make_settings: MakeSettings, tokens: Tokens, exchange: Exchange
) -> None:
    async with serving(exchange.app) as url:
        settings = make_settings(
            MarketdataSettings,
            primary_source="ccxt.binance",
            marketdata_source_urls=f"ccxt.binance={url}",
            marketdata_symbols="BTCUSDT=BTC/USDT",
        )
        app = create(settings)
        async with running(app, tokens.auth(Role.SERVICE)) as http:
            client = Client(http)
            await wait_for(lambda: client.get("/feeds/health"), lambda found: found["active"] == "ccxt.binance")
            switch = FeedSwitch(
                from_source="desk",
                to_source="ccxt.binance",
                reason=SwitchReason.QUALITY,
                detail="half of its rows are critical",
                at=exchange.now,
                gap_start=exchange.now - timedelta(minutes=300),
                gap_end=exchange.now - timedelta(minutes=200),
            )
            backfills: Backfills = app.state.backfills
            await backfills.queue_gap(switch, ["BTCUSDT"], ["1m"])
            found = await wait_for(
                lambda: client.get("/backfills"), lambda page: page["items"] and page["items"][0]["state"] == "DONE"
            )
            (done,) = found["items"]
            assert (done["rows"], done["requested_by"], "quality" in done["reason"]) == (100, "failover", True)
            # Nothing is owed where the new source began before the old one ended, or has not begun.
            for changes in ({"gap_end": switch.gap_start}, {"gap_end": None}):
                await backfills.queue_gap(switch.model_copy(update=changes), ["BTCUSDT"], ["1m"])
            assert len((await client.get("/backfills"))["items"]) == 1
