"""Redis Streams: publish, consume in a group, acknowledge."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import ResponseError

from shared.logging import Category, get_trading_logger

MARKS_STREAM = "keelson:marks"
# After so many reads of what is new: another process of the same name may have taken something and then stopped.
_LOOK_AGAIN = 20
_LOG = get_trading_logger("keelson.events", Category.SYSTEM)
M = TypeVar("M", bound=BaseModel)


async def publish(
    redis: Redis,
    stream: str,
    messages: Sequence[BaseModel],
    *,
    maxlen: int = 100_000,
    beside: Callable[[Pipeline], None] | None = None,
) -> None:
    """Append messages in order, all or none; the stream keeps about the newest `maxlen`.

    `beside` adds what is to happen in the same transaction.
    """
    if not messages:
        return
    async with redis.pipeline(transaction=True) as pipeline:
        for message in messages:
            pipeline.xadd(stream, {"data": message.model_dump_json()}, maxlen=maxlen, approximate=True)
        if beside is not None:
            beside(pipeline)
        await pipeline.execute()


class Consumer(Generic[M]):
    """One member of a consumer group: at least once, in order, surviving a restart of either side.

    `read` returns what this member took and never acknowledged first, then what is new; it looks for the former again
    from time to time, and whenever nothing new came.
    """

    def __init__(
        self,
        redis: Redis,
        stream: str,
        group: str,
        consumer: str,
        model: type[M],
        *,
        block_ms: int = 500,
        count: int = 1000,
    ) -> None:
        self._redis = redis
        self._stream = stream
        self._group = group
        self._consumer = consumer
        self._model = model
        self._block_ms = block_ms
        self._count = count
        # How many reads of what is new may come before the next look at what was taken.
        self._reads_left = 0

    async def read(self) -> list[tuple[str, M]]:
        """Return the next messages with their ids, none after `block_ms` without any. Raises RedisError."""
        if self._reads_left == 0:
            redelivered = await self._take("0", None)
            if redelivered:
                return redelivered
            self._reads_left = _LOOK_AGAIN
        found = await self._take(">", self._block_ms)
        self._reads_left = self._reads_left - 1 if found else 0
        return found

    async def ack(self, ids: Sequence[str]) -> None:
        """Acknowledge messages that are durable elsewhere."""
        if ids:
            await self._redis.xack(self._stream, self._group, *ids)

    def restart(self) -> None:
        """Read again what was not acknowledged, after work on it failed."""
        self._reads_left = 0

    async def _take(self, position: str, block_ms: int | None) -> list[tuple[str, M]]:
        try:
            answer: Any = await self._redis.xreadgroup(
                self._group, self._consumer, {self._stream: position}, count=self._count, block=block_ms
            )
        except ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
            # First start, or a Redis that lost its data: read what is there from its beginning.
            await self._create_group()
            return []
        messages = []
        for _, entries in answer:
            for entry_id, fields in entries:
                try:
                    # An entry trimmed from the stream while it was pending comes back without fields.
                    messages.append((entry_id, self._model.model_validate_json((fields or {}).get("data", ""))))
                except ValidationError as error:
                    # What can never be read must not stop what comes after it.
                    _LOG.error("unreadable message dropped", stream=self._stream, entry=entry_id, reason=str(error))
                    await self.ack([entry_id])
        return messages

    async def _create_group(self) -> None:
        try:
            await self._redis.xgroup_create(self._stream, self._group, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
