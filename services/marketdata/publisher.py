"""Send stored marks to risk, in order, however long Redis is away."""

import asyncio
from functools import partial

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.marketdata import store
from services.marketdata.live.latest import LatestMarks
from services.marketdata.metrics import OUTBOX_AGE, PUBLISHED
from shared.database import UNAVAILABLE, Database
from shared.events import MARKS_STREAM, publish
from shared.logging import Category, get_trading_logger
from shared.schemas.marketdata import MarkMessage

_LOG = get_trading_logger("keelson.marketdata.publisher", Category.MARKET_DATA)
_BATCH = 2_000


class Publisher:
    """Empty the outbox whenever something was put into it.

    A crash between sending and removing sends again; risk knows what it has. Several processes take turns.
    """

    def __init__(self, database: Database, redis: Redis, latest: LatestMarks, pause: float) -> None:
        self._database = database
        self._redis = redis
        self._latest = latest
        self._pause = pause
        self._more = asyncio.Event()

    def wake(self) -> None:
        """Say that there may be something to send."""
        self._more.set()

    async def run(self) -> None:
        """Send for ever, whatever fails meanwhile."""
        away = False
        while True:
            try:
                while await self._send() == _BATCH:
                    pass
                if away:
                    _LOG.info("marks are published again")
                away = False
            except (RedisError, OSError, *UNAVAILABLE) as error:
                if not away:
                    _LOG.warning("marks wait to be published", reason=type(error).__name__)
                away = True
            except Exception:  # marks that never go out again would stop all trading without a word
                _LOG.exception("publishing failed")
            try:
                async with asyncio.timeout(self._pause):
                    await self._more.wait()
            except TimeoutError:
                continue

    async def _send(self) -> int:
        # Before looking: what is put in from here on wakes the next round.
        self._more.clear()
        async with self._database.session() as session:
            waiting = await store.take_marks(session, _BATCH)
            OUTBOX_AGE.set(len(waiting))
            if waiting:
                messages = [MarkMessage.model_validate_json(message) for _, message in waiting]
                # Nobody else writes marks meanwhile: whoever looks at the outbox holds its lock.
                known = await self._latest.complete(session, messages)
                keep = partial(self._latest.keep, messages=[*known, *messages])
                await publish(self._redis, MARKS_STREAM, messages, beside=keep)
                await store.remove_marks(session, [outbox_id for outbox_id, _ in waiting])
                PUBLISHED.inc(len(waiting))
        return len(waiting)
