"""Take the marks marketdata publishes into the engine."""

import asyncio
from itertools import groupby

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.risk.core.bodies import Quote
from services.risk.core.commands import SetMarks
from services.risk.core.units import micros, units
from services.risk.engine import Engine
from services.risk.metrics import MARKS_RECEIVED
from shared.events import MARKS_STREAM, Consumer
from shared.logging import Category, get_trading_logger
from shared.problems import DependencyUnavailable
from shared.schemas.marketdata import MarkMessage

_LOG = get_trading_logger("keelson.risk.marks", Category.MARKET_DATA)
_RETRY_SECONDS = 0.3


async def consume_marks(redis: Redis, engine: Engine) -> None:
    """Read marks, make them durable, acknowledge them; for ever, whatever fails meanwhile."""
    # A group of its own for each shard: every one of them needs every mark.
    group = "risk" if engine.shard.of == 1 else f"risk-{engine.shard.number}"
    consumer = Consumer(redis, MARKS_STREAM, group, "engine", MarkMessage)
    away = False
    while True:
        if await engine.problem() is not None:
            # Whoever leads reads the marks; what this process took and did not book is read again.
            consumer.restart()
            await asyncio.sleep(_RETRY_SECONDS)
            continue
        try:
            messages = await consumer.read()
            # Runs of one simulation, in the order in which they came.
            for simulation_id, run in groupby(messages, key=lambda message: message[1].simulation_id):
                await engine.submit(SetMarks(simulation_id, tuple(_mark(message) for _, message in run)))
            await consumer.ack([entry_id for entry_id, _ in messages])
            MARKS_RECEIVED.inc(len(messages))
            away = False
        except (RedisError, OSError, DependencyUnavailable) as error:
            if not away:
                _LOG.warning("marks are not taken now", reason=type(error).__name__)
            away = True
            consumer.restart()
            await asyncio.sleep(_RETRY_SECONDS)
        except Exception:  # whatever it is, a worker that ends for ever leaves every mark stale
            _LOG.exception("marks could not be taken")
            consumer.restart()
            await asyncio.sleep(_RETRY_SECONDS)


def _mark(message: MarkMessage) -> Quote:
    return Quote(message.symbol, units(message.price), micros(message.ts_event), None, message.severity)
