"""Sign what the journal is, now and then, beside the engine and never in its way."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from services.risk import store
from services.risk.checkpoint_file import BrokenError, CheckpointFile
from services.risk.core.checkpoints import Checkpoint, DurableTip, contradiction, is_due
from services.risk.metrics import CHECKPOINT_BROKEN, CHECKPOINT_FAILURES, CHECKPOINT_SEQ, CHECKPOINT_TIME
from services.risk.settings import RiskSettings
from services.risk.signing import SigningKeyError
from shared.clock import Clock
from shared.database import UNAVAILABLE, Database
from shared.logging import Category, get_trading_logger

_LOG = get_trading_logger("keelson.risk.checkpoints", Category.AUDIT)
_LOOK_SECONDS = 1.0
# A file that is away or broken is looked at less often: it may be long, and is read again.
_RETRY_SECONDS = 10.0

TipSource = Callable[[], Awaitable[DurableTip | None]]
HashSource = Callable[[int], Awaitable[str | None]]


def journal_hashes(database: Database) -> HashSource:
    """Return what tells the hash the journal holds at a row, None where there is no such row."""

    async def hash_at(seq: int) -> str | None:
        async with database.session() as session:
            return await store.hash_at(session, seq)

    return hash_at


class CheckpointKeeper:
    """Sign the durable tip when it is due, after a proof that the journal is what was signed before."""

    def __init__(
        self, file: CheckpointFile, tip: TipSource, hash_at: HashSource, clock: Clock, *, rows: int, seconds: float
    ) -> None:
        self._file = file
        self._tip = tip
        self._hash_at = hash_at
        self._clock = clock
        self._rows = rows
        self._every = timedelta(seconds=seconds)
        self._pause, self._retry = min(_LOOK_SECONDS, seconds), min(_RETRY_SECONDS, seconds)
        self._proved = False
        self._last: Checkpoint | None = None
        self._told: str | None = None

    async def keep(self) -> None:
        """Look for ever, whatever fails; sign once more when it is cancelled, so that a stop leaves no gap."""
        try:
            while True:
                sound = await self.look()
                await asyncio.sleep(self._pause if sound else self._retry)
        except asyncio.CancelledError:
            await self.look(at_once=True)
            raise

    async def look(self, *, at_once: bool = False) -> bool:
        """Sign the tip where it is due, or at once where it moved; return whether all is well. Never raises."""
        try:
            await self._look(at_once)
        except BrokenError as error:
            self._proved = False
            CHECKPOINT_BROKEN.set(1)
            self._tell(str(error), "no checkpoint is written: what was signed is not what there is")
        except (OSError, SigningKeyError, *UNAVAILABLE) as error:
            self._failed()
            self._tell(f"{type(error).__name__}: {error}", "a checkpoint could not be written")
        except Exception:  # whatever it is, decisions go on, and so does this
            self._failed()
            _LOG.exception("a checkpoint failed")
        else:
            CHECKPOINT_BROKEN.set(0)
            self._told = None
            return True
        return False

    async def _look(self, at_once: bool) -> None:
        tip = await self._tip()
        if tip is None:
            # Whoever leads next may have written; what this process knows is proved again.
            self._proved = False
            return
        now = self._clock.now()
        if self._proved and not self._due(tip, now, at_once):
            return
        last = await asyncio.to_thread(self._file.read)
        await self._prove(last, tip)
        if last is None:
            _LOG.warning("the file of checkpoints is empty: it begins now", file=str(self._file.path))
        self._proved, self._last = True, last
        if last is not None:
            _show(last)
        if not self._due(tip, now, at_once):
            return
        made = await asyncio.to_thread(self._file.append, last, tip, now)
        self._last = made
        _show(made)
        # The line is a second witness: a file that is cut short does not take it along.
        _LOG.info(
            "checkpoint",
            number=made.number,
            journal_seq=made.journal_seq,
            journal_hash=made.journal_hash,
            checkpoint_hash=made.digest(),
        )

    async def _prove(self, last: Checkpoint | None, tip: DurableTip) -> None:
        then = await self._hash_at(last.journal_seq) if last else None
        now = await self._hash_at(tip.seq) if tip.seq else None
        problem = contradiction(last, tip, then, now)
        if problem is not None:
            raise BrokenError(problem)

    def _due(self, tip: DurableTip, now: datetime, at_once: bool) -> bool:
        return is_due(self._last, tip, now, 1 if at_once else self._rows, self._every)

    def _failed(self) -> None:
        self._proved = False
        CHECKPOINT_FAILURES.inc()

    def _tell(self, reason: str, message: str) -> None:
        if reason != self._told:
            _LOG.error(message, reason=reason, file=str(self._file.path))
        self._told = reason


def _show(newest: Checkpoint) -> None:
    CHECKPOINT_SEQ.set(newest.journal_seq)
    CHECKPOINT_TIME.set(newest.ts.timestamp())


async def keep_checkpoints(settings: RiskSettings, tip: TipSource, hash_at: HashSource, clock: Clock) -> None:
    """Keep the checkpoints the settings name until cancelled; return at once where they name none.

    `tip` returns the newest committed row, None while this process does not lead. Nothing is ever raised.
    """
    if settings.risk_checkpoint_file is None or settings.risk_checkpoint_key_file is None:
        _LOG.warning("no checkpoints of the journal are kept: TRADING_RISK_CHECKPOINT_FILE is not set")
        return
    file = CheckpointFile(settings.risk_checkpoint_file, settings.risk_checkpoint_key_file)
    keeper = CheckpointKeeper(
        file, tip, hash_at, clock, rows=settings.risk_checkpoint_rows, seconds=settings.risk_checkpoint_seconds
    )
    await keeper.keep()
