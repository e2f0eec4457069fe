"""The reporting service: what came of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

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
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(service_client(known, url)) for url in known.risk_urls]
            app.state.workers = [
                Worker(resources.database, risk, resources.clock, known, shard) for shard, risk in enumerate(clients)
            ]
            tasks = [asyncio.create_task(worker.run()) for worker in app.state.workers]
            try:
                yield
            finally:
                for task in tasks:
                    await stop(task)

    async def ledger_check() -> str | None:
        workers: list[Worker] = app.state.workers
        problems = [await worker.problem() for worker in workers]
        return next((problem for problem in problems if problem is not None), None)

    app = create_app(
        name="reporting",
        settings=settings,
        clock=clock,
        routers=[ledger.router],
        checks={"ledger": ledger_check},
        lifespan=lifespan,
    )
    return app
