"""What is replayed: recorded records, and of a raw stream what its checks say of the messages they were made of."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Protocol

from services.marketdata.core.stream.news import News
from services.marketdata.core.thresholds import DEFAULTS, Thresholds
from services.marketdata.feeds.connector import Row
from services.marketdata.formats.dataset import AnyRecord, Dataset, RawStream, Report, refuse
from services.marketdata.formats.watched import watched

ThresholdsOf = Callable[[str], Awaitable[Thresholds]]


class Recording(Protocol):
    """What is replayed: a dataset of `formats.discover`, or anything like it."""

    @property
    def source(self) -> str:
        """Return the name of the source that was recorded."""

    def records(self, on_bad_row: Report | None = None) -> Iterator[Row | News]:
        """Yield the records in the order of their time, those of a raw stream with its news between them.

        May be called again, and then yields the same.
        """


class WatchedStream:
    """A dataset made of a raw stream: its messages are checked as they are read, by the bands of their symbol."""

    def __init__(self, dataset: Dataset[AnyRecord], raw: RawStream[AnyRecord], thresholds_of: ThresholdsOf) -> None:
        self.source = dataset.source
        self._dataset = dataset
        self._raw = raw
        self._thresholds_of = thresholds_of
        self._thresholds = DEFAULTS
        # How the stream stands before its first message.
        self.before = News(dataset.symbol, raw.stream, 0, (), frozenset())

    async def prepare(self) -> None:
        """Learn by which bands the messages are judged now."""
        self._thresholds = await self._thresholds_of(self._dataset.symbol)

    def records(self, on_bad_row: Report | None = None) -> Iterator[Row | News]:
        """Yield the records and the news."""
        return watched(self._dataset, self._raw, self._thresholds, on_bad_row or refuse)
