"""What the tests of managers share: short policies, somebody who is told, and a manager at work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.marketdata.core.feeds.breaker import BreakerPolicy
from services.marketdata.core.feeds.failover import FailoverPolicy
from services.marketdata.core.feeds.health import HealthPolicy
from services.marketdata.core.thresholds import Bands, Thresholds
from services.marketdata.feeds.caller import CallPolicy
from services.marketdata.feeds.connector import Delivery, batches_of
from services.marketdata.feeds.manager import Manager, Wiring
from services.marketdata.feeds.memory import FeedMemory
from services.marketdata.feeds.runner import Sink as Takes
from shared.clock import SystemClock
from shared.schemas.feeds import FeedSwitch
from shared.tasks import stop
from tests.integration.marketdata.feeds.sources import tick

CLOCK = SystemClock()
BREAKER = BreakerPolicy(failures=3, cool_down=0.2, longest=0.4, probes=1)
HEALTH = HealthPolicy(worse_seconds=0.5, better_seconds=1, least_rows=3)
FAILOVER = FailoverPolicy(rest_seconds=1.5, healthy_seconds=1)
CALLS = CallPolicy(seconds=1, attempts=1, rate=100, burst=10)
# Of the short story of a test: failures of the past are no matter, the circuit and the rows are.
LENIENT = Thresholds({"failure_rate": Bands(None, None), "stale_age": Bands(600, 900)})


class Told:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.switches: list[FeedSwitch] = []
        self.gaps: list[FeedSwitch] = []

    async def on_switch(self, switch: FeedSwitch) -> None:
        self.switches.append(switch)
        raise RuntimeError("whoever listens fails")

    async def on_gap(self, switch: FeedSwitch) -> None:
        self.gaps.append(switch)

    def wiring(self, sink: Takes, memory: FeedMemory | None = None) -> Wiring:
        return Wiring(
            sink,
            self.on_switch,
            self.on_gap,
            memory=memory,
            thresholds=LENIENT,
            failover=FAILOVER,
            health=HEALTH,
            breaker=BREAKER,
        )


@asynccontextmanager
async def running(manager: Manager) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(manager.run())
    try:
        yield task
    finally:
        await stop(task)


async def fetched(name: str) -> list[Delivery]:
    return [Delivery(batch) for batch in batches_of(name, [tick(number, CLOCK.now()) for number in range(5)])]
