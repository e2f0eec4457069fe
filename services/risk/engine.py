"""The one writer: decides in memory, makes it durable, and only then answers."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from services.risk.batch import Batch
from services.risk.broadcast import Broadcast
from services.risk.core.checkpoints import DurableTip
from services.risk.core.commands import Command, StartEngine
from services.risk.core.state import FirmState
from services.risk.effects import show_kill_switches
from services.risk.faults import Faults, system_error
from services.risk.inbox import Inbox, Job, job
from services.risk.metrics import (
    BATCH_SIZE,
    COMMIT_SECONDS,
    JOURNAL_SEQ,
    LEADER,
    MISMATCH,
    REBUILDS,
    UNACKNOWLEDGED,
)
from services.risk.replica import JournalBrokenError, Replica, Restore
from services.risk.settings import RiskSettings
from services.risk.sharding import ForeignJournalError, refuse_foreign_accounts, refuse_foreign_journal
from services.risk.store import DeposedError, Lease, follow_pages, try_lease
from services.risk.vigil import Vigil
from shared.clock import Clock
from shared.database import UNAVAILABLE, Database
from shared.logging import Category, get_trading_logger
from shared.memory import settle
from shared.version import VERSION

_LOG = get_trading_logger("keelson.risk.engine", Category.RISK)
_RETRY_SECONDS = 0.25
# Well within the time after which a standby takes the lead from a process that does not renew.
_RENEW_SECONDS = 0.3
_TICK = timedelta(seconds=1)
_STARTING = "the engine is starting"
_UNCONFIRMED = "the journal did not confirm; send it again to learn what became of it"
# What must be carried out before anything is decided, such as a stop this process has not heard of.
Learn = Callable[[], Awaitable[Sequence[Command]]]
T = TypeVar("T")


class Engine:
    """Own the state of all accounts. Without a lease, or while catching up, it refuses everything.

    Memory runs ahead of the journal only within one batch: where its commit fails, or its outcome is
    unknown, memory is dropped and rebuilt from the journal. While another process leads, it follows.
    """

    def __init__(self, database: Database, clock: Clock, settings: RiskSettings, restore: Restore) -> None:
        self._database = database
        self.clock = clock
        self._settings = settings
        self.shard = settings.shard
        self._vigil = Vigil(settings.risk_kill_acknowledge_seconds)
        self._differs = False
        self._faults = Faults(settings.risk_fault_limit)
        self._inbox = Inbox(settings.risk_queue, _STARTING)
        self.restore = restore
        self._replica = Replica(restore)
        self.broadcast = Broadcast(settings.risk_streams)
        # The end of what is durable; None while another process leads, or nobody knows.
        self._durable: DurableTip | None = None

    @property
    def four_eyes(self) -> bool:
        """Tell whether a release takes two admins."""
        return self._settings.four_eyes

    def heard(self, strategy_id: str) -> None:
        """Note that a strategy is alive."""
        self._vigil.heard(strategy_id, self.clock.now())

    async def durable_tip(self) -> DurableTip | None:
        """Return the newest durable row, None while this process does not lead."""
        return self._durable

    async def problem(self) -> str | None:
        """Tell why nothing can be decided now, None while it can."""
        return self._inbox.closed

    async def submit(self, command: Command) -> Any:
        """Carry out a command and return its answer, or Refused, once it is durable.

        Raises DependencyUnavailable; what became of the command is then unknown, and sending it again is safe.
        """
        (found,) = await self.submit_all((command,))
        return found

    async def submit_all(self, commands: tuple[Command, ...]) -> list[Any]:
        """Carry out commands in their sequence, each by itself, as `submit` does; answered once all are durable.

        They may take several commits, and stops that others ask for come between them.
        """
        found: list[Any] = await self._inbox.put(commands).done
        return found

    async def read(self, question: Callable[[FirmState], T]) -> T:
        """Return an answer from the state in which all that it shows is durable. Raises DependencyUnavailable."""
        found: T = await self._inbox.put(question).done
        return found

    async def run(self, learn: Learn) -> None:
        """Lead whenever nobody else does, and follow meanwhile, for ever; `learn` gives what to carry out first."""
        while True:
            try:
                # Before it may lead: whoever leads must be quick, or another takes it for hung.
                await self._replica.catch_up(follow_pages(self._database))
                self._compare_with_leader()
                await refuse_foreign_journal(self._database, self.shard, self._replica.state.accounts)
                async with try_lease(self._database, self._settings.risk_commit_seconds) as lease:
                    if lease is not None:
                        await self._lead(lease, learn)
                self._stand_down("another process leads; this one stands by")
            except UNAVAILABLE as error:
                self._stand_down("the journal cannot be reached", error)
            except DeposedError:
                self._stand_down("another process took the lead")
            except ForeignJournalError as error:
                self._stand_down(str(error), error)
            except JournalBrokenError as error:
                # Folded up to the bad row, and perhaps into it: nothing of it can be relied on.
                self._replica = Replica(self.restore)
                self._stand_down(f"the journal is broken: {error}", error)
            except asyncio.CancelledError:
                self._stand_down("the service is stopping")
                raise
            except Exception as error:  # whatever it is, an engine that stops for ever is worse than one that rebuilds
                _LOG.exception("the engine failed")
                self._faults.note(self.clock.now())
                self._replica = Replica(self.restore)
                self._stand_down("the engine failed and is starting again", error)
            finally:
                LEADER.set(0)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _lead(self, lease: Lease, learn: Learn) -> None:
        await self._begin(lease, learn)
        self._inbox.closed = None
        LEADER.set(1)
        state = self._replica.state
        _LOG.info("leading", epoch=lease.epoch, last_seq=self._replica.tip.seq, accounts=len(state.accounts))
        renewed = ticked = self.clock.now()
        while True:
            jobs = await self._inbox.next(self._settings.risk_batch, _RENEW_SECONDS)
            if await self._carry_out(lease, jobs):
                renewed = self.clock.now()
            now = self.clock.now()
            if now - ticked >= _TICK:
                ticked = now
                UNACKNOWLEDGED.set(self._vigil.overdue(state, now))
                await self._carry_out(lease, [job((self._vigil.time_passes(state, now),))])
            if not jobs or now - renewed >= timedelta(seconds=_RENEW_SECONDS):
                await lease.renew()
                renewed = now

    async def _begin(self, lease: Lease, learn: Learn) -> None:
        """Come to the end of the journal, and note there who leads, before anything is decided."""
        REBUILDS.inc()
        await self._replica.catch_up(lease.page)
        tip = self._replica.tip
        if tip.seq != lease.last_seq:
            raise JournalBrokenError(f"it ends at row {tip.seq}, and row {lease.last_seq} was written")
        refuse_foreign_accounts(self.shard, self._replica.state.accounts)
        await lease.claim(self.shard)
        show_kill_switches(self._replica.state)
        self._vigil.begin()
        settle()
        begin = job((StartEngine(VERSION, self._settings.fingerprint(), self._settings.boot_halted),))
        await self._carry_out(lease, [begin])
        await begin.done
        for command in await learn():
            await self._carry_out(lease, [job((command,))])
        if self._faults.too_many(self.clock.now()):
            await self._carry_out(lease, [job((system_error(self._replica.tip.seq, self.shard),))])

    def _compare_with_leader(self) -> None:
        """Alert where this process, once it leads, would decide by another build or configuration."""
        mine, theirs = (VERSION, self._settings.fingerprint()), self._replica.state.leader
        differs = theirs is not None and theirs != mine
        if differs and not self._differs:
            _LOG.error("this standby differs from the leader", mine=mine, leader=theirs)
        self._differs = differs
        MISMATCH.set(differs)

    async def _carry_out(self, lease: Lease, jobs: Sequence[Job]) -> bool:
        """Decide on jobs, make it durable, and answer; return whether anything was written. What is left waits."""
        batch = Batch(self._replica, self.clock, lease.epoch)
        try:
            left = batch.decide(jobs, self._settings.risk_batch)
            if batch.rows:
                started = time.perf_counter()
                await lease.append(batch.rows)
                COMMIT_SECONDS.observe(time.perf_counter() - started)
                BATCH_SIZE.observe(len(batch.rows))
                tip = self._replica.tip
                self._durable = DurableTip(tip.seq, tip.hash, lease.epoch)
                JOURNAL_SEQ.set(tip.seq)
        except BaseException:
            # At once: what comes now must not wait for, or be decided on, a memory that may be wrong.
            self._inbox.closed, self._durable = _UNCONFIRMED, None
            self._replica = Replica(self.restore)
            for each in jobs:
                each.fail(_UNCONFIRMED)
            raise
        batch.answer()
        self._inbox.put_back(left)
        self.broadcast.send(batch.rows)
        batch.record()
        return bool(batch.rows)

    def _stand_down(self, why: str, error: Exception | None = None) -> None:
        if self._inbox.closed != why:
            _LOG.warning("not deciding", why=why, error=str(error) if error else None)
        self._durable = None
        self.broadcast.end()
        self._inbox.close(why)
