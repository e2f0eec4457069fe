"""Failover and fail-back between two exchanges on loopback, by the real connectors; and what is kept in Redis."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest
from prometheus_client import generate_latest

from services.marketdata.core.feeds.health import HealthPolicy
from services.marketdata.core.feeds.rows import Observed
from services.marketdata.core.stream.news import News
from services.marketdata.core.thresholds import Bands, Thresholds
from services.marketdata.feeds.caller import CallPolicy
from services.marketdata.feeds.ccxt_connector import CcxtConnector, CcxtPlan
from services.marketdata.feeds.ccxt_exchange import Reach
from services.marketdata.feeds.connector import Batch, batches_of, observed
from services.marketdata.feeds.http_push import HttpPushConnector
from services.marketdata.feeds.manager import Manager, Wiring
from shared.clock import ManualClock
from shared.schemas.base import Severity
from shared.schemas.feeds import CircuitState, FeedCall, SourceHealth, SwitchReason
from shared.schemas.marketdata import IngestResult
from tests.harness import serving
from tests.integration.marketdata.feeds.desk import CALLS, CLOCK, Told, fetched, running
from tests.integration.marketdata.feeds.exchange import EPOCH, Exchange
from tests.integration.marketdata.feeds.sources import Polled, Sink, Streamed, tick, until

pytestmark = pytest.mark.integration


@asynccontextmanager
async def two_exchanges(told: Told, sink: Sink) -> AsyncIterator[tuple[Manager, Exchange, Exchange]]:
    pytest.importorskip("ccxt", reason="ccxt is an extra: requirements/feeds.in")
    exchanges, connectors = [Exchange(CLOCK.now()), Exchange(CLOCK.now())], []
    async with AsyncExitStack() as stack:
        for name, exchange in zip(("ccxt.first", "ccxt.second"), exchanges, strict=True):
            for number in range(20):
                exchange.add_trade(number, CLOCK.now() - timedelta(seconds=20 - number))
            url = await stack.enter_async_context(serving(exchange.app))
            plan = CcxtPlan("binance", {"BTCUSDT": "BTC/USDT"}, ["ticks"], poll_seconds=0.1)
            connectors.append(CcxtConnector(name, plan, Reach(0.5, url), CLOCK))
        manager = Manager(connectors, CLOCK, told.wiring(sink), CALLS)
        await stack.enter_async_context(running(manager))
        yield manager, exchanges[0], exchanges[1]


async def test_failover_by_errors_back_again_and_the_gap_between() -> None:
    told, sink = Told(), Sink()
    async with two_exchanges(told, sink) as (manager, first, second):
        await until(lambda: {batch.source for batch in sink.batches} == {"ccxt.first", "ccxt.second"})
        assert manager.active == "ccxt.first"
        first.fault = "500"
        await until(lambda: manager.active == "ccxt.second", 8)
        assert told.gaps == []
        second.add_trade(100, CLOCK.now())
        await until(lambda: told.gaps != [], 5)
        first.fault = ""
        await until(lambda: manager.active == "ccxt.first", 12)
        views = {view.source: view for view in manager.snapshot()}
        text = generate_latest().decode()
    start, over, back = told.switches
    assert (start.to_source, start.reason) == ("ccxt.first", SwitchReason.START)
    assert (over.from_source, over.to_source, over.reason) == ("ccxt.first", "ccxt.second", SwitchReason.ERRORS)
    assert (back.from_source, back.to_source, back.reason) == ("ccxt.second", "ccxt.first", SwitchReason.FAIL_BACK)
    assert back.at - over.at >= timedelta(seconds=1.5)
    (gap,) = told.gaps
    assert gap.gap_start == trade_time(first)
    assert gap.gap_end == trade_time(second)
    assert gap.gap_start < gap.gap_end
    assert views["ccxt.first"].active
    assert views["ccxt.first"].circuit is CircuitState.CLOSED
    assert 'marketdata_feed_active{source="ccxt.first"} 1.0' in text
    assert 'marketdata_feed_priority{source="ccxt.second"} 1.0' in text
    assert 'marketdata_feed_switches_total{reason="fail_back"}' in text
    assert 'marketdata_feed_call_seconds_count{source="ccxt.second"}' in text
    assert 'marketdata_feed_not_taken_rows_total{source="ccxt.first"} 0.0' in text
    # Of whoever drives the sources no longer.
    assert "marketdata_feed_active{" not in generate_latest().decode()


def trade_time(exchange: Exchange) -> datetime:
    return EPOCH + timedelta(milliseconds=exchange.trades[-1]["T"])


async def test_failover_by_quality_while_every_call_is_well() -> None:
    told, sinks = Told(), {"good": Sink(), "bad": Sink()}
    sinks["bad"].severity = Severity.CRITICAL
    sources = [Polled(partial(fetched, name), name=name) for name in ("bad", "good")]

    async def judge(batch: Batch, news: News | None = None) -> IngestResult:
        return await sinks[batch.source](batch, news)

    manager = Manager(sources, CLOCK, told.wiring(judge), CALLS)
    async with running(manager):
        await until(lambda: manager.active == "good", 8)
        views = {view.source: view for view in manager.snapshot()}
    assert told.switches[-1].reason is SwitchReason.QUALITY
    assert views["bad"].health is SourceHealth.DOWN
    assert views["bad"].critical_share == 1
    assert views["bad"].failure_rate in {None, 0}
    assert told.switches[-1].gap_start is None


async def test_a_stop_ends_every_source_and_takes_what_is_at_hand() -> None:
    sink, connectors = Sink(seconds=0.05), [Streamed(10_000), Polled(lambda: asyncio.sleep(60))]
    manager = Manager(connectors, CLOCK, Told().wiring(sink), CallPolicy(seconds=0.5, attempts=1))
    task = asyncio.create_task(manager.run())
    await until(lambda: len(sink.ids) > 3)
    manager.stop()
    await asyncio.wait_for(task, 8)
    streamed, polled = connectors
    assert isinstance(streamed, Streamed)
    assert isinstance(polled, Polled)
    assert streamed.position == len(sink.ids) == streamed.made
    assert polled.closed == 1


async def test_sources_that_push_are_watched_by_what_came_of_it() -> None:
    told, sink = Told(), Sink()
    manager = Manager([HttpPushConnector("nse.option_chain")], CLOCK, told.wiring(sink), CALLS)
    await manager.look()
    (batch,) = batches_of("nse.option_chain", [tick(1, CLOCK.now())])
    manager.observe(batch.source, observed(batch, await sink(batch)))
    (other,) = batches_of("desk.feed", [tick(1, CLOCK.now())])
    manager.observe(other.source, observed(other, await sink(other)))
    assert manager.record_calls("nse.option_chain", [FeedCall(at=CLOCK.now(), ok=True, latency_ms=6_000)] * 20)
    first, second = manager.snapshot()
    assert (first.source, first.active, first.rows, first.last_ts_event) == (
        "nse.option_chain",
        True,
        1,
        batch.ticks[0].ts,
    )
    assert [issue.code for issue in first.issues] == ["response_time"]
    # Nobody listed it: it is watched, and never the active one.
    assert (second.source, second.active, second.priority) == ("desk.feed", False, 1)


async def test_a_gap_ends_with_what_the_new_source_gives_and_not_with_what_the_old_one_still_does() -> None:
    told, sink = Told(), Sink()
    wiring = replace(told.wiring(sink), health=HealthPolicy(worse_seconds=0), thresholds=Thresholds())
    manager = Manager([HttpPushConnector("first"), HttpPushConnector("second")], CLOCK, wiring)

    async def push(name: str, number: int) -> datetime:
        at = CLOCK.now()
        (batch,) = batches_of(name, [tick(number, at)])
        manager.observe(batch.source, observed(batch, await sink(batch)))
        await manager.look()
        return at

    last = await push("first", 1)
    manager.record_calls("first", [FeedCall(at=last, ok=False, latency_ms=1)] * 20)
    await manager.look()
    assert manager.active == "second"
    await push("first", 2)
    assert told.gaps == []
    begins = await push("second", 3)
    await push("second", 4)
    (gap,) = told.gaps
    assert (gap.gap_start, gap.gap_end) == (last, begins)
    assert manager.switches[-1] == gap


async def test_bars_are_late_only_once_the_next_one_could_be_known() -> None:
    health = HealthPolicy(worse_seconds=0)
    hour, now = timedelta(hours=1), CLOCK.now()
    manager = Manager(
        [HttpPushConnector("hourly"), HttpPushConnector("minutely")], CLOCK, Wiring(Sink(), health=health)
    )
    old = now - timedelta(minutes=55)
    for name, cadence in (("hourly", hour), ("minutely", timedelta(minutes=1))):
        manager.observe(name, Observed(1, newest=old, newest_good=old, first_good=old - cadence, cadence=cadence))
    await manager.look()
    await manager.look()
    hourly, minutely = manager.snapshot()
    assert (hourly.health, minutely.health) == (SourceHealth.HEALTHY, SourceHealth.DOWN)
    # One interval among several: the shortest.
    manager.observe("hourly", Observed(1, newest=old, cadence=timedelta(minutes=1)))
    for _ in range(2):
        await manager.look()
    assert manager.snapshot()[0].health is SourceHealth.DOWN


async def test_files_taken_in_are_late_for_nobody_until_live_rows_come() -> None:
    clock = ManualClock(CLOCK.now())
    manager = Manager([], clock, Wiring(Sink(), health=HealthPolicy(worse_seconds=0)))

    async def health_after(newest: datetime) -> SourceHealth:
        manager.observe("files", Observed(9, newest=newest, newest_good=newest))
        clock.advance(timedelta(hours=2))
        for _ in range(2):
            await manager.look()
        return manager.snapshot()[0].health

    assert await health_after(clock.now() - timedelta(days=500)) is SourceHealth.HEALTHY
    assert await health_after(clock.now() - timedelta(seconds=1)) is SourceHealth.DOWN


async def test_no_crowd_of_names_is_watched() -> None:
    manager = Manager([], CLOCK, Told().wiring(Sink()))
    for number in range(300):
        manager.record_calls(f"s{number}", [])
    assert len(manager.snapshot()) == 200
    assert not manager.record_calls("one.more", [])


async def test_a_source_that_never_gave_anything_is_late_too() -> None:
    late = Thresholds({"stale_age": Bands(0.1, 0.2)})
    health = HealthPolicy(worse_seconds=0.1)
    manager = Manager([HttpPushConnector("silent")], CLOCK, Wiring(Sink(), thresholds=late, health=health))
    for _ in range(3):
        await manager.look()
        await asyncio.sleep(0.25)
    assert manager.snapshot()[0].health is SourceHealth.DOWN
