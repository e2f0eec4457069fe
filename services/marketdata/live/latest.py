"""The latest mark of each symbol in Redis, beside the stream of marks; what is not there comes from the tables."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import RedisError, ResponseError
from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata import store
from shared.database import Database
from shared.schemas.base import Severity
from shared.schemas.live_marks import LatestMark, LiveMark
from shared.schemas.marketdata import MarkMessage

LATEST_KEY = "keelson:marks:latest"
# Those of a simulation are apart, and gone so long after its last mark.
SIMULATION_SECONDS = 86_400
# Redis that says nothing for so long is away: the tables know too.
_REDIS_SECONDS = 1.0
# A value begins with its event time, in a form that sorts as text.
_MOMENT = 26

# Newest by event time wins; of one moment the later word. What is no hash was not written here.
_KEEP = """
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then redis.call('DEL', KEYS[1]) end
for i = 2, #ARGV, 2 do
  local held = redis.call('HGET', KEYS[1], ARGV[i])
  if not held or string.sub(held, 1, 26) <= string.sub(ARGV[i + 1], 1, 26) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
if ARGV[1] ~= '0' then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
"""


class LatestMarks:
    """Read and keep the latest marks. Redis is never the only copy."""

    def __init__(self, redis: Redis, database: Database) -> None:
        self._redis = redis
        self._database = database

    async def get(self, scope: str, symbols: Sequence[str]) -> list[LatestMark]:
        """Return what is known of symbols, in their order. Raises UNAVAILABLE where Redis and PostgreSQL are away."""
        try:
            async with asyncio.timeout(_REDIS_SECONDS):
                found = await self._held(scope, symbols)
        except (RedisError, OSError):  # and TimeoutError, which is one
            found = {}
        missing = [symbol for symbol in symbols if symbol not in found]
        if missing:
            async with self._database.session() as session:
                found |= {mark.symbol: mark for mark in await _stored(session, scope, missing)}
        return [found[symbol] for symbol in symbols if symbol in found]

    async def complete(self, session: AsyncSession, messages: Iterable[MarkMessage]) -> list[MarkMessage]:
        """Return marks that Redis does not have of the symbols of messages, out of the tables.

        After Redis has lost its data a late mark would otherwise be taken for the latest. Raises RedisError.
        """
        symbols: dict[str, dict[str, None]] = {}
        for message in messages:
            symbols.setdefault(message.simulation_id or "", {})[message.symbol] = None
        found = []
        for scope, named in symbols.items():
            held = await self._held(scope, list(named))
            missing = [symbol for symbol in named if symbol not in held]
            if missing:
                found += [_message(mark) for mark in await _stored(session, scope, missing)]
        return found

    def keep(self, pipeline: Pipeline, messages: Iterable[MarkMessage]) -> None:
        """Add what keeps the latest of these marks to a transaction."""
        newest: dict[str, dict[str, MarkMessage]] = {}
        for message in messages:
            of_scope = newest.setdefault(message.simulation_id or "", {})
            known = of_scope.get(message.symbol)
            if known is None or known.ts_event <= message.ts_event:
                of_scope[message.symbol] = message
        for scope, marks in newest.items():
            values = [text for symbol, mark in marks.items() for text in (symbol, _value(mark))]
            pipeline.eval(_KEEP, 1, _key(scope), SIMULATION_SECONDS if scope else 0, *values)

    async def _held(self, scope: str, symbols: Sequence[str]) -> dict[str, LatestMark]:
        try:
            values: Any = await self._redis.hmget(_key(scope), list(symbols))
        except ResponseError as error:
            if not str(error).startswith("WRONGTYPE"):
                raise
            # Not written here, and replaced by the next mark.
            return {}
        found = {}
        for symbol, value in zip(symbols, values, strict=True):
            if value is not None and (mark := _parsed(value)) is not None:
                found[symbol] = mark
        return found


def live_mark(message: MarkMessage) -> LiveMark:
    """Return a published mark as readers get it."""
    return LiveMark(**message.model_dump(), usable=message.severity is not Severity.CRITICAL)


def _key(scope: str) -> str:
    return f"{LATEST_KEY}:{scope}" if scope else LATEST_KEY


def _value(message: MarkMessage) -> str:
    moment = message.ts_event.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    return moment + message.model_dump_json()


def _parsed(value: str) -> LatestMark | None:
    try:
        message = MarkMessage.model_validate_json(value[_MOMENT:])
    except ValidationError:
        # Written by something else; the tables know.
        return None
    return LatestMark(**live_mark(message).model_dump(), held_in="redis")


def _message(mark: LatestMark) -> MarkMessage:
    return MarkMessage(**mark.model_dump(exclude={"usable", "held_in"}))


async def _stored(session: AsyncSession, scope: str, symbols: Sequence[str]) -> list[LatestMark]:
    rows = await store.latest_marks(session, scope, symbols)
    return [LatestMark(**_fields(row), simulation_id=scope or None, held_in="database") for row in rows]


def _fields(row: Mapping[str, Any]) -> dict[str, Any]:
    moment: datetime = row["ts_event"]
    severity = Severity(row["severity"])
    named = {name: row[name] for name in ("symbol", "price", "source")}
    return {**named, "ts_event": moment, "severity": severity, "usable": severity is not Severity.CRITICAL}
