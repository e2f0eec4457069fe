"""What outlives a process: which source was active, and the circuits that were open. Kept in Redis, never needed."""

import json
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.marketdata.core.feeds.breaker import Breaker
from services.marketdata.core.feeds.failover import Active
from shared.logging import Category, get_trading_logger
from shared.schemas.feeds import CircuitState

_LOG = get_trading_logger("keelson.marketdata.feeds", Category.MARKET_DATA)
_KEY = "keelson:marketdata:feeds"
# What was known of sources a day ago says nothing of them now.
_SECONDS = 24 * 3600


class FeedMemory:
    """Keeps the active source and the circuits; without Redis a process starts as if nothing had been."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._saved: str | None = None
        self._away = False

    async def load(self) -> tuple[Active, Mapping[str, Breaker]]:
        """Return what an earlier process left."""
        try:
            text = await self._redis.get(_KEY)
        except (RedisError, OSError) as error:
            _LOG.warning("the state of feeds cannot be read", reason=type(error).__name__)
            return Active(), {}
        if not text:
            return Active(), {}
        try:
            document = json.loads(text)
            circuits = {name: _breaker(each) for name, each in document["circuits"].items()}
            left = {name: datetime.fromisoformat(at) for name, at in document["left"].items()}
            since = document["since"] and datetime.fromisoformat(document["since"])
            return Active(document["active"], since, MappingProxyType(left)), circuits
        except (ValueError, KeyError, TypeError, AttributeError):
            _LOG.warning("the state of feeds that was kept cannot be understood")
            return Active(), {}

    async def save(self, active: Active, circuits: Mapping[str, Breaker]) -> None:
        """Keep what is known now, where it changed."""
        document = {
            "active": active.name,
            "since": active.since and active.since.isoformat(),
            "left": {name: at.isoformat() for name, at in active.left.items()},
            "circuits": {name: _plain(each) for name, each in circuits.items() if each.opened},
        }
        text = json.dumps(document, sort_keys=True)
        if text == self._saved:
            return
        try:
            await self._redis.set(_KEY, text, ex=_SECONDS)
        except (RedisError, OSError) as error:
            if not self._away:
                _LOG.warning("the state of feeds cannot be kept", reason=type(error).__name__)
            self._away = True
        else:
            self._saved, self._away = text, False


def _plain(breaker: Breaker) -> dict[str, Any]:
    return {"opened": breaker.opened, "retry_at": breaker.retry_at and breaker.retry_at.isoformat()}


def _breaker(document: dict[str, Any]) -> Breaker:
    """Return an open circuit, though it was being probed: whoever probed is gone."""
    retry_at = datetime.fromisoformat(document["retry_at"]) if document["retry_at"] else None
    return Breaker(state=CircuitState.OPEN, generation=1, opened=int(document["opened"]), retry_at=retry_at)
