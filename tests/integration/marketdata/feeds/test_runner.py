"""What drives a source: retries, breaker, time limits, rate, backpressure and stops, on a real event loop."""

import asyncio
import tracemalloc
from collections.abc import Sequence
from datetime import timedelta
from time import monotonic

import pytest

from services.marketdata.core.feeds.breaker import BreakerPolicy
from services.marketdata.core.feeds.rows import Observed
from services.marketdata.feeds.caller import Caller, CallPolicy
from services.marketdata.feeds.connector import Delivery, batches_of, cadence, newest, observed, oldest
from services.marketdata.feeds.errors import CircuitOpen, FeedError, Throttled, Unreachable, Unsupported
from services.marketdata.feeds.runner import Runner, RunnerPolicy
from services.marketdata.feeds.source import Source
from shared.clock import SystemClock
from shared.schemas.base import Severity
from shared.schemas.feeds import CircuitState
from shared.schemas.marketdata import Bar, IngestResult, RejectedRow, Verdict
from shared.tasks import stop
from tests.integration.marketdata.feeds.sources import START, Polled, Sink, Streamed, at_work, tick, until

pytestmark = pytest.mark.integration

CLOCK = SystemClock()
QUICK = CallPolicy(seconds=0.2, attempts=3, wait_initial=0.005, wait_most=0.01, rate=10_000, burst=1_000)
BREAKER = BreakerPolicy(failures=5, cool_down=0.2, longest=0.4, probes=1)


def make_source() -> Source:
    return Source("it", CLOCK.now(), BREAKER)


def deliveries(first: int, count: int) -> list[Delivery]:
    return [Delivery(batch) for batch in batches_of("it", [tick(number) for number in range(first, first + count)])]


class TestCaller:
    async def test_a_call_that_fails_is_tried_again_and_every_try_is_on_record(self) -> None:
        source, tries = make_source(), 0

        async def work() -> int:
            nonlocal tries
            tries += 1
            if tries < 3:
                raise Unreachable("away")
            return 7

        assert await Caller(source, CLOCK, QUICK).call(work) == 7
        assert (len(source.calls), source.breaker.failures) == (3, 0)

    async def test_what_is_no_use_trying_again_is_not_tried_again(self) -> None:
        source, tries = make_source(), 0

        async def work() -> None:
            nonlocal tries
            tries += 1
            raise FeedError("no such symbol")

        with pytest.raises(FeedError, match="no such symbol"):
            await Caller(source, CLOCK, QUICK).call(work)
        assert tries == 1
        assert source.last_error == "no such symbol"

    async def test_a_source_that_hangs_is_given_up_in_time(self) -> None:
        source, began = make_source(), monotonic()
        with pytest.raises(Unreachable, match="no answer within"):
            await Caller(source, CLOCK, CallPolicy(seconds=0.1, attempts=1)).call(lambda: asyncio.sleep(60))
        assert monotonic() - began < 2

    async def test_a_fault_of_the_connector_is_a_failed_call_and_no_more(self) -> None:
        async def work() -> None:
            raise ZeroDivisionError

        with pytest.raises(FeedError, match="ZeroDivisionError"):
            await Caller(make_source(), CLOCK, QUICK).call(work)

    async def test_the_breaker_opens_lets_nothing_through_and_closes_after_a_probe(self) -> None:
        source, calls, away = make_source(), 0, True

        async def work() -> int:
            nonlocal calls
            calls += 1
            if away:
                raise Unreachable("away")
            return calls

        caller = Caller(source, CLOCK, QUICK)
        for _ in range(2):
            with pytest.raises((Unreachable, CircuitOpen)):
                await caller.call(work)
        assert (calls, source.breaker.state) == (5, CircuitState.OPEN)
        with pytest.raises(CircuitOpen):
            await caller.call(work)
        assert calls == 5
        away = False
        await asyncio.sleep(0.21)
        assert await caller.call(work) == 6
        assert source.breaker.state is CircuitState.CLOSED

    async def test_a_throttled_source_gets_its_pause_before_anything_else_is_asked(self) -> None:
        caller = Caller(make_source(), CLOCK, QUICK)

        async def throttled() -> None:
            raise Throttled("too often", 0.3)

        async def work() -> float:
            return monotonic()

        with pytest.raises(Throttled):
            await caller.call(throttled)
        began = monotonic()
        assert await caller.call(work) - began >= 0.29

    async def test_the_rate_holds(self) -> None:
        caller = Caller(make_source(), CLOCK, CallPolicy(rate=50, burst=5))
        began = monotonic()
        await asyncio.gather(*(caller.call(lambda: asyncio.sleep(0)) for _ in range(15)))
        assert monotonic() - began >= 0.19

    async def test_a_cancelled_call_is_neither_good_nor_bad(self) -> None:
        source = make_source()
        task = asyncio.create_task(Caller(source, CLOCK, CallPolicy(seconds=60)).call(lambda: asyncio.sleep(60)))
        await asyncio.sleep(0.02)
        await stop(task)
        assert (len(source.calls), source.breaker.failures) == (0, 0)


