"""The risk service: may this order go out, and why not."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import APIRouter, Depends, FastAPI

from services.risk.alike import keep_alike, stops_elsewhere
from services.risk.cancels import publish_cancels
from services.risk.checkpoints import journal_hashes, keep_checkpoints
from services.risk.compiled import compiled
from services.risk.dependencies import of_this_shard
from services.risk.direct import direct_routes
from services.risk.engine import Engine
from services.risk.gauges import AccountGauges, keep_account_gauges
from services.risk.history import HistoryKeeper
from services.risk.metrics import COMPILED
from services.risk.peers import Peers
from services.risk.routes import accounts, history, journal, market, orders, switches, value_at_risk
from services.risk.settings import RiskSettings
from services.risk.snapshots import keep_snapshots, restore
from services.risk.worker import consume_marks
from shared.app import create_app
from shared.clock import Clock, SystemClock
from shared.database import Database
from shared.problems import BadRequest, Misdirected, declare
from shared.resources import Resources
from shared.settings import settings_of_process
from shared.shards import SHARD_HEADER
from shared.tasks import stop


def create(settings: RiskSettings | None = None, clock: Clock | None = None) -> FastAPI:
    """Return the service; settings come from the environment unless given."""
    settings = settings or settings_of_process(RiskSettings)
    # Orders and their decisions are kept, and in no cycles: a full collection finds next to nothing among very many.
    gc.set_threshold(50_000, 20, 1_000)
    COMPILED.set(compiled())
    clock = clock or SystemClock()
    # Apart from the requests' pool: a crowd of readers must not keep the engine from its journal.
    database = Database(settings.database_url.get_secret_value(), application_name="risk-engine", pool_size=1)
    engine = Engine(database, clock, settings, partial(restore, database, settings.risk_checkpoint_key_file))

    gauges = AccountGauges()

    @asynccontextmanager
    async def lifespan(app: FastAPI, resources: Resources) -> AsyncIterator[None]:
        peers = app.state.peers = Peers(settings, resources.authenticator)
        tasks = [
            asyncio.create_task(engine.run(partial(stops_elsewhere, peers))),
            # Stopped before the engine: it signs the last row while this process still leads.
            asyncio.create_task(
                keep_checkpoints(settings, engine.durable_tip, journal_hashes(resources.database), clock)
            ),
            asyncio.create_task(consume_marks(resources.redis, engine)),
            asyncio.create_task(publish_cancels(resources.redis, engine)),
            asyncio.create_task(keep_alike(engine, peers)),
            asyncio.create_task(keep_account_gauges(engine, gauges)),
            asyncio.create_task(keep_snapshots(settings, engine, resources.database)),
            asyncio.create_task(HistoryKeeper(engine, resources.database).keep()),
        ]
        try:
            yield
        finally:
            for task in reversed(tasks):
                await stop(task)
            await peers.close()
            await database.dispose()

    routes = APIRouter(dependencies=[Depends(of_this_shard)], responses=declare(BadRequest, Misdirected))
    # What is asked most is matched first.
    for each in (
        orders.router,
        accounts.router,
        market.router,
        switches.router,
        history.router,
        value_at_risk.router,
        journal.router,
        journal.stream_router,
    ):
        routes.include_router(each)
    app = create_app(
        name="risk",
        settings=settings,
        clock=clock,
        routers=[routes],
        checks={"engine": engine.problem},
        lifespan=lifespan,
        direct=direct_routes(engine),
        headers={SHARD_HEADER: str(engine.shard.number)},
        metrics=gauges.text,
    )
    app.state.engine = engine
    return app
