"""A served marketdata, marks put on its stream as its publisher does, and readers of its WebSocket."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from fastapi import FastAPI
from websockets.asyncio.client import ClientConnection, connect

from cli.supervisor.sockets import MOST_BYTES, WebSocketProtocol
from services.marketdata.handlers.live import Live
from services.marketdata.live.hub import Subscription
from services.marketdata.main import create
from services.marketdata.settings import MarketdataSettings
from shared.events import MARKS_STREAM, publish
from shared.resources import Resources
from shared.roles import Role
from shared.schemas.marketdata import MarkMessage
from tests.harness import Tokens, serving

PATH = "/api/v1/marketdata/stream"
START = datetime(2026, 3, 2, tzinfo=UTC)
SOCKETS: dict[str, Any] = {
    "ws": WebSocketProtocol,
    "ws_max_size": MOST_BYTES,
    "ws_per_message_deflate": False,
}


def mark(symbol: str, number: int, price: str | None = None, **fields: Any) -> MarkMessage:
    """Return a mark of the second `number`, by default at a price that tells it."""
    values = {"symbol": symbol, "price": price or str(number + 1), "ts_event": START + timedelta(seconds=number)}
    return MarkMessage.model_validate({"source": "test", **values, **fields})


@dataclass
class Served:
    """A running service and what its tests do with it."""

    app: FastAPI
    url: str
    tokens: Tokens

    @property
    def live(self) -> Live:
        found: Live = self.app.state.live
        return found

    @property
    def subscriptions(self) -> list[Subscription]:
        """What waits for each reader."""
        return list(self.live.hub._everybody())

    async def publish(self, *marks: MarkMessage) -> None:
        resources: Resources = self.app.state.resources
        keep = partial(self.live.latest.keep, messages=marks)
        await publish(resources.redis, MARKS_STREAM, marks, beside=keep)

    @asynccontextmanager
    async def reader(self, symbols: str, query: str = "", **options: Any) -> AsyncIterator["Reader"]:
        options = {"additional_headers": self.tokens.auth(Role.VIEWER), **options}
        url = f"{self.url.replace('http', 'ws', 1)}{PATH}?symbols={symbols}{query}"
        async with connect(url, proxy=None, compression=None, close_timeout=0.5, **options) as socket:
            yield Reader(socket)


@dataclass
class Reader:
    socket: ClientConnection

    async def next(self, seconds: float = 10) -> dict[str, Any]:
        async with asyncio.timeout(seconds):
            message: dict[str, Any] = json.loads(await self.socket.recv())
        return message

    async def next_of(self, *kinds: str, seconds: float = 10) -> dict[str, Any]:
        async with asyncio.timeout(seconds):
            while True:
                message = await self.next(seconds)
                if message["type"] in kinds:
                    return message

    async def marks(self, count: int, seconds: float = 10) -> list[dict[str, Any]]:
        """Return so many changes, each with its `skipped`; nothing else may come between them but heartbeats."""
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(seconds):
            while len(found) < count:
                message = await self.next(seconds)
                if message["type"] == "heartbeat":
                    continue
                assert message["type"] == "mark", message
                found.append({**message["mark"], "skipped": message["skipped"]})
        return found


@asynccontextmanager
async def stream_of(settings: MarketdataSettings, tokens: Tokens, **options: Any) -> AsyncIterator[Served]:
    app = create(settings)
    async with serving(app, **{**SOCKETS, **options}) as url:
        served = Served(app, url, tokens)
        await until(lambda: served.live.hub.live)
        yield served


async def until(condition: Any, seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def prices(marks: Sequence[dict[str, Any]], symbol: str) -> Iterator[int]:
    return (int(each["price"]) for each in marks if each["symbol"] == symbol)
