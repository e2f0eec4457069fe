"""The marketdata service: what is the market, and can it be trusted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from services.marketdata.publisher import Publisher
from services.marketdata.routes import ingest, reads
from services.marketdata.settings import MarketdataSettings
from shared.app import create_app
from shared.clock import Clock
from shared.resources import Resources
from shared.settings import settings_of_process
from shared.tasks import stop


def create(settings: MarketdataSettings | None = None, clock: Clock | None = None) -> FastAPI:
    """Return the service; settings come from the environment unless given."""
    settings = settings or settings_of_process(MarketdataSettings)
    pause = settings.marketdata_outbox_seconds

    @asynccontextmanager
    async def lifespan(app: FastAPI, resources: Resources) -> AsyncIterator[None]:
        publisher = Publisher(resources.database, resources.redis, pause)
        app.state.publisher = publisher
        task = asyncio.create_task(publisher.run())
        try:
            yield
        finally:
            await stop(task)

    return create_app(
        name="marketdata", settings=settings, clock=clock, routers=[ingest.router, reads.router], lifespan=lifespan
    )
