"""All sources of this process: what drives them, how each is doing, and which one is active."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from services.marketdata.core.feeds.breaker import BreakerPolicy
from services.marketdata.core.feeds.calls import Call
from services.marketdata.core.feeds.failover import Active, FailoverPolicy, choose, close_gap
from services.marketdata.core.feeds.health import HealthPolicy
from services.marketdata.core.feeds.rows import Observed
from services.marketdata.core.stream.news import News
from services.marketdata.core.thresholds import DEFAULTS, Thresholds
from services.marketdata.feeds import metrics
from services.marketdata.feeds.caller import CallPolicy
from services.marketdata.feeds.connector import Batch, Connector, observed
from services.marketdata.feeds.memory import FeedMemory
from services.marketdata.feeds.runner import Runner, Sink
from services.marketdata.feeds.source import Source
from services.marketdata.metrics import WORKED
from shared.clock import Clock
from shared.logging import Category, get_trading_logger
from shared.schemas.feeds import CircuitState, FeedCall, FeedHealth, FeedSwitch
from shared.schemas.marketdata import IngestResult
from shared.tasks import finish, stop

_LOG = get_trading_logger("keelson.marketdata.feeds", Category.MARKET_DATA)
_LOOK_SECONDS = 1.0
_SWITCHES_KEPT = 100
# Whoever may post can name sources; only so many are watched that are not in the list.
_MOST_WATCHED = 200

Told = Callable[[FeedSwitch], Awaitable[None]]
# For how many seconds from one moment to another events of a source were to be expected.
Waited = Callable[[str, datetime, datetime], float]


async def _nobody(_: FeedSwitch) -> None:
    return None


def _always(_: str, since: datetime, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds())


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the manager is connected to.

    `sink` takes the batches of the sources that are driven here. `on_switch` hears of each change of the active
    source at once, `on_gap` of it again once its gap has an end and can be filled; what they raise is logged.
    """

    sink: Sink
    on_switch: Told = _nobody
    on_gap: Told = _nobody
    waited: Waited = _always
    memory: FeedMemory | None = None
    thresholds: Thresholds = DEFAULTS
    failover: FailoverPolicy = field(default_factory=FailoverPolicy)
    health: HealthPolicy = field(default_factory=HealthPolicy)
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)


