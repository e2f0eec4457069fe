"""Replays of recorded bars and chains, out of real files."""

import asyncio
import gzip
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from time import monotonic
from zoneinfo import ZoneInfo

import pytest

from services.marketdata.feeds.caller import CallPolicy
from services.marketdata.feeds.connector import Delivery, Row, Stream, event_time, rows_of
from services.marketdata.feeds.errors import FeedError
from services.marketdata.feeds.replay_connector import ReplayConnector
from services.marketdata.feeds.runner import Runner
from services.marketdata.feeds.source import Source
from services.marketdata.formats.dataset import BadRow, FormatError
from services.marketdata.formats.discover import discover
from shared.clock import SystemClock
from tests.integration.marketdata.feeds.sources import START, Sink, tick

pytestmark = pytest.mark.integration

CLOCK = SystemClock()
UTC_ZONE = ZoneInfo("UTC")
SAMPLE = Path(__file__).resolve().parents[4] / "data" / "sample"


class Recorded:
    """Trades one after another, and which threads read them."""

    def __init__(self, count: int, source: str = "it", step: float = 0.001, fail_at: int | None = None) -> None:
        self.source = source
        self.threads: set[int] = set()
        self.open = 0
        self.read = 0
        self._count, self._step, self._fail_at = count, timedelta(seconds=step), fail_at

    def records(self, on_bad_row: Callable[[BadRow], None] | None = None) -> Iterator[Row]:
        self.open += 1
        try:
            for number in range(self._count):
                if number == self._fail_at:
                    raise FormatError("trades.gz:7: is cut off")
                self.threads.add(threading.get_ident())
                self.read += 1
                yield tick(number, START + number * self._step)
        finally:
            self.open -= 1


async def replayed(connector: ReplayConnector, most: int = 10**9) -> list[Row]:
    """Return the rows of a replay; what came is taken."""
    found: list[Row] = []
    (job,) = connector.jobs()
    assert isinstance(job, Stream)
    stream = job.open()
    try:
        async for delivery in stream:
            found += rows_of(delivery.batch)
            delivery.taken()
            if len(found) >= most:
                break
    finally:
        await stream.aclose()
    return found


async def test_every_record_comes_in_order_and_another_thread_reads_them() -> None:
    recorded = Recorded(2_500)
    found = await replayed(ReplayConnector("replay.it", [recorded], CLOCK, speed=0))
    assert [row.trade_id for row in found] == [str(number) for number in range(2_500)]
    assert len(recorded.threads) == 1
    assert threading.get_ident() not in recorded.threads
    assert recorded.open == 0


async def test_the_bundled_data_come_as_they_are_read() -> None:
    dataset = next(each for each in discover(SAMPLE) if each.interval == "1m")
    found = await replayed(ReplayConnector("replay.it", [dataset], CLOCK, speed=0, simulation_id="sim-1"))
    assert found == list(dataset.records())


async def test_datasets_are_merged_by_the_time_their_records_were_known() -> None:
    datasets = discover(SAMPLE)
    assert len(datasets) > 1
    found = await replayed(ReplayConnector("replay.it", datasets, CLOCK, speed=0))
    assert len(found) == sum(1 for dataset in datasets for _ in dataset.records())
    # A batch is of one source: within it the order is that of time, and so is that of the pieces.
    by_symbol: dict[str, list[Row]] = {}
    for row in found:
        by_symbol.setdefault(f"{row.symbol} {getattr(row, 'interval', '')} {type(row)}", []).append(row)
    for rows in by_symbol.values():
        times = [event_time(row) for row in rows]
        assert times == sorted(times)


async def test_a_month_of_minutes_and_a_year_of_quarters_come_whole(market_data: Path) -> None:
    datasets = [each for each in discover(market_data) if each.name.startswith("binance-btcusdt-1")]
    expected = sum(1 for dataset in datasets for _ in dataset.records(lambda _: None))
    assert expected > 60_000
    connector = ReplayConnector("replay.it", datasets, CLOCK, speed=0)
    assert len(await replayed(connector)) == connector.position == expected


async def test_batches_carry_the_simulation_and_the_recordings_source() -> None:
    connector = ReplayConnector("replay.it", [Recorded(3, "binance.spot")], CLOCK, speed=0, simulation_id="sim-1")
    sink = Sink()
    await Runner(connector, Source("replay.it", CLOCK.now()), sink, CLOCK).run()
    assert {(batch.source, batch.simulation_id) for batch in sink.batches} == {("binance.spot", "sim-1")}


