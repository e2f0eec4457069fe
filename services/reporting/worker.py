"""Read risk's journal into the ledger, each row exactly once."""

import asyncio
from dataclasses import dataclass

import httpx
from pydantic import ValidationError

from services.reporting import handlers
from services.reporting.core.chain import chain_problem
from services.reporting.metrics import ERRORS, LAG
from services.reporting.settings import ReportingSettings
from services.reporting.store import Position
from shared.clock import Clock
from shared.database import UNAVAILABLE, Database
from shared.logging import Category, get_trading_logger
from shared.schemas.journal import JournalPage

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
    """Follow the journal page by page: rows, what they change and the cursor are one transaction.

    Several processes may run; whoever holds the cursor's row applies, the others find it moved.
    """

    def __init__(self, database: Database, risk: httpx.AsyncClient, clock: Clock, settings: ReportingSettings) -> None:
        self._database = database
        self._risk = risk
        self._clock = clock
        self._page = settings.reporting_page
        self._poll = settings.reporting_poll_seconds
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
                self.progress.unreachable = self.progress.broken = None
            except JournalBrokenError as error:
                pause = self._failed("broken", error, pause)
                self.progress.broken = str(error)
            except (httpx.HTTPError, *UNAVAILABLE) as error:
                pause = self._failed("unreachable", error, pause)
                self.progress.unreachable = f"{type(error).__name__}: {error}"
            except Exception as error:  # the ledger must not stop for ever without a word
                _LOG.exception("a page of the journal could not be applied")
                pause = self._failed("error", error, pause)
                self.progress.broken = f"{type(error).__name__}: {error}"
            await asyncio.sleep(pause)

    async def step(self) -> int:
        """Apply the next page; return how many rows it had."""
        async with self._database.session() as session:
            before = await handlers.position(session)
        page = await self._fetch(before)
        self.progress.journal_last_seq = page.last_seq
        LAG.set(page.last_seq - before.seq)
        if page.last_seq < before.seq:
            raise JournalBrokenError(f"the journal ends at row {page.last_seq}, row {before.seq} was read")
        problem = chain_problem(before.seq, before.hash, page.items)
        if problem is not None:
            raise JournalBrokenError(problem)
        if not page.items:
            return 0
        async with self._database.session() as session:
            await handlers.apply(session, before, page.items, self._clock.now())
        return len(page.items)

    async def _fetch(self, before: Position) -> JournalPage:
        answer = await self._risk.get(_PATH, params={"after": before.seq, "limit": self._page})
        answer.raise_for_status()
        try:
            return JournalPage.model_validate_json(answer.content)
        except ValidationError as error:
            raise JournalBrokenError(f"a page after row {before.seq} cannot be read: {error}") from error

    def _failed(self, reason: str, error: Exception, pause: float) -> float:
        ERRORS.labels(reason).inc()
        known = self.progress.broken if reason == "broken" else self.progress.unreachable
        if known is None:
            _LOG.error("the ledger stands still", reason=reason, error=str(error))
        return min(max(pause, self._poll) * 2, _LONGEST_PAUSE)
