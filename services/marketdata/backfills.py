"""Fetch history from sources in the background, one backfill after the other, each from where it stopped."""

from datetime import datetime
from uuid import uuid4

from services.marketdata import store
from services.marketdata.feeds.connector import Batch, rows_of
from services.marketdata.feeds.errors import FeedError
from services.marketdata.feeds.manager import Manager
from services.marketdata.feeds.runner import Sink
from services.marketdata.metrics import BACKFILLS, WORKED
from services.marketdata.worker import Worker
from shared.clock import Clock
from shared.database import UNAVAILABLE, Database
from shared.logging import Category, get_trading_logger
from shared.problems import DependencyUnavailable
from shared.schemas.feeds import Backfill, BackfillRequest, BackfillState, FeedSwitch
from shared.schemas.marketdata import INTERVAL_LENGTH, Bar, Interval

_LOG = get_trading_logger("keelson.marketdata.backfills", Category.MARKET_DATA)
_PAUSE_SECONDS = 2.0
_AWAY = (*UNAVAILABLE, DependencyUnavailable)


class Backfills(Worker):
    """Work the queue of backfills off. In one process at a time, the one that drives the sources."""

    def __init__(self, database: Database, manager: Manager, sink: Sink, clock: Clock) -> None:
        super().__init__("backfills", _PAUSE_SECONDS)
        self._database = database
        self._manager = manager
        self._sink = sink
        self._clock = clock

    async def work(self) -> bool:
        """Work the queue off. Raises one of UNAVAILABLE, or DependencyUnavailable."""
        while await self.once():
            WORKED.labels(self._name).set_to_current_time()
        return True

    async def once(self) -> bool:
        """Do the oldest backfill; return whether there was one. Raises one of UNAVAILABLE, or DependencyUnavailable."""
        async with self._database.session() as session:
            found = await store.next_backfill(session)
            if found is None:
                return False
            await store.set_state(session, found.backfill_id, BackfillState.RUNNING, self._clock.now())
        try:
            await self._fetch(found)
        except FeedError as error:
            await self._over(found, BackfillState.FAILED, str(error))
        except _AWAY:
            raise
        except Exception as error:  # tried again and again it would hold up all that wait behind it
            _LOG.exception("a backfill failed", backfill_id=found.backfill_id)
            await self._over(found, BackfillState.FAILED, f"{type(error).__name__}: {error}"[:500])
        return True

    async def queue_gap(self, switch: FeedSwitch, symbols: list[str], intervals: list[Interval]) -> None:
        """Queue what the change of the active source may have left out."""
        if switch.gap_start is None or switch.gap_end is None or switch.gap_start >= switch.gap_end:
            return
        async with self._database.session() as session:
            for symbol in symbols:
                for interval in intervals:
                    request = BackfillRequest(
                        source=switch.to_source,
                        symbol=symbol,
                        interval=interval,
                        start=switch.gap_start,
                        end=switch.gap_end,
                        reason=f"the active source changed: {switch.reason.value}",
                    )
                    await store.put_backfill(session, new_id(), request, "failover", self._clock.now())
        self.wake()

    async def _fetch(self, found: Backfill) -> None:
        runner = self._manager.runner(found.source)
        if runner is None:
            await self._over(found, BackfillState.FAILED, f"{found.source} is no source that can be asked here")
            return
        async for batch in runner.backfill(found.symbol, found.interval, found.position, found.end):
            result = await self._sink(batch)
            position = _after(batch, found.interval)
            async with self._database.session() as session:
                goes_on = await store.move_on(
                    session, found.backfill_id, position, result.received, result.stored, self._clock.now()
                )
            if not goes_on:
                _LOG.info("a backfill was stopped", backfill_id=found.backfill_id)
                return
            WORKED.labels("backfills").set_to_current_time()
        await self._over(found, BackfillState.DONE, None)

    async def _over(self, found: Backfill, state: BackfillState, error: str | None) -> None:
        async with self._database.session() as session:
            is_mine = await store.set_state(session, found.backfill_id, state, self._clock.now(), error)
        if is_mine:
            BACKFILLS.labels(state.value).inc()
        log = _LOG.info if error is None else _LOG.error
        log("a backfill is over", backfill_id=found.backfill_id, state=state.value, error=error)


def new_id() -> str:
    """Return an id for a backfill."""
    return f"bf_{uuid4().hex[:20]}"


def _after(batch: Batch, interval: Interval) -> datetime:
    last = max(row.ts for row in rows_of(batch) if isinstance(row, Bar))
    return last + INTERVAL_LENGTH[interval]
