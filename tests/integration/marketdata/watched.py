"""A running marketdata service whose time tests move, with its monitor in their hands."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import FastAPI
from redis.asyncio import Redis

from services.marketdata.main import create
from services.marketdata.monitor import Monitor
from services.marketdata.settings import MarketdataSettings
from shared.clock import ManualClock
from shared.database import Database
from shared.events import MARKS_STREAM
from shared.roles import Role
from tests.harness import Tokens, running
from tests.integration.marketdata.client import BASE, Client

# A Tuesday, while Mumbai is open: from 3:45 to 10:00.
NOW = datetime(2024, 1, 2, 5, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


class Watched:
    """A service and what watches its data."""

    def __init__(self, client: Client, app: FastAPI, database: Database, clock: ManualClock) -> None:
        self.client = client
        self.clock = clock
        self.database = database
        self._app = app
        self.restart()

    def restart(self) -> None:
        """Watch from here on without what was kept in memory."""
        self.monitor = Monitor(self.database, self._app.state.publisher, self.clock, 60)

    async def look(self, **by: float) -> None:
        """Let time pass, and watch."""
        self.clock.advance(timedelta(**by))
        await self.monitor.once()

    async def tick(self, price: str = "100", source: str = "a", age: float = 0.0, **fields: Any) -> Any:
        moment = self.clock.now() - timedelta(seconds=age)
        row = {"symbol": "X", "ts": moment.isoformat(), "price": price, "quantity": "1", **fields}
        row.setdefault("trade_id", f"t{moment.timestamp():.6f}")
        return await self.client.post("/ticks", {"source": source, "ticks": [row]})

    async def feed(self, minutes: float = 3, every: float = 10, **fields: Any) -> None:
        """Send a trade every few seconds."""
        until = self.clock.now() + timedelta(minutes=minutes)
        while self.clock.now() < until:
            self.clock.advance(timedelta(seconds=every))
            await self.tick(**fields)

    async def issues(self, query: str = "open=true") -> dict[str, str]:
        found = await self.client.all(f"/quality/issues?limit=100&{query}")
        return {f"{each['code']} {each['source']}": each["severity"] for each in found}

    async def put(self, path: str, body: Any, headers: dict[str, str]) -> None:
        response = await self.client.http.put(BASE + path, json=body, headers=headers)
        assert response.status_code == 200, response.text


@asynccontextmanager
async def watched(settings: MarketdataSettings, tokens: Tokens) -> AsyncIterator[Watched]:
    clock = ManualClock(NOW)
    app = create(settings, clock)
    database = Database(settings.database_url.get_secret_value(), application_name="test")
    async with running(app, tokens.auth(Role.SERVICE)) as http:
        try:
            yield Watched(Client(http), app, database, clock)
        finally:
            await database.dispose()


async def marks(redis_url: str) -> list[tuple[str, str]]:
    """Return the price and severity of every mark published."""
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        found = [json.loads(fields["data"]) for _, fields in await redis.xrange(MARKS_STREAM)]
    return [(mark["price"], mark["severity"]) for mark in found]