async def test_the_pace_is_that_of_the_recording_over_the_speed() -> None:
    began = monotonic()
    found = await replayed(ReplayConnector("replay.it", [Recorded(61, step=1)], CLOCK, speed=100))
    took = monotonic() - began
    assert len(found) == 61
    assert 0.5 <= took < 1.5
    began = monotonic()
    await replayed(ReplayConnector("replay.it", [Recorded(61, step=1)], CLOCK, speed=0))
    assert monotonic() - began < 0.3


async def test_it_goes_on_where_it_was_left_with_nothing_lost_or_doubled() -> None:
    first = ReplayConnector("replay.it", [Recorded(5_000), Recorded(50, "other")], CLOCK, speed=0)
    some = await replayed(first, 2_500)
    second = ReplayConnector(
        "replay.it", [Recorded(5_000), Recorded(50, "other")], CLOCK, speed=0, position=first.position
    )
    rest = await replayed(second)
    assert first.position <= len(some)
    assert len(some[: first.position]) + len(rest) == 5_050
    whole = await replayed(ReplayConnector("replay.it", [Recorded(5_000), Recorded(50, "other")], CLOCK, speed=0))
    assert sorted(row.trade_id for row in some[: first.position] + rest) == sorted(row.trade_id for row in whole)


async def test_what_was_not_taken_comes_again() -> None:
    connector = ReplayConnector("replay.it", [Recorded(10)], CLOCK, speed=0)
    (job,) = connector.jobs()
    assert isinstance(job, Stream)
    stream = job.open()
    delivery: Delivery = await anext(stream)
    await stream.aclose()
    assert (len(rows_of(delivery.batch)), connector.position) == (10, 0)
    assert len(await replayed(connector)) == 10


async def test_a_slow_reader_is_not_read_ahead_of_by_more_than_two_thousand() -> None:
    recorded = Recorded(1_000_000)
    (job,) = ReplayConnector("replay.it", [recorded], CLOCK, speed=0).jobs()
    assert isinstance(job, Stream)
    stream = job.open()
    await anext(stream)
    await asyncio.sleep(0.3)
    assert recorded.read <= 2_001
    await stream.aclose()
    assert recorded.open == 0


async def test_the_loop_is_not_held_up_by_reading() -> None:
    class Slow(Recorded):
        def records(self, on_bad_row: Callable[[BadRow], None] | None = None) -> Iterator[Row]:
            for row in super().records(on_bad_row):
                # Releases the interpreter, as reading and unpacking do.
                threading.Event().wait(0.002)
                yield row

    longest, last, reading = 0.0, monotonic(), True

    async def watch() -> None:
        nonlocal longest, last
        while reading:
            await asyncio.sleep(0.005)
            longest, last = max(longest, monotonic() - last), monotonic()

    watching = asyncio.create_task(watch())
    await replayed(ReplayConnector("replay.it", [Slow(2_000)], CLOCK, speed=0))
    reading = False
    await watching
    # Reading a thousand takes two seconds and more.
    assert longest < 1.5


async def test_a_broken_file_gives_what_came_before_and_then_says_so() -> None:
    connector = ReplayConnector("replay.it", [Recorded(3_000, fail_at=1_234)], CLOCK, speed=0)
    sink, source = Sink(), Source("replay.it", CLOCK.now())
    runner = Runner(connector, source, sink, CLOCK, CallPolicy(attempts=1))
    task = asyncio.create_task(runner.run())
    async with asyncio.timeout(5):
        while len(sink.ids) < 1_234 or source.last_error is None:
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sink.ids == [str(number) for number in range(1_234)]
    assert "is cut off" in str(source.last_error)
    with pytest.raises(FeedError):
        await replayed(connector)


async def test_a_file_that_is_cut_off_in_the_middle(tmp_path: Path) -> None:
    whole = gzip.compress(b"x" * 10)
    (tmp_path / "binance_BTCUSDT_1m_2024.csv.gz").write_bytes(whole[:-4])
    connector = ReplayConnector("replay.it", discover(tmp_path), CLOCK, speed=0)
    with pytest.raises(FeedError, match="binance_BTCUSDT_1m_2024"):
        await replayed(connector)


async def test_being_cancelled_while_it_waits_for_the_next_record_closes_the_files() -> None:
    recorded = Recorded(10, step=3_600)
    sink = Sink()
    connector = ReplayConnector("replay.it", [recorded], CLOCK, speed=1)
    task = asyncio.create_task(Runner(connector, Source("replay.it", CLOCK.now()), sink, CLOCK).run())
    async with asyncio.timeout(5):
        while not sink.ids:
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (sink.ids, recorded.open, connector.position) == (["0"], 0, 1)


def test_a_negative_speed_is_refused() -> None:
    with pytest.raises(ValueError, match="below 0"):
        ReplayConnector("replay.it", [], CLOCK, speed=-1)
