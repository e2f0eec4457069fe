"""Drive one source: its jobs go on only when what they brought has been taken, so that nothing piles up."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from time import monotonic
from typing import Protocol

from services.marketdata.core.stream.news import News
from services.marketdata.feeds import metrics
from services.marketdata.feeds.caller import Caller, CallPolicy
from services.marketdata.feeds.connector import Batch, Connector, Delivery, Poll, Stream, batches_of, describe, rows_of
from services.marketdata.feeds.errors import CircuitOpen, FeedError, Unsupported
from services.marketdata.feeds.source import Source
from shared.clock import Clock
from shared.logging import Category, get_trading_logger
from shared.schemas.marketdata import INTERVAL_LENGTH, IngestResult, Interval
from shared.tasks import finish, stop

_LOG = get_trading_logger("keelson.marketdata.feeds", Category.MARKET_DATA)
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


class Sink(Protocol):
    """Where batches go, each with the news of the raw stream its rows were made of."""

    def __call__(self, batch: Batch, news: News | None = None) -> Awaitable[IngestResult]:
        """Return what became of a batch."""


@dataclass(frozen=True, slots=True)
class RunnerPolicy:
    """How a source's batches are handed on; times in seconds.

    `in_flight` may be with the sink at once. One that the sink does not take is offered again for `sink_seconds`;
    after that its rows are asked for anew. A stop waits for `grace_seconds`.
    """

    in_flight: int = 4
    sink_seconds: float = 60.0
    grace_seconds: float = 5.0


class Runner:
    """One source at work."""

    def __init__(
        self,
        connector: Connector,
        source: Source,
        sink: Sink,
        clock: Clock,
        calls: CallPolicy | None = None,
        policy: RunnerPolicy | None = None,
    ) -> None:
        self.source = source
        self._connector = connector
        self._sink = sink
        self._clock = clock
        self._policy = policy or RunnerPolicy()
        self._caller = Caller(source, clock, calls)
        self._flights = asyncio.Semaphore(self._policy.in_flight)
        self._stopping = asyncio.Event()
        # From the start: an increase from nothing to one is none to whoever reads a counter.
        for counter in (metrics.NOT_TAKEN, metrics.BAD_ROWS):
            counter.labels(connector.name)

    async def run(self) -> None:
        """Run until stopped, cancelled, or every job has ended by itself."""
        tasks: list[asyncio.Task[None]] = []
        try:
            if await self._opened():
                tasks += [asyncio.create_task(self._keep(job)) for job in self._connector.jobs()]
                await self._together(tasks)
        finally:
            await finish(self._close(tasks))

    def stop(self) -> None:
        """Ask the jobs to end once what they have at hand is taken; `run` returns within the grace."""
        self._stopping.set()

    async def backfill(self, symbol: str, interval: Interval, start: datetime, end: datetime) -> AsyncIterator[Batch]:
        """Yield the bars in [start, end) of the source's history, oldest first, a page a batch. Raises FeedError."""
        while start < end:
            bars = await self._caller.call(partial(self._connector.fetch_bars, symbol, interval, start, end))
            if not bars or bars[-1].ts < start:
                return
            for batch in batches_of(self.source.name, bars):
                yield batch
            start = bars[-1].ts + INTERVAL_LENGTH[interval]

    async def _opened(self) -> bool:
        while not self._stopping.is_set():
            try:
                await self._caller.call(self._connector.open)
            except FeedError as error:
                await self._after(error, "open", _LONGEST_PAUSE if isinstance(error, Unsupported) else 1.0)
            else:
                return True
        return False

    async def _close(self, tasks: list[asyncio.Task[None]]) -> None:
        await asyncio.gather(*map(stop, tasks), return_exceptions=True)
        await self._connector.close()

    async def _together(self, tasks: list[asyncio.Task[None]]) -> None:
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            pending: set[asyncio.Task[None]] = set(tasks)
            while pending and not stopping.done():
                await asyncio.wait({*pending, stopping}, return_when=asyncio.FIRST_COMPLETED)
                pending = {task for task in pending if not task.done()}
            if pending:
                await asyncio.wait(pending, timeout=self._policy.grace_seconds)
        finally:
            await stop(stopping)

    async def _keep(self, job: Poll | Stream) -> None:
        """Do a job again and again until it has ended or all is to stop, whatever fails meanwhile."""
        while not self._stopping.is_set():
            try:
                if isinstance(job, Poll):
                    await self._poll(job)
                elif await self._flow(job):
                    return
            except Unsupported as error:
                # Asked again it would be refused again, and the source is none the worse for it.
                _LOG.error("a job is given up", source=self.source.name, job=job.name, reason=str(error))
                return
            except FeedError as error:
                await self._after(error, job.name, min(job.every, _LONGEST_PAUSE) if isinstance(job, Poll) else 1.0)
            except Exception:  # a feed that ends for ever without a word is worse than one that fails aloud
                _LOG.exception("a job of a source failed", source=self.source.name, job=job.name)
                await self._pause(_LONGEST_PAUSE)

    async def _poll(self, job: Poll) -> None:
        began, rows, taken = monotonic(), 0, True
        for delivery in await self._caller.call(job.fetch):
            rows += len(rows_of(delivery.batch))
            taken = taken and await self._deliver(delivery)
        if rows < job.page or not taken:
            await self._pause(job.every - (monotonic() - began))

    async def _flow(self, job: Stream) -> bool:
        """Hand on what a stream brings; return whether it came to its end."""
        stream, delivery = await self._caller.call(lambda: _begin(job))
        try:
            while delivery is not None:
                # What was not taken comes again with the stream that is opened next.
                if not await self._deliver(delivery) or self._stopping.is_set():
                    return False
                try:
                    delivery = await anext(stream, None)
                except Exception as error:
                    raise self._caller.broke(error) from error
            return True
        finally:
            await stream.aclose()

    async def _deliver(self, delivery: Delivery) -> bool:
        """Hand a batch to the sink until it is taken; return whether it was."""
        async with self._flights:
            began, pause = monotonic(), _SHORTEST_PAUSE
            while True:
                try:
                    await self._sink(delivery.batch, delivery.news)
                except Exception as error:  # whatever the sink cannot do now it may do later
                    if self._stopping.is_set() or monotonic() - began >= self._policy.sink_seconds:
                        _LOG.error("a batch was not taken", reason=type(error).__name__, **describe(delivery.batch))
                        metrics.NOT_TAKEN.labels(self.source.name).inc(len(rows_of(delivery.batch)))
                        return False
                    if pause == _SHORTEST_PAUSE:
                        _LOG.warning(
                            "a batch waits to be taken", reason=type(error).__name__, **describe(delivery.batch)
                        )
                    await self._pause(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE)
                else:
                    delivery.taken()
                    return True

    async def _after(self, error: FeedError, what: str, pause: float) -> None:
        if isinstance(error, CircuitOpen):
            wait = (error.retry_at - self._clock.now()).total_seconds() if error.retry_at else _SHORTEST_PAUSE
            # Looked at again before long: a clock may be set, and another job's probe may have closed it.
            pause = min(max(wait, _SHORTEST_PAUSE), _LONGEST_PAUSE)
        else:
            _LOG.warning("a call to a source failed", source=self.source.name, job=what, reason=str(error))
        await self._pause(max(pause, _SHORTEST_PAUSE))

    async def _pause(self, seconds: float) -> None:
        if seconds <= 0:
            # Others get their turn even where there is always more to do.
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return


async def _begin(job: Stream) -> tuple[AsyncGenerator[Delivery, None], Delivery | None]:
    stream = job.open()
    try:
        return stream, await anext(stream, None)
    except BaseException:
        await stream.aclose()
        raise
