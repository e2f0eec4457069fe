"""When each record is played: accounts side by side, each in its own time order."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import repeat

from services.marketdata.formats.dataset import BadRow, Dataset, DatasetKind, Record, known_at

# Nights, weekends and years between two records of one account pass in at most this much of its time.
LONGEST_PAUSE = timedelta(minutes=15)
# ... or in this much of ours, where that is longer.
SHORTEST_WALL_CAP = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Step:
    """One record of one dataset, when it was known and when it is played.

    `elapsed` is the account's time since its first record, with pauses cut short.
    """

    dataset: Dataset
    record: Record
    known_at: datetime
    session_date: date
    elapsed: timedelta


def longest_pause(speed: float | None) -> timedelta:
    """Return how much of an account's time a pause may take at `speed` times real time; None: no pacing."""
    if speed is None:
        return LONGEST_PAUSE
    return max(LONGEST_PAUSE, SHORTEST_WALL_CAP * speed)


def by_currency(datasets: Sequence[Dataset]) -> dict[str, list[Dataset]]:
    """Group datasets by the account that trades them: one for each currency, sorted by name."""
    groups: dict[str, list[Dataset]] = {}
    for dataset in sorted(datasets, key=lambda dataset: (dataset.currency, dataset.name)):
        groups.setdefault(dataset.currency, []).append(dataset)
    return groups


def account_timeline(
    datasets: Sequence[Dataset], pause: timedelta, on_bad_row: Callable[[BadRow], None] | None = None
) -> Iterator[Step]:
    """Yield one account's records as they became known; of one moment bars before states, then by dataset name."""
    elapsed = timedelta(0)
    before: datetime | None = None
    streams = [_known(dataset, on_bad_row) for dataset in sorted(datasets, key=_bars_first)]
    # The records themselves have no order: compare only what is named here. The merge is stable.
    for moment, dataset, record in heapq.merge(*streams, key=lambda entry: entry[0]):
        if before is not None:
            elapsed += min(max(moment - before, timedelta(0)), pause)
        before = moment
        yield Step(dataset, record, moment, dataset.session_date(record), elapsed)


def interleave(timelines: Sequence[Iterator[Step]]) -> Iterator[tuple[int, Step]]:
    """Yield the steps of all timelines by elapsed time, ties in the order given, with the timeline's index."""
    numbered = [zip(repeat(index), steps, strict=False) for index, steps in enumerate(timelines)]
    yield from heapq.merge(*numbered, key=lambda entry: entry[1].elapsed)


def _bars_first(dataset: Dataset) -> tuple[bool, str]:
    return dataset.kind is not DatasetKind.BARS, dataset.name


def _known(dataset: Dataset, on_bad_row: Callable[[BadRow], None] | None) -> Iterator[tuple[datetime, Dataset, Record]]:
    for record in dataset.records(on_bad_row):
        yield known_at(record), dataset, record
