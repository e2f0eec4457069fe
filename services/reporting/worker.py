"""Read risk's journal into the ledger, each row exactly once."""

import asyncio
from dataclasses import dataclass

import httpx
from pydantic import ValidationError

from services.reporting import handlers
from services.reporting.core.chain import chain_problem
from services.reporting.core.journal import JournalRows
from services.reporting.core.ledger import Changes, MalformedRowError
from services.reporting.metrics import CURSOR, ERRORS, LAG, ROLLUPS, ROWS, SKIPPED, TRADES
from services.reporting.settings import ReportingSettings
from services.reporting.store import Position
from shared.clock import Clock
from shared.database import UNAVAILABLE, Database
from shared.logging import Category, get_trading_logger
from shared.shards import SHARD_HEADER

_LOG = get_trading_logger("keelson.reporting.worker", Category.AUDIT)
_LONGEST_PAUSE = 2.0
_PATH = "/api/v1/risk/journal"


class JournalBrokenError(Exception):
    """The journal does not continue what was read; going on would make the ledger wrong."""


@dataclass(slots=True)
class Progress:
    """What the worker knows of the journal."""

    journal_last_seq: int | None = None
    unreachable: str | None = None
    broken: str | None = None


class Worker:
    """Follow one shard's journal page by page: rows, what they change and the cursor are one transaction.

    Several processes may run; whoever holds the cursor's row applies, the others find it moved.
    """

    def __init__(
        self, database: Database, risk: httpx.AsyncClient, clock: Clock, settings: ReportingSettings, shard: int = 0
    ) -> None:
        self._shard = shard
        self._label = str(shard)
        self._database = database
        self._risk = risk
        self._clock = clock
        self._page = settings.reporting_page
        self._poll = settings.reporting_poll_seconds
        self._said: str | None = None
        self.progress = Progress()

    async def problem(self) -> str | None:
        """Tell why the ledger cannot go on by itself, None while it can."""
        return self.progress.broken

    async def run(self) -> None:
        """Follow for ever, whatever fails meanwhile."""
        pause = self._poll
        while True:
            try:
                applied = await self.step()
                pause = self._poll if not applied else 0.0
                self._went_on()
            except (JournalBrokenError, MalformedRowError) as error:
                pause = self._failed("broken", error, pause)
                self.progress.broken = str(error)
            except httpx.HTTPError as error:
                pause = self._failed("unreachable", error, pause)
                self.progress.unreachable = f"{type(error).__name__}: {error}"
            except UNAVAILABLE as error:
                # Readiness and every read say so themselves; nothing is wrong with risk or its journal.
                pause = self._failed("database", error, pause)
            except Exception as error:  # the ledger must not stop for ever without a word
                pause = self._failed("error", error, pause)
                self.progress.broken = f"{type(error).__name__}: {error}"
            await asyncio.sleep(pause)

    async def step(self) -> int:
        """Apply the next page; return how many rows it had."""
        async with self._database.session() as session:
            before = await handlers.position(session, self._shard)
        page = await self._fetch(before)
        self.progress.journal_last_seq = page.last_seq
        LAG.labels(self._label).set(page.last_seq - before.seq)
        if page.last_seq < before.seq:
            raise JournalBrokenError(f"the journal ends at row {page.last_seq}, row {before.seq} was read")
        problem = chain_problem(before.seq, before.hash, page.items)
        if problem is not None:
            raise JournalBrokenError(problem)
        if not page.items:
            if page.last_seq > before.seq:
                raise JournalBrokenError(f"rows {before.seq + 1} to {page.last_seq} are missing")
            return 0
        async with self._database.session() as session:
            changes = await handlers.apply(session, self._shard, before, page.items, self._clock.now())
        if changes is not None:
            self._count(page, changes)
        return len(page.items)

    async def _fetch(self, before: Position) -> JournalRows:
        answer = await self._risk.get(
            _PATH, params={"after": before.seq, "limit": self._page}, headers={SHARD_HEADER: self._label}
        )
        answer.raise_for_status()
        try:
            return JournalRows.model_validate_json(answer.content)
        except ValidationError as error:
            reason = error.errors(include_input=False, include_url=False)[0]["msg"]
            raise JournalBrokenError(f"the page after row {before.seq} cannot be read: {reason}") from error

    def _count(self, page: JournalRows, changes: Changes) -> None:
        """Measure a page that is durable."""
        newest = page.items[-1].seq
        CURSOR.labels(self._label).set(newest)
        LAG.labels(self._label).set(max(page.last_seq - newest, 0))
        ROWS.inc(len(page.items))
        TRADES.inc(len(changes.trades))
        ROLLUPS.inc(len(changes.days))
        for kind, number in changes.unknown.items():
            SKIPPED.labels(kind).inc(number)
            _LOG.warning("rows of an unknown kind left out of the ledger", kind=kind, rows=number, up_to_seq=newest)

    def _went_on(self) -> None:
        self.progress.unreachable = self.progress.broken = None
        if self._said is not None:
            _LOG.info("the ledger goes on", shard=self._shard)
            self._said = None

    def _failed(self, reason: str, error: Exception, pause: float) -> float:
        ERRORS.labels(reason).inc()
        # Once for each thing that is wrong, not at every attempt.
        saying = f"{reason}: {error}" if reason == "broken" else f"{reason}: {type(error).__name__}"
        if saying != self._said:
            self._said = saying
            say = _LOG.exception if reason == "error" else _LOG.error
            say("the ledger stands still", shard=self._shard, reason=reason, error=str(error))
        return min(max(pause, self._poll) * 2, _LONGEST_PAUSE)
