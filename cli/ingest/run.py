"""A whole ingest: one dataset after the other, read a batch ahead of what is being sent."""

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from cli.client import Api, CommandError, Refused, Unavailable
from cli.ingest.batches import Batch, Limits, Reading, batches, form_of
from cli.ingest.positions import Position, Positions, key_of
from cli.ingest.stream_findings import StreamFindings
from cli.where_traded import say_where_traded
from services.marketdata.core.stream.news import News
from services.marketdata.core.thresholds import of_symbol
from services.marketdata.formats.dataset import AnyRecord, BadRow, Dataset, FormatError, Report, refuse
from services.marketdata.formats.reading import WATCH
from services.marketdata.formats.watched import watched
from shared.schemas.base import Page
from shared.schemas.marketdata import FeedStatus, IngestResult
from shared.schemas.quality import QualityReport

_MARKETDATA = "/api/v1/marketdata"
_NOT_ALLOWED = frozenset({401, 403})
_TOO_LARGE = 413
_NAMED = 5


class Ending(StrEnum):
    """How it stands with a dataset."""

    WAITING = "waiting"
    RUNNING = "running"
    TAKEN = "taken"
    TAKEN_BEFORE = "taken before"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass
class Lane:
    """One dataset of a run, and how far it has come; `began_at` are the rows that an earlier run had sent."""

    dataset: Dataset[AnyRecord]
    key: str
    reading: Reading
    position: Position = field(default_factory=Position)
    began_at: int = 0
    seconds: float = 0.0
    done: float = 0.0
    bad_rows: int = 0
    first_bad: list[BadRow] = field(default_factory=list)
    lost_files: list[BadRow] = field(default_factory=list)
    first_rejected: list[str] = field(default_factory=list)
    stream: StreamFindings = field(default_factory=StreamFindings)
    ending: Ending = Ending.WAITING
    error: str | None = None

    @property
    def sent_now(self) -> int:
        """Return the rows that this run has sent."""
        return self.position.sent - self.began_at


class Watcher(Protocol):
    """Whoever follows a run."""

    def began(self, lane: Lane) -> None:
        """Learn that a dataset is being sent."""

    def moved(self, lane: Lane) -> None:
        """Learn that rows of a dataset were confirmed."""

    def ended(self, lane: Lane) -> None:
        """Learn how a dataset ended."""

    def notice(self, text: str) -> None:
        """Say something that stays on the screen."""


@dataclass(frozen=True)
class Plan:
    """What to take in, under which simulation if any; `strict` refuses what is bad instead of leaving it out."""

    datasets: Sequence[Dataset[AnyRecord]]
    simulation_id: str | None = None
    strict: bool = False


