"""Keep what is to be kept, and no more: retention, and a word on how it went."""

from datetime import timedelta

from services.marketdata import store
from services.marketdata.core.catalogue import Subject
from services.marketdata.store import TABLES, Partitions
from services.marketdata.worker import Worker
from shared.clock import Clock
from shared.database import Database
from shared.logging import Category, get_trading_logger

_LOG = get_trading_logger("keelson.marketdata.maintenance", Category.MARKET_DATA)
_POLICY = "retention"
_EVERY = timedelta(hours=1)


class Maintenance(Worker):
    """Remove rows that are no longer kept. On TimescaleDB's community edition its own policy removes the chunks."""

    def __init__(self, database: Database, partitions: Partitions, clock: Clock) -> None:
        super().__init__(_POLICY, _EVERY.total_seconds())
        self._database = database
        self._partitions = partitions
        self._clock = clock

    async def work(self) -> bool:
        """Remove what is no longer kept of each kind of rows. Raises one of UNAVAILABLE."""
        rung, done = await self._partitions.rung(), True
        for subject in TABLES:
            work = self._set if rung.aggregates else self._remove
            done = await work(subject) and done
        self._partitions.forget()
        return done

    async def _set(self, subject: Subject) -> bool:
        """Have TimescaleDB remove what is no longer kept of a kind of rows; return whether it may go."""
        now, table = self._clock.now(), TABLES[subject]
        keep, waits = self._partitions.retention.keep(subject), False
        async with self._database.session() as session:
            if keep is not None:
                await store.remove_revisions_before(session, table, now - keep)
                # The policy knows of no queue; until this looks again, it removes nothing that waits.
                waits = await store.waits_to_be_rolled_up(session, now - keep + _EVERY)
            if await store.set_policy(session, subject, None if waits else keep):
                _LOG.info("retention was set", table=table.name, waits=waits)
        return not waits

    async def _remove(self, subject: Subject) -> bool:
        """Remove what is no longer kept of a kind of rows; return whether it may go."""
        now = self._clock.now()
        horizon = self._partitions.retention.horizon(subject, now)
        if horizon is None:
            return True
        table = TABLES[subject]
        async with self._database.session() as session:
            if await store.waits_to_be_rolled_up(session, horizon):
                await store.note_run(session, _POLICY, table.name, now, False, "rows still wait to be rolled up")
                return False
            await store.remove_revisions_before(session, table, horizon)
            gone = await store.remove_before(session, await self._partitions.rung(), table, horizon)
            detail = f"removed {', '.join(gone)}" if gone else "nothing to remove"
            await store.note_run(session, _POLICY, table.name, now, True, detail)
        if gone:
            _LOG.info("rows were removed that are no longer kept", table=table.name, partitions=len(gone))
        return True
