"""Recorded data as if they came now: at their own pace, faster, or as fast as they are taken."""

import asyncio
import heapq
from collections.abc import AsyncGenerator, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import NamedTuple

from services.marketdata.core.catalogue import Subject
from services.marketdata.core.stream.news import SUBJECTS, News
from services.marketdata.feeds.connector import (
    Delivery,
    Poll,
    Row,
    Stream,
    WithoutHistory,
    batches_of,
    event_time,
    without_rows,
)
from services.marketdata.feeds.errors import FeedError
from services.marketdata.feeds.metrics import BAD_ROWS
from services.marketdata.feeds.recording import Recording, WatchedStream
from services.marketdata.formats.dataset import BadRow, FormatError
from shared.clock import Clock
from shared.schemas.market_events import OrderBook, Tick

# Records read ahead of those that are handed on, and held at most twice: that bounds memory, however large the files.
_CHUNK = 1_000
# Records so close together are handed on at once.
_TOGETHER_SECONDS = 0.05

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KINDS: Mapping[Subject, type[Row]] = {Subject.TICK: Tick, Subject.ORDER_BOOK: OrderBook}


class _Item(NamedTuple):
    """A record or news of a source, and how its raw stream stands after it; None of what was made of none."""

    source: str
    what: Row | News
    stands: News | None

    @property
    def key(self) -> tuple[str, type[Row], str]:
        """Return what the rows of a batch have in common; where there are news, they are of one symbol."""
        kind = _KINDS[SUBJECTS[self.what.stream]] if isinstance(self.what, News) else type(self.what)
        return self.source, kind, self.stands.symbol if self.stands else ""


_Piece = list[_Item]


@dataclass(frozen=True, slots=True)
class _Pace:
    """When a record is due: as long after the first one as it was recorded, over the speed."""

    first: datetime
    began: datetime
    speed: float

    def wait(self, moment: datetime, now: datetime) -> float:
        return (moment - self.first).total_seconds() / self.speed - (now - self.began).total_seconds()


class ReplayConnector(WithoutHistory):
    """Replays recordings, merged in the order in which their records became known.

    `speed` is how many times faster than recorded, 0 as fast as they are taken. `position` counts the records, and the
    news of raw streams, that were taken; a replay that is opened again goes on there, in this process or in another
    that is given it: what lies before is read and checked again, but not told again. Batches carry the recordings' own
    source names and `simulation_id`, without which they would count as live.
    """

    def __init__(
        self,
        name: str,
        recordings: Sequence[Recording],
        clock: Clock,
        *,
        speed: float = 1.0,
        position: int = 0,
        simulation_id: str | None = None,
    ) -> None:
        if speed < 0 or position < 0:
            raise ValueError("neither speed nor position is below 0")
        self.name = name
        self.position = position
        self._recordings = list(recordings)
        self._clock = clock
        self._speed = speed
        self._simulation_id = simulation_id

    def jobs(self) -> Sequence[Poll | Stream]:
        """Return the one stream."""
        return [Stream("replay", self._replay)]

    async def _replay(self) -> AsyncGenerator[Delivery, None]:
        async with aclosing(self._chunks()) as chunks:
            pace: _Pace | None = None
            async for chunk in chunks:
                pace = pace or _Pace(_known(chunk[0].what), self._clock.now(), self._speed)
                async with aclosing(self._paced(chunk, pace)) as pieces:
                    async for piece in pieces:
                        for delivery in self._deliveries(piece):
                            yield delivery

    async def _chunks(self) -> AsyncGenerator[_Piece, None]:
        """Yield the records by the thousand, the next of them being read meanwhile. Raises FeedError."""
        loop = asyncio.get_running_loop()
        for recording in self._recordings:
            if isinstance(recording, WatchedStream):
                await recording.prepare()
        # Files are read, unpacked and parsed beside the loop; always by one thread, as generators want it.
        with ThreadPoolExecutor(1, thread_name_prefix=f"replay-{self.name}") as pool:
            records = self._records(self.position)
            read = partial(loop.run_in_executor, pool, _take, records)
            ahead = read()
            try:
                while True:
                    chunk, error = await asyncio.shield(ahead)
                    if chunk:
                        ahead = read() if error is None else ahead
                        yield chunk
                    if error is not None:
                        raise FeedError(str(error))
                    if not chunk:
                        return
            finally:
                # A thread cannot be cancelled: what it is at ends before the files are closed.
                await asyncio.wait({ahead})
                await asyncio.shield(loop.run_in_executor(pool, records.close))

    async def _paced(self, chunk: _Piece, pace: _Pace) -> AsyncGenerator[_Piece, None]:
        if self._speed == 0:
            yield chunk
            return
        at = 0
        while at < len(chunk):
            wait = pace.wait(_known(chunk[at].what), self._clock.now())
            if wait > 0:
                await asyncio.sleep(wait)
            now, end = self._clock.now(), at + 1
            while end < len(chunk) and pace.wait(_known(chunk[end].what), now) <= _TOGETHER_SECONDS:
                end += 1
            yield chunk[at:end]
            at = end

    def _deliveries(self, piece: _Piece) -> list[Delivery]:
        """Return a piece as batches, of one source and kind each; the position moves on with the last of them."""
        groups: dict[tuple[str, type[Row], str], _Piece] = {}
        for item in piece:
            groups.setdefault(item.key, []).append(item)
        found: list[Delivery] = []
        for (source, kind, _), items in groups.items():
            rows = [item.what for item in items if not isinstance(item.what, News)]
            batches = batches_of(source, rows, self._simulation_id) or [without_rows(source, kind, self._simulation_id)]
            # A piece is no longer than a batch of trades or books: of a raw stream there is one.
            found += [Delivery(batch, news=_news(items)) for batch in batches]

        def taken() -> None:
            self.position += len(piece)

        return [*found[:-1], replace(found[-1], taken=taken)]

    def _records(self, skip: int) -> Generator[_Item, None, None]:
        def of(order: int, recording: Recording) -> Iterator[tuple[datetime, int, _Item]]:
            stands = recording.before if isinstance(recording, WatchedStream) else None
            for each in recording.records(self._bad):
                if isinstance(each, News):
                    stands = each._replace(found=())
                yield _known(each), order, _Item(recording.source, each, stands)

        merged = heapq.merge(*(of(*each) for each in enumerate(self._recordings)), key=lambda each: each[:2])
        for _, _, item in islice(merged, skip, None):
            yield item

    def _bad(self, _: BadRow) -> None:
        BAD_ROWS.labels(self.name).inc()


def _take(records: Iterator[_Item]) -> tuple[_Piece, FormatError | None]:
    """Return the next records, and what ended them where a file is broken: what came before it is still good."""
    chunk: _Piece = []
    try:
        for record in islice(records, _CHUNK):
            chunk.append(record)
    except FormatError as error:
        return chunk, error
    return chunk, None


def _known(what: Row | News) -> datetime:
    if isinstance(what, News):
        return _EPOCH + timedelta(milliseconds=what.ts_ms)
    moment = event_time(what)
    if moment is None:
        raise FormatError("a record has no time")
    return moment


def _news(items: _Piece) -> News | None:
    """Return the news among the items of one raw stream as one, empty or not; None of what was made of none."""
    stands = items[-1].stands
    if stands is None:
        return None
    return stands._replace(
        found=tuple(each for item in items if isinstance(item.what, News) for each in item.what.found)
    )
