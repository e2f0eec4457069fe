"""The reporting service: what came of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from services.reporting.routes import ledger
from services.reporting.settings import ReportingSettings
from services.reporting.worker import Worker
from shared.app import create_app
from shared.clock import Clock
from shared.http import service_client
from shared.resources import Resources
from shared.settings import settings_of_process
from shared.tasks import stop


def create(settings: ReportingSettings | None = None, clock: Clock | None = None) -> FastAPI:
    """Return the service; settings come from the environment unless given."""
    settings = settings or settings_of_process(ReportingSettings)
    known = settings

    @asynccontextmanager
    async def lifespan(app: FastAPI, resources: Resources) -> AsyncIterator[None]:
        async with service_client(known, known.risk_url) as risk:
            worker = Worker(resources.database, risk, resources.clock, known)
            app.state.worker = worker
            task = asyncio.create_task(worker.run())
            try:
                yield
            finally:
                await stop(task)

    async def ledger_check() -> str | None:
        return await app.state.worker.problem()  # type: ignore[no-any-return]

    app = create_app(
        name="reporting",
        settings=settings,
        clock=clock,
        routers=[ledger.router],
        checks={"ledger": ledger_check},
        lifespan=lifespan,
    )
    return app
