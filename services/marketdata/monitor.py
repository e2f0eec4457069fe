"""Watch live data: whether rows come, their clocks move, sources agree and bars are whole."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata.handlers.streams import watch_clocks, watch_gaps, watch_prices, watch_times, watch_volumes
from services.marketdata.handlers.watching import Round, Said, load_round
from services.marketdata.metrics import FINDINGS, WORKED
from services.marketdata.publisher import Publisher
from shared.clock import Clock
from shared.database import UNAVAILABLE, Database
from shared.logging import Category, get_trading_logger

_LOG = get_trading_logger("keelson.marketdata.monitor", Category.MARKET_DATA)
_PRICES_EVERY, _SCANS_EVERY = timedelta(seconds=15), timedelta(minutes=1)
_Watch = Callable[[AsyncSession, Round, Said], Awaitable[None]]


class Monitor:
    """Judge live series every few seconds.

    What is known of them is in the tables, so that whoever takes over goes on; only what the log and risk were told,
    and which bars were looked at, is learnt anew: it is told and looked at once more.
    """

    def __init__(self, database: Database, publisher: Publisher, clock: Clock, pause: float) -> None:
        self._database = database
        self._publisher = publisher
        self._clock = clock
        self._pause = pause
        self._said = Said()
        self._due: dict[_Watch, datetime] = {}
        self._watches: tuple[tuple[_Watch, timedelta], ...] = (
            (watch_times, timedelta(0)),
            (watch_clocks, _PRICES_EVERY),
            (watch_prices, _PRICES_EVERY),
            (watch_gaps, _SCANS_EVERY),
            (watch_volumes, _SCANS_EVERY),
        )

    async def run(self) -> None:
        """Watch for ever, whatever fails meanwhile; by one process at a time."""
        away = False
        try:
            while True:
                try:
                    await self.once()
                    away = False
                except UNAVAILABLE as error:
                    if not away:
                        _LOG.warning("live data are not watched", reason=type(error).__name__)
                    away = True
                await asyncio.sleep(self._pause)
        finally:
            # Whoever watches next says what there is.
            FINDINGS.clear()

    async def once(self) -> None:
        """Judge what is due, each in a transaction of its own. Raises UNAVAILABLE."""
        now = self._clock.now()
        for watch, every in self._watches:
            if watch in self._due and now < self._due[watch]:
                continue
            try:
                async with self._database.session() as session:
                    await watch(session, await load_round(session, now), self._said)
                WORKED.labels(watch.__name__).set_to_current_time()
            except Exception as error:
                # What was said of it was taken back with the rest.
                self._said = Said()
                if isinstance(error, UNAVAILABLE):
                    raise
                # The other checks go on.
                _LOG.exception("watching live data failed", watch=watch.__name__)
            self._due[watch] = now + every
        self._publisher.wake()
