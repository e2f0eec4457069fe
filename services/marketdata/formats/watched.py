"""The records of a raw stream, and between them what its checks say."""

from collections.abc import Iterator

from services.marketdata.core.stream.lane import Watch
from services.marketdata.core.stream.news import Listener, News
from services.marketdata.core.thresholds import Thresholds
from services.marketdata.formats.dataset import AnyRecord, Dataset, R_co, RawStream, Report


def watched(
    dataset: Dataset[AnyRecord], raw: RawStream[R_co], thresholds: Thresholds, report: Report
) -> Iterator[R_co | News]:
    """Yield the records of a dataset, each after the news of the messages up to it; raises FormatError.

    Where nothing can be made of messages any more, as of a book that is lost, their news still come.
    """
    watch = Watch(thresholds, float(dataset.instrument.tick_size))
    listener = Listener(dataset.symbol, raw.stream, watch)
    for record in raw.read(report, listener.hear):
        yield from listener.take()
        yield record
    yield from listener.finish()
