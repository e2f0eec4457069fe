"""Keep roll-ups current: every so often, and at once before one is read."""

import asyncio
from datetime import timedelta

from services.marketdata import store
from services.marketdata.calendars import ALWAYS_OPEN
from services.marketdata.core.catalogue import Subject
from services.marketdata.core.widths import Span, Width, width_of
from services.marketdata.metrics import ROLL_UPS_WAITING, WORKED
from services.marketdata.store import Partitions
from services.marketdata.worker import Worker
from shared.clock import Clock
from shared.database import Database
from shared.problems import DependencyUnavailable
from shared.schemas.marketdata import Interval

# Of a symbol and day each: what one transaction works out in well under the time a statement may take.
_BATCH = 200
_DAYS_READ = 800


class RollUps(Worker):
    """Work the queue of roll-ups off. Several processes share it."""

    def __init__(self, database: Database, partitions: Partitions, clock: Clock, pause: float) -> None:
        super().__init__("roll_ups", pause)
        self._database = database
        self._partitions = partitions
        self._clock = clock
        # One at a time: on TimescaleDB each takes two connections.
        self._turn = asyncio.Lock()

    async def work(self) -> bool:
        """Work the queue off. Raises one of UNAVAILABLE."""
        while await self._refresh(_BATCH):
            WORKED.labels(self._name).set_to_current_time()
        return True

    async def current(self, of: Subject, within: Span) -> None:
        """Work out what is out of date within a span, of any source. Raises DependencyUnavailable where it is much."""
        async with self._database.session() as session:
            # Nearly always nothing is: one question, without a lock and without a write.
            if not await store.is_queued(session, of, within):
                return
        if await self._refresh(_DAYS_READ, of, within):
            raise DependencyUnavailable("The roll-ups of this time are being worked out", headers={"Retry-After": "2"})

    async def width(self, symbol: str, interval: Interval) -> Width | None:
        """Return the roll-up that has a symbol's bars of an interval in its market's hours, None for minutes."""
        async with self._database.session() as session:
            profile = (await store.profiles_of(session, [symbol])).get(symbol)
        return width_of(interval, profile.calendar if profile else ALWAYS_OPEN)

    async def _refresh(self, limit: int, only: Subject | None = None, within: Span | None = None) -> bool:
        """Work off some entries; return whether there may be more."""
        rung = await self._partitions.rung()
        async with self._turn, self._database.session() as session:
            queued = await store.take_queued(session, limit, only, within)
            kept_from = {
                of.value: self._partitions.retention.horizon(of, self._clock.now())
                for of in (Subject.BAR, Subject.TICK)
            }
            count = sum(len(spans) for spans in queued.values())
            if count and rung.aggregates:
                async with self._database.autocommit(timedelta(minutes=5)) as connection:
                    await store.refresh_aggregates(session, connection, queued, kept_from)
            elif count:
                await store.refresh_tables(session, queued, kept_from)
            await store.refresh_left_out(session, queued, kept_from)
            if within is None:
                waiting, _ = await store.queue_length(session)
                ROLL_UPS_WAITING.set(waiting)
        return count == limit