class Manager:
    """Runs the connectors in the order of their preference, and keeps one source active among those that are well."""

    def __init__(
        self,
        connectors: Sequence[Connector],
        clock: Clock,
        wiring: Wiring,
        calls: CallPolicy | None = None,
    ) -> None:
        self._clock = clock
        self._wiring = wiring
        self._sources = {each.name: self._new(each.name) for each in connectors}
        self._listed = list(self._sources)
        self._runners = {
            each.name: Runner(each, self._sources[each.name], partial(self._taken, each.name), clock, calls)
            for each in connectors
            # Of one that pushes there is nothing to drive.
            if each.jobs()
        }
        self._active = Active()
        self._gap: FeedSwitch | None = None
        self._ended: deque[FeedSwitch] = deque(maxlen=_SWITCHES_KEPT)
        self._stopping = asyncio.Event()
        self.switches: deque[FeedSwitch] = deque(maxlen=_SWITCHES_KEPT)

    @property
    def active(self) -> str | None:
        """Return the active source, None where none is listed."""
        return self._active.name

    def runner(self, name: str) -> Runner | None:
        """Return what drives a source, to backfill from it; None of one that is only watched."""
        return self._runners.get(name)

    async def run(self) -> None:
        """Run every source and look at them once a second, until stopped or cancelled."""
        await self._remember()
        for place, name in enumerate(self._listed):
            metrics.PRIORITY.labels(name).set(place)
        tasks = [asyncio.create_task(runner.run(), name=f"feed {name}") for name, runner in self._runners.items()]
        try:
            while not self._stopping.is_set():
                try:
                    await self.look()
                    WORKED.labels("sources").set_to_current_time()
                except Exception:  # without looks no failover
                    _LOG.exception("looking at the sources failed")
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await self._stopping.wait()
            for runner in self._runners.values():
                runner.stop()
            if tasks:
                # Each ends within its own grace.
                await asyncio.wait(tasks)
        finally:
            metrics.withdraw()
            await finish(_end(tasks))

    def stop(self) -> None:
        """Ask all to end once what they have at hand is taken; `run` then returns within seconds."""
        self._stopping.set()

    def observe(self, name: str, seen: Observed) -> None:
        """Take in what became of a batch that was pushed; not of simulated data, which say nothing of their source."""
        source = self._known(name)
        if source is None:
            return
        source.observe(seen, self._clock.now())
        if seen.first_good is not None and self._gap is not None and self._gap.to_source == name:
            ended, self._gap = close_gap(self._gap, seen.first_good), None
            self.switches = deque((ended if each.at == ended.at else each for each in self.switches), _SWITCHES_KEPT)
            self._ended.append(ended)

    def record_calls(self, name: str, calls: Sequence[FeedCall]) -> bool:
        """Take in calls somebody else made to a source; return whether it is one that is watched."""
        source = self._known(name)
        if source is None:
            return False
        for call in calls:
            source.record(Call(call.at, call.ok, call.latency_ms))
        return True

    async def look(self) -> None:
        """Bring the health of all up to date, choose the active one, and tell who wants to know."""
        now, wiring = self._clock.now(), self._wiring
        for name, source in self._sources.items():
            source.look(now, partial(wiring.waited, name), wiring.thresholds)
        candidates = [self._sources[name].candidate() for name in self._listed]
        self._active, switch = choose(self._active, candidates, now, wiring.failover)
        for name in self._sources:
            metrics.ACTIVE.labels(name).set(name == self._active.name)
        if switch is not None:
            self._gap = switch if switch.gap_start is not None else None
            self.switches.append(switch)
            metrics.SWITCHES.labels(switch.reason.value).inc()
            _LOG.warning("the active source changed", **switch.model_dump(mode="json"))
            await self._tell(wiring.on_switch, switch)
        while self._ended:
            await self._tell(wiring.on_gap, self._ended.popleft())
        if wiring.memory is not None:
            await wiring.memory.save(self._active, {name: each.breaker for name, each in self._sources.items()})

    def snapshot(self) -> list[FeedHealth]:
        """Return how each source is doing, in the order of preference, those that are only watched last."""
        now, thresholds = self._clock.now(), self._wiring.thresholds
        return [
            source.view(priority, name == self._active.name, now, thresholds)
            for priority, (name, source) in enumerate(self._sources.items())
        ]

    async def _taken(self, name: str, batch: Batch, news: News | None = None) -> IngestResult:
        result = await self._wiring.sink(batch, news)
        self.observe(name, observed(batch, result))
        return result

    async def _remember(self) -> None:
        if self._wiring.memory is None:
            return
        active, circuits = await self._wiring.memory.load()
        if active.name in self._listed:
            self._active = active
        for name, breaker in circuits.items():
            if name in self._sources and breaker.state is CircuitState.OPEN:
                self._sources[name].restore(breaker, self._clock.now())

    async def _tell(self, told: Told, switch: FeedSwitch) -> None:
        try:
            await told(switch)
        except Exception:  # whoever listens must not stop the looking
            _LOG.exception("a change of the active source could not be told")

    def _known(self, name: str) -> Source | None:
        source = self._sources.get(name)
        if source is None and len(self._sources) < len(self._listed) + _MOST_WATCHED:
            source = self._sources[name] = self._new(name, expected=False)
        return source

    def _new(self, name: str, *, expected: bool = True) -> Source:
        return Source(name, self._clock.now(), self._wiring.breaker, self._wiring.health, expected=expected)


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for outcome in await asyncio.gather(*map(stop, tasks), return_exceptions=True):
        if isinstance(outcome, Exception):
            _LOG.error("a source ended with an error", reason=f"{type(outcome).__name__}: {outcome}")