async def test_polls_bring_batches_to_the_sink() -> None:
    at = 0

    async def fetch() -> Sequence[Delivery]:
        nonlocal at
        at += 2
        return deliveries(at - 2, 2)

    sink, connector = Sink(), Polled(fetch)
    async with at_work(Runner(connector, make_source(), sink, CLOCK, QUICK)):
        await until(lambda: len(sink.ids) >= 10)
    assert sink.ids[:10] == [str(number) for number in range(10)]
    assert connector.closed == 1


async def test_a_source_that_comes_back_is_polled_again() -> None:
    calls = 0

    async def fetch() -> Sequence[Delivery]:
        nonlocal calls
        calls += 1
        if calls <= 8:
            raise Unreachable("away")
        return deliveries(calls, 1)

    sink, source = Sink(), make_source()
    async with at_work(Runner(Polled(fetch), source, sink, CLOCK, QUICK)):
        await until(lambda: source.breaker.state is CircuitState.OPEN)
        assert sink.ids == []
        await until(lambda: len(sink.ids) >= 3)
    assert source.breaker.state is CircuitState.CLOSED


async def test_one_job_that_fails_or_hangs_does_not_stop_another() -> None:
    async def broken() -> Sequence[Delivery]:
        raise ZeroDivisionError

    async def good() -> Sequence[Delivery]:
        return deliveries(0, 1)

    sink = Sink()
    patient = Source("it", CLOCK.now(), BreakerPolicy(failures=10_000, rate=2))
    async with at_work(Runner(Polled(good, broken, lambda: asyncio.sleep(60)), patient, sink, CLOCK, QUICK)):
        await until(lambda: len(sink.ids) >= 20)
    assert patient.calls.failure_rate is not None


async def test_what_a_source_does_not_have_is_asked_for_once_and_the_rest_goes_on() -> None:
    calls = 0

    async def missing() -> Sequence[Delivery]:
        nonlocal calls
        calls += 1
        raise Unsupported("no funding rates of spot")

    async def good() -> Sequence[Delivery]:
        return deliveries(0, 1)

    sink, source = Sink(), make_source()
    async with at_work(Runner(Polled(missing, good), source, sink, CLOCK, QUICK)):
        await until(lambda: len(sink.ids) >= 20)
    assert (calls, source.breaker.state) == (1, CircuitState.CLOSED)


async def test_asked_for_a_history_it_does_not_have_a_source_is_none_the_worse() -> None:
    source = make_source()
    runner = Runner(Polled(), source, Sink(), CLOCK, QUICK)
    for _ in range(20):
        with pytest.raises(Unsupported):
            _ = [batch async for batch in runner.backfill("X", "1m", CLOCK.now() - timedelta(hours=1), CLOCK.now())]
    assert source.breaker.state is CircuitState.CLOSED


async def test_a_sink_that_is_away_gets_the_same_batch_again_and_nothing_twice() -> None:
    sink, connector = Sink(fail=3), Streamed(50, batch=10)
    await asyncio.wait_for(Runner(connector, make_source(), sink, CLOCK, QUICK).run(), 10)
    assert sink.ids == [str(number) for number in range(50)]
    assert connector.opened == 1


async def test_what_was_not_taken_in_time_comes_again_from_the_source() -> None:
    sink, connector = Sink(fail=4), Streamed(30, batch=10)
    policy = RunnerPolicy(sink_seconds=0.15)
    await asyncio.wait_for(Runner(connector, make_source(), sink, CLOCK, QUICK, policy).run(), 10)
    assert sink.ids == [str(number) for number in range(30)]
    assert connector.opened > 1
    assert connector.closed == connector.opened


async def test_a_stream_that_breaks_is_opened_again_where_it_was() -> None:
    sink, connector, source = Sink(), Streamed(40, break_at=(10, 20)), make_source()
    await asyncio.wait_for(Runner(connector, source, sink, CLOCK, QUICK).run(), 10)
    assert sink.ids == [str(number) for number in range(40)]
    assert (connector.opened, connector.closed) == (3, 3)
    assert len(source.calls) >= 5


