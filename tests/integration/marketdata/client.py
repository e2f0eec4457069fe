"""A running marketdata service and what its tests send it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from services.marketdata.main import create
from services.marketdata.settings import MarketdataSettings
from shared.roles import Role
from tests.harness import Tokens, running

BASE = "/api/v1/marketdata"
START = datetime(2024, 1, 2, tzinfo=UTC)


class Client:
    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def post(self, path: str, body: Any) -> Any:
        response = await self.http.post(BASE + path, json=body)
        assert response.status_code == 200, response.text
        return response.json()

    async def send(self, path: str, body: bytes, media_type: str, status: int = 200) -> Any:
        response = await self.http.post(BASE + path, content=body, headers={"Content-Type": media_type})
        assert response.status_code == status, response.text
        return response.json()

    async def get(self, path: str) -> Any:
        response = await self.http.get(BASE + path)
        assert response.status_code == 200, response.text
        return response.json()

    async def all(self, path: str) -> list[Any]:
        found, cursor = [], ""
        while True:
            page = await self.get(path + cursor)
            found += page["items"]
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"


@asynccontextmanager
async def client_of(settings: MarketdataSettings, tokens: Tokens) -> AsyncIterator[Client]:
    async with running(create(settings), tokens.auth(Role.SERVICE)) as http:
        yield Client(http)


def bar(minute: int, close: str = "100", symbol: str = "X", **changes: Any) -> dict[str, Any]:
    ts = (START + timedelta(minutes=minute)).isoformat()
    prices = {"open": "100", "high": "1000", "low": "1", "close": close, "volume": "1"}
    return {"symbol": symbol, "interval": "1m", "ts": ts, **prices, **changes}


def batch(*bars: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"source": "test", "simulation_id": "s1", "bars": list(bars), **fields}


def state(minute: float | None, **changes: Any) -> dict[str, Any]:
    moment = None if minute is None else (START + timedelta(minutes=minute)).isoformat()
    quote = {"expiry": "2024-02-01", "strike": "100", "open_interest": "7"}
    chain = [{**quote, "right": "C"}, {**quote, "right": "P"}]
    totals = {"total_call_oi": "7", "total_put_oi": "7", "option_chain": chain}
    return {"symbol": "X", "timestamp": moment, "spot_price": "100", **totals, **changes}
