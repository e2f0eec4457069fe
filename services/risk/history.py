"""Write down how accounts stand, every minute and at every change of level, beside the engine and never in its way."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy.exc import DataError

from services.risk import store
from services.risk.core.chain import Row, event_of
from services.risk.core.history import LevelChange, Signature, Snapshot, points, snapshot, worth_keeping
from services.risk.core.state import FirmState
from services.risk.engine import Engine
from services.risk.metrics import HISTORY_DROPPED
from shared.database import UNAVAILABLE, Database
from shared.logging import Category, get_trading_logger
from shared.problems import DependencyUnavailable
from shared.schemas.events import LevelChanged
from shared.schemas.journal import EventKind
from shared.schemas.kill_events import KillSwitchActivated, KillSwitchReleased
from shared.schemas.kill_switches import KillScope

_LOG = get_trading_logger("keelson.risk.history", Category.RISK)
_KINDS = frozenset({EventKind.LEVEL_CHANGED, EventKind.KILL_SWITCH_ACTIVATED, EventKind.KILL_SWITCH_RELEASED})
# Accounts copied in one question: orders wait while it is answered, some 2 ms for accounts of 50 positions.
_SLICE = 10
# Between accounts: a minute's points are spread over at most half a minute, as they take the interpreter from orders.
_PAUSE_SECONDS = 0.02
_LOOK_SECONDS = 0.25
_RETRY_SECONDS = 1.0
# Moments that wait for PostgreSQL; what comes on top is dropped.
_MOST_WAITING = 2_000
_AT_ONCE = 100
_PAGE = 1_000
# How many rows before its own start a new leader looks through.
_OVERLAP = 10_000

Choice = Callable[[FirmState], Sequence[str]]
T = TypeVar("T")


class HistoryKeeper:
    """Take the history off the engine's durable state while this process leads, and store it on its own connection.

    Two tasks with a bounded queue between them: the first never waits for PostgreSQL, so that it is at most rows of
    the history that are lost, and counted, where PostgreSQL does not take them.
    """

    def __init__(
        self,
        engine: Engine,
        database: Database,
        *,
        every: timedelta = timedelta(minutes=1),
        most_waiting: int = _MOST_WAITING,
    ) -> None:
        self._engine = engine
        self._database = database
        self._every = every
        self._waiting: asyncio.Queue[tuple[str, str]] = asyncio.Queue(most_waiting)
        self._written: dict[str, Signature] = {}
        self._period: int | None = None
        # Newest row that was taken as a change of level.
        self._handled = 0
        self._dropping = self._failing = False

    async def keep(self) -> None:
        """Keep the history for ever, whatever fails."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._collect())
            tasks.create_task(self._write())

    async def _collect(self) -> None:
        while True:
            try:
                if await self._engine.problem() is None:
                    with self._engine.broadcast.listen(_KINDS) as rows:
                        await self._follow(rows)
            except (DependencyUnavailable, *UNAVAILABLE):
                # Whoever leads next goes on.
                pass
            except Exception:  # whatever it is, decisions go on, and so does this
                _LOG.exception("the history of accounts could not be taken")
            await asyncio.sleep(_LOOK_SECONDS)

    async def _follow(self, rows: "asyncio.Queue[Row | None]") -> None:
        """Take what is due until this process leads no longer, or is told to begin again."""
        self._written.clear()
        await self._catch_up()
        while True:
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    row = await rows.get()
            except TimeoutError:
                pass
            else:
                if row is None:
                    return
                await self._level_changed(row)
            period = self._engine.clock.now().timestamp() // self._every.total_seconds()
            if period != self._period:
                self._period = int(period)
                if not await self._minute(rows):
                    return

    async def _catch_up(self) -> None:
        """Take the changes of level since this process leads that nobody listened to yet, and the last ones before.

        Whoever led before may have ended before it had written them; what it has written stays as it is.
        """
        oldest = self._engine.clock.now() - self._every
        while True:
            async with self._database.session() as session:
                led = await store.newest_of(session, EventKind.ENGINE_STARTED)
                after = max(led - _OVERLAP, self._handled, 0)
                missed = await store.read_page(session, after, _PAGE, sorted(_KINDS))
            for row in missed:
                if row.seq > led or row.ts > oldest:
                    await self._level_changed(row)
                self._handled = max(self._handled, row.seq)
            if len(missed) < _PAGE:
                return

    async def _minute(self, rows: "asyncio.Queue[Row | None]") -> bool:
        """Take every account that has something to say; changes of level that come meanwhile go first."""
        names = await self._ask(lambda state: tuple(state.accounts))
        pause = min(_PAUSE_SECONDS, self._every.total_seconds() / 2 / max(len(names), 1))
        for first in range(0, len(names), _SLICE):
            while not rows.empty():
                row = rows.get_nowait()
                if row is None:
                    return False
                await self._level_changed(row)
            await self._take(names[first : first + _SLICE], None, pause)
        return True

    async def _level_changed(self, row: Row) -> None:
        if row.seq <= self._handled:
            return
        body = event_of(row).body
        if isinstance(body, LevelChanged):
            await self._take((body.account_id,), LevelChange(row.seq, body.ts_event, (body.level, body.reason)))
        elif isinstance(body, KillSwitchActivated | KillSwitchReleased):
            names = await self._ask(_stopped_by(body.kill_switch_id))
            for first in range(0, len(names), _SLICE):
                await self._take(names[first : first + _SLICE], LevelChange(row.seq, body.ts_event))
        # Only now: what was cut short is caught up with.
        self._handled = row.seq

    async def _ask(self, question: Callable[[FirmState], T]) -> T:
        """Ask the engine, again while its queue is full. Raises DependencyUnavailable once it does not lead."""
        while True:
            try:
                return await self._engine.read(question)
            except DependencyUnavailable:
                if await self._engine.problem() is not None:
                    raise
            await asyncio.sleep(_LOOK_SECONDS)

    async def _take(self, names: Sequence[str], change: LevelChange | None, pause: float = 0) -> None:
        clock = self._engine.clock

        def question(state: FirmState) -> tuple[datetime, list[Snapshot]]:
            return clock.now(), [snapshot(state, state.accounts[name]) for name in names if name in state.accounts]

        try:
            taken, found = await self._ask(question)
        except DependencyUnavailable:
            raise
        except Exception:
            self._lost("accounts could not be looked at", len(names))
            return
        for each in found:
            if change is None and not worth_keeping(self._written.get(each.account_id), each):
                continue
            try:
                # Off the engine's thread: VaR by every method takes milliseconds.
                if self._put(await asyncio.to_thread(_texts, each, taken, change)):
                    self._written[each.account_id] = each.signature
            except Exception:
                self._lost("a moment of an account could not be worked out", 1)
            await asyncio.sleep(pause)

    def _lost(self, message: str, count: int) -> None:
        HISTORY_DROPPED.inc(count)
        _LOG.exception(message)

    def _put(self, texts: tuple[str, str]) -> bool:
        try:
            self._waiting.put_nowait(texts)
        except asyncio.QueueFull:
            HISTORY_DROPPED.inc()
            if not self._dropping:
                _LOG.warning("the history of accounts has gaps: too much of it waits for PostgreSQL")
            self._dropping = True
            return False
        self._dropping = False
        return True

    async def _write(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < _AT_ONCE and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            await self._until_stored(batch)

    async def _until_stored(self, batch: list[tuple[str, str]]) -> None:
        while True:
            try:
                async with self._database.session() as session:
                    await store.put_history(session, batch)
                self._failing = False
                return
            except DataError as error:
                if len(batch) > 1:
                    for each in batch:
                        await self._until_stored([each])
                else:
                    HISTORY_DROPPED.inc()
                    _LOG.warning("a moment of an account does not fit its table", error=str(error.orig))
                return
            except Exception as error:  # PostgreSQL away, a table not there yet: what was answered stands all the same
                if not self._failing:
                    _LOG.warning("the history of accounts cannot be written now", reason=type(error).__name__)
                self._failing = True
                await asyncio.sleep(_RETRY_SECONDS)


def _texts(found: Snapshot, taken: datetime, change: LevelChange | None) -> tuple[str, str]:
    portfolio, risk = points(found, taken, change)
    return portfolio.model_dump_json(), risk.model_dump_json()


def _stopped_by(kill_switch_id: str) -> Choice:
    """Return what names the accounts that a kill switch stops whole: those are shown at another level."""

    def choice(state: FirmState) -> Sequence[str]:
        switch = state.kill_switches[kill_switch_id]
        if switch.scope is KillScope.FIRM:
            return tuple(state.accounts)
        stopped = switch.scope is KillScope.ACCOUNT and switch.target in state.accounts
        return (str(switch.target),) if stopped else ()

    return choice
