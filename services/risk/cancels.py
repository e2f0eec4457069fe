"""Tell execution to cancel what a kill switch stops, again and again until it says that it has."""

import asyncio
from functools import partial

from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.risk.core.chain import Row
from services.risk.core.state import FirmState
from services.risk.engine import Engine
from shared.events import publish
from shared.logging import Category, get_trading_logger
from shared.problems import DependencyUnavailable
from shared.schemas.journal import EventKind
from shared.schemas.kill_switches import CANCELS_STREAM, CancelAll

_LOG = get_trading_logger("keelson.risk.cancels", Category.RISK)
_PULLED = frozenset({EventKind.KILL_SWITCH_ACTIVATED})
_REPEAT_SECONDS = 5.0
_RETRY_SECONDS = 0.3


async def publish_cancels(redis: Redis, engine: Engine) -> None:
    """Publish a cancel-all for every switch in force that nobody has acknowledged; for ever, whatever fails."""
    away = False
    while True:
        if await engine.problem() is not None:
            # Whoever leads publishes.
            await asyncio.sleep(_RETRY_SECONDS)
            continue
        try:
            with engine.broadcast.listen(_PULLED) as rows:
                while True:
                    await publish(redis, CANCELS_STREAM, await engine.read(partial(_owed, engine.shard.number)))
                    away = False
                    if not await _wait_for_switch(rows):
                        break
        except (RedisError, OSError, DependencyUnavailable) as error:
            if not away:
                _LOG.error("cancels of kill switches cannot be published", reason=type(error).__name__)
            away = True
            await asyncio.sleep(_RETRY_SECONDS)
        except Exception:  # whatever it is, a task that ends for ever leaves orders in the market
            _LOG.exception("publishing cancels failed")
            await asyncio.sleep(_RETRY_SECONDS)


async def _wait_for_switch(rows: "asyncio.Queue[Row | None]") -> bool:
    """Return once a switch was pulled, or it is time to say it again; False where this process leads no longer."""
    try:
        async with asyncio.timeout(_REPEAT_SECONDS):
            return await rows.get() is not None
    except TimeoutError:
        return True


def _owed(shard: int, state: FirmState) -> list[CancelAll]:
    return [
        CancelAll(
            kill_switch_id=switch.kill_switch_id,
            scope=switch.scope,
            target=switch.target,
            kind=switch.kind,
            kill_epoch=switch.kill_epoch,
            reason=switch.reason,
            ts_event=switch.activated_at,
            shard=shard,
        )
        for switches in state.stopped.values()
        for switch in switches.values()
        if not switch.acknowledged_by
    ]
