"""The marketdata service: what is the market, and can it be trusted."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI

from services.marketdata.alone import Alone
from services.marketdata.backfills import Backfills
from services.marketdata.core.thresholds import Thresholds
from services.marketdata.feeds.build import CCXT, build_manager
from services.marketdata.feeds.hours import MarketHours
from services.marketdata.feeds.ingest_sink import IngestSink
from services.marketdata.feeds.manager import Wiring
from services.marketdata.feeds.memory import FeedMemory
from services.marketdata.handlers.live import Live
from services.marketdata.handlers.rules import load_rules
from services.marketdata.live.hub import Hub
from services.marketdata.live.latest import LatestMarks
from services.marketdata.live.reader import StreamReader
from services.marketdata.live.session import Pace
from services.marketdata.maintenance import Maintenance
from services.marketdata.monitor import Monitor
from services.marketdata.publisher import Publisher
from services.marketdata.roll_ups import RollUps
from services.marketdata.routes import feeds, ingest, live, quality, reads
from services.marketdata.settings import MarketdataSettings
from services.marketdata.storage_check import storage_check
from services.marketdata.store import Partitions
from shared.app import create_app
from shared.clock import Clock
from shared.database import Database
from shared.health import Well
from shared.resources import Resources
from shared.schemas.feeds import FeedSwitch
from shared.settings import settings_of_process
from shared.tasks import stop


async def _together(*works: Coroutine[None, None, None]) -> None:
    async with asyncio.TaskGroup() as group:
        for work in works:
            group.create_task(work)


async def _thresholds_of(database: Database, symbol: str) -> Thresholds:
    async with database.session() as session:
        return (await load_rules(session, [symbol])).of(symbol)


def create(settings: MarketdataSettings | None = None, clock: Clock | None = None) -> FastAPI:
    """Return the service; settings come from the environment unless given."""
    settings = settings or settings_of_process(MarketdataSettings)
    pause = settings.marketdata_outbox_seconds

    @asynccontextmanager
    async def lifespan(app: FastAPI, resources: Resources) -> AsyncIterator[None]:
        partitions = Partitions(resources.database, settings.retention)
        latest = LatestMarks(resources.redis, resources.database)
        publisher = Publisher(resources.database, resources.redis, latest, pause)
        hub = Hub(settings.marketdata_streams)
        pace = Pace(settings.marketdata_stream_send_seconds, settings.marketdata_stream_heartbeat_seconds)
        app.state.live = Live(hub, latest, resources.clock, pace, settings.marketdata_stream_symbols)
        reader = StreamReader(resources.redis, hub)
        roll_ups = RollUps(resources.database, partitions, resources.clock, settings.marketdata_roll_up_seconds)
        maintenance = Maintenance(resources.database, partitions, resources.clock)

        monitor = Monitor(resources.database, publisher, resources.clock, settings.marketdata_monitor_seconds)
        watcher = Alone(resources.database, "watching", monitor.run)
        sink = IngestSink(resources.database, partitions, resources.clock, publisher.wake)

        async def fill(switch: FeedSwitch) -> None:
            if "bars" in settings.kinds:
                await backfills.queue_gap(switch, list(settings.symbols), settings.intervals)

        asked = {name: settings.symbols for name in settings.sources if name.startswith(CCXT)}
        hours = MarketHours(resources.database, asked, resources.clock)
        wiring = Wiring(sink, on_gap=fill, waited=hours.waited, memory=FeedMemory(resources.redis))
        sources = build_manager(settings, resources.clock, wiring, partial(_thresholds_of, resources.database))
        backfills = Backfills(resources.database, sources, sink, resources.clock)
        driver = Alone(resources.database, "sources", lambda: _together(hours.run(), sources.run(), backfills.run()))
        app.state.partitions, app.state.publisher, app.state.roll_ups = partitions, publisher, roll_ups
        app.state.sources, app.state.backfills = sources, backfills
        tasks = [
            asyncio.create_task(worker.run()) for worker in (publisher, roll_ups, maintenance, watcher, reader, driver)
        ]
        try:
            yield
        finally:
            for task in tasks:
                await stop(task)

    async def storage() -> str | Well:
        resources: Resources = app.state.resources
        return await storage_check(resources.database)

    app = create_app(
        name="marketdata",
        settings=settings,
        clock=clock,
        routers=[ingest.router, feeds.router, reads.router, quality.router, live.router],
        checks={"storage": storage},
        lifespan=lifespan,
        schemas=(*ingest.BATCHES, *live.MESSAGES),
    )
    return app
