"""The one writer: decides in memory, makes it durable, and only then answers."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from services.risk.core.answers import answer
from services.risk.core.chain import Row, Tip, event_of, follow, link
from services.risk.core.commands import Command
from services.risk.core.decide import decide
from services.risk.core.evolve import evolve
from services.risk.core.outcome import Event, Refused
from services.risk.core.state import FirmState
from services.risk.effects import record, show_kill_switches
from services.risk.metrics import COMMIT_COMMANDS, COMMIT_SECONDS, DECIDE_SECONDS, ENGINE_READY, JOURNAL_SEQ, REBUILDS
from services.risk.settings import RiskSettings
from services.risk.store import DeposedError, Lease, try_lease
from shared.clock import Clock
from shared.database import UNAVAILABLE, Database
from shared.logging import Category, get_trading_logger
from shared.problems import DependencyUnavailable

_LOG = get_trading_logger("keelson.risk.engine", Category.RISK)
_RETRY_SECONDS = 0.3
_LEASE_CHECK_SECONDS = 1.0
_REBUILD_PAGE = 5_000
_STARTING = "the engine is starting"
_UNCONFIRMED = "the journal did not confirm; send it again to learn what became of it"
T = TypeVar("T")


class JournalBrokenError(Exception):
    """The journal is not what was written; nothing may be decided on it."""


@dataclass(slots=True)
class _Job:
    """A command or a question, and whoever waits for its answer."""

    ask: Command | Callable[[FirmState], Any]
    done: asyncio.Future[Any]


@dataclass(slots=True)
class _Batch:
    """What is decided and not yet durable."""

    rows: list[Row] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    answers: list[tuple[_Job, Any]] = field(default_factory=list)


class Engine:
    """Own the state of all accounts. Without a lease, or while rebuilding, it refuses everything.

    Memory runs ahead of the journal only within one batch: where its commit fails, or its outcome is
    unknown, memory is dropped and rebuilt from the journal.
    """

    def __init__(self, database: Database, clock: Clock, settings: RiskSettings) -> None:
        self._database = database
        self._clock = clock
        self._batch_size = settings.risk_batch
        self._queue: asyncio.Queue[_Job] = asyncio.Queue(settings.risk_queue)
        self._state = FirmState()
        self._tip = Tip()
        self._not_ready: str | None = _STARTING

    async def problem(self) -> str | None:
        """Tell why nothing can be decided now, None while it can."""
        return self._not_ready

    async def submit(self, command: Command) -> Any:
        """Carry out a command and return its answer, or Refused, once it is durable.

        Raises DependencyUnavailable; what became of the command is then unknown, and sending it again is safe.
        """
        return await self._ask(command)

    async def read(self, question: Callable[[FirmState], T]) -> T:
        """Return an answer from the state in which all that it shows is durable. Raises DependencyUnavailable."""
        found: T = await self._ask(question)
        return found

    async def run(self) -> None:
        """Lead whenever nobody else does, for ever."""
        while True:
            try:
                async with try_lease(self._database) as lease:
                    if lease is None:
                        self._stand_down("another process leads; this one stands by")
                    else:
                        await self._lead(lease)
            except UNAVAILABLE as error:
                self._stand_down("the journal cannot be reached", error)
            except DeposedError:
                self._stand_down("another process took the lead")
            except JournalBrokenError as error:
                self._stand_down(f"the journal is broken: {error}", error)
            except asyncio.CancelledError:
                self._stand_down("the service is stopping")
                raise
            except Exception as error:  # whatever it is, an engine that stops for ever is worse than one that rebuilds
                _LOG.exception("the engine failed")
                self._stand_down("the engine failed and is starting again", error)
            finally:
                ENGINE_READY.set(0)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _ask(self, ask: Command | Callable[[FirmState], Any]) -> Any:
        job = _Job(ask, asyncio.get_running_loop().create_future())
        if self._not_ready is not None:
            raise _unavailable(self._not_ready)
        try:
            self._queue.put_nowait(job)
        except asyncio.QueueFull:
            raise _unavailable("too many commands wait for the engine") from None
        return await job.done

    async def _lead(self, lease: Lease) -> None:
        await self._rebuild(lease)
        self._not_ready = None
        ENGINE_READY.set(1)
        _LOG.info("leading", epoch=lease.epoch, last_seq=self._tip.seq, accounts=len(self._state.accounts))
        while True:
            try:
                async with asyncio.timeout(_LEASE_CHECK_SECONDS):
                    first = await self._queue.get()
            except TimeoutError:
                await lease.check()
                continue
            await self._carry_out(lease, first)

    async def _carry_out(self, lease: Lease, first: _Job) -> None:
        jobs = [first]
        while len(jobs) < self._batch_size and not self._queue.empty():
            jobs.append(self._queue.get_nowait())
        batch = _Batch()
        try:
            for job in jobs:
                self._decide(job, batch, lease.epoch)
            if batch.rows:
                started = time.perf_counter()
                await lease.append(batch.rows)
                COMMIT_SECONDS.observe(time.perf_counter() - started)
                COMMIT_COMMANDS.observe(len(jobs))
                JOURNAL_SEQ.set(self._tip.seq)
        except BaseException:
            # At once: what comes now must not wait for, or be decided on, a memory that may be wrong.
            self._not_ready = _UNCONFIRMED
            for job in jobs:
                _fail(job, _UNCONFIRMED)
            raise
        for job, found in batch.answers:
            if not job.done.done():
                job.done.set_result(found)
        for event in batch.events:
            record(self._state, event)

    def _decide(self, job: _Job, batch: _Batch, epoch: int) -> None:
        now = self._clock.now()
        started = time.perf_counter()
        try:
            outcome = job.ask(self._state) if callable(job.ask) else decide(self._state, job.ask, now)
        except Exception as error:  # neither changes the state: what fails here concerns whoever asked, nobody else
            _LOG.exception("a question or a command failed", asked=type(job.ask).__name__)
            if not job.done.done():
                job.done.set_exception(error)
            return
        if not callable(job.ask):
            DECIDE_SECONDS.observe(time.perf_counter() - started)
        if callable(job.ask) or isinstance(outcome, Refused):
            batch.answers.append((job, outcome))
            return
        for event in outcome:
            row = link(self._tip, event, now, epoch)
            evolve(self._state, event, row.seq)
            self._tip = Tip(row.seq, row.hash)
            batch.rows.append(row)
        batch.events += outcome
        batch.answers.append((job, answer(self._state, job.ask, outcome)))

    async def _rebuild(self, lease: Lease) -> None:
        REBUILDS.inc()
        state, tip = FirmState(), Tip()
        while True:
            rows = await lease.page(tip.seq, _REBUILD_PAGE)
            tip, broken = follow(tip, rows)
            if broken is not None:
                raise JournalBrokenError(f"row {broken.seq}: {broken.problem}")
            for row in rows:
                try:
                    event = event_of(row)
                except ValueError as error:
                    raise JournalBrokenError(f"row {row.seq} cannot be read: {error}") from error
                evolve(state, event, row.seq)
            if len(rows) < _REBUILD_PAGE:
                break
        if tip.seq != lease.last_seq:
            raise JournalBrokenError(f"it ends at row {tip.seq}, and row {lease.last_seq} was written")
        self._state, self._tip = state, tip
        JOURNAL_SEQ.set(tip.seq)
        show_kill_switches(state)

    def _stand_down(self, why: str, error: Exception | None = None) -> None:
        if self._not_ready != why:
            _LOG.warning("not deciding", why=why, error=str(error) if error else None)
        self._not_ready = why
        while not self._queue.empty():
            _fail(self._queue.get_nowait(), why)


def _fail(job: _Job, why: str) -> None:
    if not job.done.done():
        job.done.set_exception(_unavailable(why))


def _unavailable(why: str) -> DependencyUnavailable:
    return DependencyUnavailable(f"Nothing can be decided now: {why}", headers={"Retry-After": "1"})
