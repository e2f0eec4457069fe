"""Work in the background that goes on, whatever fails meanwhile."""

import asyncio
from abc import ABC, abstractmethod

from redis.exceptions import RedisError

from services.marketdata.metrics import WORKED
from shared.database import UNAVAILABLE
from shared.logging import Category, get_trading_logger
from shared.problems import DependencyUnavailable

_LOG = get_trading_logger("keelson.marketdata.worker", Category.SYSTEM)
_AWAY = (*UNAVAILABLE, DependencyUnavailable, RedisError, OSError)


class Worker(ABC):
    """Works when it is woken, and every so often. What is away is told once, until it is back."""

    def __init__(self, name: str, every: float) -> None:
        self._name = name
        self._every = every
        self._more = asyncio.Event()

    def wake(self) -> None:
        """Say that there may be something to do."""
        self._more.set()

    async def run(self) -> None:
        """Work for ever."""
        away = False
        while True:
            # Before looking: what comes from here on makes another round.
            self._more.clear()
            try:
                if await self.work():
                    WORKED.labels(self._name).set_to_current_time()
                if away:
                    _LOG.info("work goes on", work=self._name)
                away = False
            except _AWAY as error:
                if not away:
                    _LOG.warning("work waits", work=self._name, reason=type(error).__name__)
                away = True
            except Exception:  # what nobody does any more would be missed without a word
                _LOG.exception("work failed", work=self._name)
            try:
                async with asyncio.timeout(self._every):
                    await self._more.wait()
            except TimeoutError:
                continue

    @abstractmethod
    async def work(self) -> bool:
        """Do what there is to do; return whether it is done."""
