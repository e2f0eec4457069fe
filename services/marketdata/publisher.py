"""Send stored marks to risk, in order, however long Redis is away."""

from functools import partial

from redis.asyncio import Redis

from services.marketdata import store
from services.marketdata.live.latest import LatestMarks
from services.marketdata.metrics import OUTBOX_AGE, PUBLISHED
from services.marketdata.worker import Worker
from shared.database import Database
from shared.events import MARKS_STREAM, publish
from shared.schemas.marketdata import MarkMessage

_BATCH = 2_000


class Publisher(Worker):
    """Empty the outbox whenever something was put into it.

    A crash between sending and removing sends again; risk knows what it has. Several processes take turns.
    """

    def __init__(self, database: Database, redis: Redis, latest: LatestMarks, pause: float) -> None:
        super().__init__("marks", pause)
        self._database = database
        self._redis = redis
        self._latest = latest

    async def work(self) -> bool:
        """Send all that waits. Raises RedisError, OSError or one of UNAVAILABLE."""
        while await self._send() == _BATCH:
            pass
        return True

    async def _send(self) -> int:
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