async def test_a_burst_ten_times_as_fast_as_the_sink_leaves_memory_bounded() -> None:
    """Trades come without a pause; the sink takes 100 a batch and 10 ms for each. Nothing waits in between."""
    connector, sink = Streamed(1_000_000, batch=100), Sink(seconds=0.01)
    runner = Runner(connector, make_source(), sink, CLOCK, QUICK)
    tracemalloc.start()
    try:
        async with at_work(runner):
            await until(lambda: len(sink.ids) >= 1_000)
            sink.batches.clear()
            early, _ = tracemalloc.get_traced_memory()
            seen = connector.made
            await until(lambda: connector.made >= seen + 10_000, 10)
            sink.batches.clear()
            late, _ = tracemalloc.get_traced_memory()
            assert connector.made - len(sink.ids) <= 200
    finally:
        tracemalloc.stop()
    # 10,000 trades are some 10 MB.
    assert late - early < 2_000_000


async def test_only_so_many_batches_are_with_the_sink_at_once() -> None:
    async def fetch() -> Sequence[Delivery]:
        return deliveries(0, 1)

    sink = Sink(seconds=0.02)
    runner = Runner(Polled(*[fetch] * 20), make_source(), sink, CLOCK, QUICK, RunnerPolicy(in_flight=3))
    async with at_work(runner):
        await until(lambda: len(sink.ids) >= 30)
    assert sink.most == 3


async def test_a_stop_lets_what_is_at_hand_be_taken_and_closes() -> None:
    sink, connector = Sink(seconds=0.1), Streamed(1_000)
    runner = Runner(connector, make_source(), sink, CLOCK, QUICK)
    async with at_work(runner) as task:
        await until(lambda: sink.now == 1)
        runner.stop()
        await asyncio.wait_for(task, 2)
    assert connector.position == len(sink.ids) == connector.made
    assert connector.closed == connector.opened


async def test_a_stop_does_not_wait_for_a_source_that_hangs_longer_than_the_grace() -> None:
    connector = Polled(lambda: asyncio.sleep(60))
    runner = Runner(connector, make_source(), Sink(), CLOCK, CallPolicy(), RunnerPolicy(grace_seconds=0.1))
    async with at_work(runner) as task:
        await asyncio.sleep(0.05)
        runner.stop()
        await asyncio.wait_for(task, 2)
    assert connector.closed == 1


async def test_being_cancelled_again_and_again_still_closes_the_connector() -> None:
    connector = Polled(lambda: asyncio.sleep(60))
    task = asyncio.create_task(Runner(connector, make_source(), Sink(), CLOCK, QUICK).run())
    await asyncio.sleep(0.05)
    for _ in range(5):
        task.cancel()
        await asyncio.sleep(0.001)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert connector.closed == 1


async def test_what_rows_say_of_their_times() -> None:
    values = {"symbol": "X", "open": "1", "high": "1", "low": "1", "close": "1", "volume": "1"}
    bars = [
        Bar(interval=interval, ts=START + timedelta(minutes=at), **values)
        for interval, at in (("1h", 0), ("1m", 30), ("1m", 5))
    ]
    assert newest(bars) == START + timedelta(hours=1)
    assert (oldest(bars), cadence(bars)) == (START, timedelta(minutes=1))
    ticks = [tick(5), tick(3), tick(9)]
    assert newest(ticks) == START + timedelta(milliseconds=9)
    assert (oldest(ticks), cadence(ticks)) == (START + timedelta(milliseconds=3), timedelta(0))
    assert (newest([]), oldest([])) == (None, None)


async def test_what_a_batch_showed_is_that_of_its_rows_by_their_verdicts() -> None:
    (batch,) = batches_of("it", [tick(number) for number in range(6)])
    severities = {1: Severity.WARNING, 0: Severity.CRITICAL, 5: Severity.CRITICAL}
    verdicts = [Verdict(index=at, symbol="BTCUSDT", ts=None, severity=each) for at, each in severities.items()]
    rejected = [RejectedRow(index=4, reason="no")]
    result = IngestResult(received=6, stored=5, unchanged=0, published=0, verdicts=verdicts, rejected=rejected)
    times = [START + timedelta(milliseconds=number) for number in range(6)]
    assert observed(batch, result) == Observed(6, 1, 3, times[5], times[3], times[1], timedelta(0))
    assert [len(each.ticks) for each in batches_of("it", [tick(n) for n in range(2_500)])] == [1_000, 1_000, 500]