class Ingest:
    """One run of a plan; `stopped` ends it after the batch that is being sent."""

    def __init__(
        self,
        plan: Plan,
        api: Api,
        positions: Positions,
        watcher: Watcher,
        *,
        stopped: threading.Event,
        limits: Limits | None = None,
    ) -> None:
        self._plan = plan
        self.lanes = [Lane(dataset, key_of(dataset), Reading(dataset.files)) for dataset in plan.datasets]
        self._api = api
        self._positions = positions
        self._watcher = watcher
        self._stopped = stopped
        self._limits = limits or Limits()

    @property
    def complete(self) -> bool:
        """Tell whether every dataset is taken in to its end."""
        return all(lane.ending in (Ending.TAKEN, Ending.TAKEN_BEFORE) for lane in self.lanes)

    def run(self) -> None:
        """Send all there is. Raises Unavailable where the suite stays away, Refused where the key is not let in."""
        self._resume()
        profiled: set[tuple[str, str | None]] = set()
        for lane in self.lanes:
            if self._stopped.is_set():
                break
            if lane.position.done:
                lane.done, lane.ending = 1.0, Ending.TAKEN_BEFORE
            else:
                self._take(lane, profiled)
            self._watcher.ended(lane)
        if self.complete:
            self._positions.forget([lane.key for lane in self.lanes])

    def _resume(self) -> None:
        """Go on from what was kept, unless the server has lost rows that it had confirmed."""
        known = {lane.key: self._positions.of(lane.key) for lane in self.lanes}
        sources = {lane.dataset.source for lane in self.lanes if known[lane.key].sent}
        held = self._held() if sources else {}
        for source in sorted(sources):
            of_source = [lane for lane in self.lanes if lane.dataset.source == source]
            confirmed = sum(known[lane.key].stored + known[lane.key].unchanged for lane in of_source)
            if held.get(source, 0) >= confirmed:
                continue
            self._watcher.notice(
                f"the suite holds {held.get(source, 0):,} rows of {source}, of which {confirmed:,} had been taken in: "
                "its datasets are sent from their beginning"
            )
            self._positions.forget([lane.key for lane in of_source])
        for lane in self.lanes:
            lane.position = self._positions.of(lane.key)
            lane.began_at = lane.position.sent

    def _held(self) -> dict[str, int]:
        """Return how many rows of each source the server has ever stored of this simulation, or of none."""
        if self._plan.simulation_id is None:
            feeds = self._api.get(f"{_MARKETDATA}/quality/report", QualityReport).feeds
        else:
            query: dict[str, str | int] = {"simulation_id": self._plan.simulation_id, "limit": 1000}
            feeds = self._api.get(f"{_MARKETDATA}/feeds", Page[FeedStatus], query).items
        return {feed.source: feed.rows for feed in feeds}

    def _take(self, lane: Lane, profiled: set[tuple[str, str | None]]) -> None:
        lane.ending, started = Ending.RUNNING, time.monotonic()
        self._watcher.began(lane)
        try:
            if (lane.dataset.symbol, lane.dataset.calendar) not in profiled:
                if (told := say_where_traded(self._api, lane.dataset)) is not None:
                    self._watcher.notice(told)
                profiled.add((lane.dataset.symbol, lane.dataset.calendar))
            with closing(self._ahead(lane)) as ahead:
                for batch in ahead:
                    self._send(lane, batch)
                    if self._stopped.is_set():
                        break
            if self._stopped.is_set():
                lane.ending = Ending.STOPPED
            elif lane.lost_files:
                lane.ending, lane.error = Ending.FAILED, _said_of(lane.lost_files)
            else:
                lane.done, lane.ending, lane.position.done = 1.0, Ending.TAKEN, True
                self._positions.keep(lane.key, lane.position)
        except Unavailable as error:
            if not self._stopped.is_set():
                lane.ending, lane.error = Ending.FAILED, str(error)
                raise
            lane.ending = Ending.STOPPED
        except (CommandError, FormatError, OSError) as error:
            lane.ending, lane.error = Ending.FAILED, str(error)
            if isinstance(error, Refused) and error.status in _NOT_ALLOWED:
                raise
        finally:
            lane.seconds = time.monotonic() - started

    def _ahead(self, lane: Lane) -> Generator[Batch, None, None]:
        """Yield the batches of a dataset, each while the next one is read."""
        report = None if self._plan.strict else self._reporter(lane)
        form = form_of(lane.dataset, self._plan.simulation_id, strict=self._plan.strict)
        found = batches(
            _records(lane, report or refuse),
            form,
            self._limits,
            skip=lane.position.sent,
            reading=lambda: lane.reading.done,
            stopped=self._stopped,
        )
        with ThreadPoolExecutor(1, initializer=WATCH.set, initargs=(lane.reading,)) as reader:
            following = reader.submit(next, found, None)
            while (batch := following.result()) is not None:
                following = reader.submit(next, found, None)
                yield batch

    def _reporter(self, lane: Lane) -> Callable[[BadRow], None]:
        def report(bad: BadRow) -> None:
            if bad.lost:
                lane.lost_files.append(bad)
                return
            lane.bad_rows += 1
            if len(lane.first_bad) < _NAMED:
                lane.first_bad.append(bad)

        return report

    def _send(self, lane: Lane, batch: Batch) -> None:
        form = batch.form
        try:
            result = self._api.send_bytes("POST", form.path, IngestResult, batch.body, form.media_type, form.params)
        except Refused as error:
            if error.status != _TOO_LARGE or len(batch.pieces) == 1:
                raise
            self._limits.bytes = max(len(batch.body) // 2, 1)
            for half in batch.halves():
                if not self._stopped.is_set():
                    self._send(lane, half)
            return
        for row in result.rejected[: _NAMED - len(lane.first_rejected)]:
            lane.first_rejected.append(f"{lane.dataset.name}: row {lane.position.sent + row.index}: {row.reason}")
        lane.position.add(result)
        lane.done = batch.read
        self._positions.keep(lane.key, lane.position)
        self._watcher.moved(lane)
        if self._plan.strict and result.rejected_count:
            # The routes of states know no strictness.
            raise CommandError(f"{result.rejected_count} rows were rejected, such as {lane.first_rejected[0]}")


def _records(lane: Lane, report: Report) -> Iterator[AnyRecord]:
    """Yield the records of a dataset; of what is said of the messages they are made of the lane takes note."""
    dataset = lane.dataset
    if dataset.raw is None:
        yield from dataset.records(report, whole=False)
        return
    for each in watched(dataset, dataset.raw, of_symbol(dataset.symbol), report):
        if isinstance(each, News):
            lane.stream.add(each)
        else:
            yield each


def _said_of(lost: Sequence[BadRow]) -> str:
    """Return what is said of files that could not be read."""
    named = "; ".join(map(str, lost[:_NAMED]))
    more = f"; and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
    return f"taken in without {len(lost)} of its files, which cannot be read: {named}{more}"


def total(lanes: Iterable[Lane]) -> Position:
    """Return the sum of what became of the rows of all datasets."""
    summed = Position(done=True)
    for lane in lanes:
        for name in ("sent", "stored", "unchanged", "revised", "rejected", "flagged"):
            setattr(summed, name, getattr(summed, name) + getattr(lane.position, name))
        summed.done = summed.done and lane.position.done
    return summed
