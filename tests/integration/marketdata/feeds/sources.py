"""What the tests of runners and managers share: sources of this process, and a sink that remembers."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial

from services.marketdata.core.stream.news import News
from services.marketdata.feeds.connector import (
    Batch,
    Delivery,
    Poll,
    Stream,
    WithoutHistory,
    batches_of,
    rows_of,
)
from services.marketdata.feeds.runner import Runner
from shared.schemas.base import Severity
from shared.schemas.market_events import Tick
from shared.schemas.marketdata import IngestResult, Verdict
from shared.tasks import stop

START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def tick(number: int, at: datetime | None = None) -> Tick:
    ts = at or START + timedelta(milliseconds=number)
    return Tick(symbol="BTCUSDT", ts=ts, trade_id=str(number), price=Decimal("100.5"), quantity=Decimal(1))


class Sink:
    """Takes batches; `fail` is how often it fails before, `seconds` how long each takes."""

    def __init__(self, seconds: float = 0, fail: int = 0) -> None:
        self.seconds, self.fail = seconds, fail
        self.ids: list[str] = []
        self.batches: list[Batch] = []
        self.news: list[News | None] = []
        self.now, self.most = 0, 0
        self.severity = Severity.OK

    async def __call__(self, batch: Batch, news: News | None = None) -> IngestResult:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(self.seconds)
            if self.fail:
                self.fail -= 1
                raise ConnectionError("the database is away")
            rows = rows_of(batch)
            self.batches.append(batch)
            self.news.append(news)
            self.ids += [getattr(row, "trade_id", row.symbol) for row in rows]
            verdicts = [
                Verdict(index=index, symbol=row.symbol, ts=None, severity=self.severity)
                for index, row in enumerate(rows)
                if self.severity is not Severity.OK
            ]
            return IngestResult(received=len(rows), stored=len(rows), unchanged=0, published=0, verdicts=verdicts)
        finally:
            self.now -= 1


class Polled(WithoutHistory):
    """A source that is polled: each poll does what the test says."""

    def __init__(
        self, *fetches: Callable[[], Awaitable[Sequence[Delivery]]], name: str = "polled", every: float = 0.01
    ) -> None:
        self.name = name
        self.closed = 0
        self.every = every
        self._fetches = fetches

    def jobs(self) -> Sequence[Poll | Stream]:
        return [Poll(f"job {number}", self.every, fetch) for number, fetch in enumerate(self._fetches)]

    async def close(self) -> None:
        await asyncio.sleep(0.01)
        self.closed += 1


class Streamed(WithoutHistory):
    """A source that streams numbered trades; it goes on after what was taken, and breaks where the test says."""

    def __init__(self, count: int, batch: int = 1, break_at: Sequence[int] = ()) -> None:
        self.name = "streamed"
        self.position = 0
        self.made = 0
        self.opened = 0
        self.closed = 0
        self._count, self._batch, self._breaks = count, batch, list(break_at)

    def jobs(self) -> Sequence[Poll | Stream]:
        return [Stream("trades", self._open)]

    async def _open(self) -> AsyncGenerator[Delivery, None]:
        self.opened += 1
        try:
            for at in range(self.position, self._count, self._batch):
                if self._breaks and at >= self._breaks[0]:
                    self._breaks.pop(0)
                    raise ConnectionResetError("the line is cut")
                rows = [tick(number) for number in range(at, min(at + self._batch, self._count))]
                self.made += len(rows)
                (batch,) = batches_of(self.name, rows)
                yield Delivery(batch, partial(setattr, self, "position", at + len(rows)))
        finally:
            self.closed += 1


@asynccontextmanager
async def at_work(runner: Runner) -> AsyncGenerator[asyncio.Task[None], None]:
    task = asyncio.create_task(runner.run())
    try:
        yield task
    finally:
        await stop(task)


async def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
