"""Read the stream of marks once for all readers of this process."""

import asyncio
from typing import Any

from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.marketdata.core.live.buffer import SLACK
from services.marketdata.live.hub import Hub
from services.marketdata.metrics import STREAM_RESUMED
from shared.events import MARKS_STREAM
from shared.logging import Category, get_trading_logger
from shared.schemas.marketdata import MarkMessage

_LOG = get_trading_logger("keelson.marketdata.stream", Category.MARKET_DATA)
_BLOCK_MS = 1_000
_COUNT = 1_000
_TURN = SLACK // 4
# Marks that are older than this when they are read are of no use to anybody: the latest ones are read instead.
_MOST_LAG_MS = 5_000
_PAUSE_SECONDS = 0.25
_BEGINNING = "0-0"


class StreamReader:
    """Follow the stream from its end on, and go back to its end after every gap.

    No group: each process reads all of it, and what it had not read when it ended is nobody's to read.
    """

    def __init__(self, redis: Redis, hub: Hub) -> None:
        self._redis = redis
        self._hub = hub

    async def run(self) -> None:
        """Read for ever, whatever fails meanwhile."""
        while True:
            try:
                # First where to go on, then the snapshot: what comes between them comes twice, and nothing never.
                position = await self._end()
                self._begin_again("away")
                while True:
                    position = await self._read(position)
            except (RedisError, OSError) as error:
                if self._hub.live:
                    _LOG.warning("the stream of marks cannot be read", reason=type(error).__name__)
                    self._hub.lose()
            except Exception:  # readers must not wait for ever for marks that nobody reads
                _LOG.exception("reading the stream of marks failed")
                self._hub.lose()
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _read(self, position: str) -> str:
        answer: Any = await self._redis.xread({MARKS_STREAM: position}, count=_COUNT, block=_BLOCK_MS)
        entries = answer[0][1] if answer else []
        if not entries:
            return position
        if len(entries) == _COUNT and (end := await self._too_late(position, entries[-1][0])) is not None:
            _LOG.warning("the stream of marks is read too slowly; going on at its end", skipped_from=position)
            self._begin_again("lagged")
            return end
        for place, (entry_id, fields) in enumerate(entries):
            if place % _TURN == 0:
                # Who takes what it gets is sent all of it before more comes: no more than its buffer holds.
                await asyncio.sleep(0)
            if self._hub.listening:
                self._deliver(entry_id, fields)
        last: str = entries[-1][0]
        return last

    def _deliver(self, entry_id: str, fields: Any) -> None:
        try:
            message = MarkMessage.model_validate_json((fields or {}).get("data", ""))
        except ValidationError as error:
            _LOG.error("unreadable mark left out", entry=entry_id, reason=str(error))
            return
        self._hub.deliver(message)

    def _begin_again(self, why: str) -> None:
        STREAM_RESUMED.labels(why).inc()
        self._hub.resume("lagged" if why == "lagged" else None)

    async def _too_late(self, position: str, read: str) -> str | None:
        """Return the end of the stream where this reader is far from it, or where what came next is gone."""
        oldest: Any = await self._redis.xrange(MARKS_STREAM, count=1)
        end = await self._end()
        trimmed = position != _BEGINNING and bool(oldest) and _order(oldest[0][0]) > _order(position)
        return end if trimmed or _order(end)[0] - _order(read)[0] > _MOST_LAG_MS else None

    async def _end(self) -> str:
        newest: Any = await self._redis.xrevrange(MARKS_STREAM, count=1)
        return str(newest[0][0]) if newest else _BEGINNING


def _order(entry_id: str) -> tuple[int, int]:
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number)
