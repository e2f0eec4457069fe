"""Speak to risk as its callers do."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from fastapi import FastAPI

from shared.roles import Role

BASE = "/api/v1/risk"


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.05)


class RiskClient:
    def __init__(self, http: httpx.AsyncClient, auth: Callable[[Role], dict[str, str]], app: FastAPI) -> None:
        self.http = http
        self.auth = auth
        self.app = app

    async def ready(self) -> bool:
        return (await self.http.get("/readyz")).status_code == 200

    async def engine_state(self) -> str | None:
        state: str | None = (await self.http.get("/readyz")).json()["dependencies"]["engine"]["detail"]
        return state

    async def call(self, method: str, path: str, body: Any = None, role: Role = Role.SERVICE) -> httpx.Response:
        return await self.http.request(method, BASE + path, json=body, headers=self.auth(role))

    async def ok(self, method: str, path: str, body: Any = None, role: Role = Role.SERVICE) -> Any:
        response = await self.call(method, path, body, role)
        assert response.is_success, response.text
        return response.json()

    async def set_up(self, account: str = "main", **fields: Any) -> None:
        instrument = {"symbol": "STOCK", "currency": "USD", "asset_class": "EQUITY", "tick_size": "0.01"}
        await self.ok("PUT", "/instruments", {"instruments": [instrument, {**instrument, "symbol": "OTHER"}]})
        # A market order is valued at the mark itself, so that round figures are at a limit.
        fields.setdefault("limits", {"price_collar_bps": 0})
        await self.ok(
            "POST", "/accounts", {"account_id": account, "base_currency": "USD", "initial_cash": "100000", **fields}
        )
        await self.mark("100")

    async def mark(self, price: str, symbol: str = "STOCK", ahead: float = 0) -> None:
        seen = datetime.now(UTC) + timedelta(seconds=ahead)
        mark = {"symbol": symbol, "price": price, "ts_event": seen.isoformat()}
        await self.ok("POST", "/marks", {"marks": [mark]})

    async def confirmed_mark(self, price: str, symbol: str = "STOCK") -> None:
        """Send a price and, as seen a second later, the one that confirms it if it jumps."""
        await self.mark(price, symbol)
        await self.mark(price, symbol, ahead=1)

    async def order(self, order_id: str, quantity: str = "1", account: str = "main", **fields: Any) -> Any:
        return await self.ok("POST", f"/accounts/{account}/orders", order(order_id, quantity, **fields))

    async def fill(self, order_id: str, trade_id: str, quantity: str, price: str = "100") -> Any:
        body = {"trade_id": trade_id, "client_order_id": order_id, "quantity": quantity, "price": price}
        return await self.ok("POST", "/accounts/main/fills", {**body, "ts_event": datetime.now(UTC).isoformat()})


def order(order_id: str, quantity: str = "1", **fields: Any) -> dict[str, Any]:
    return {
        "client_order_id": order_id,
        "strategy_id": "trend",
        "symbol": "STOCK",
        "side": "BUY",
        "quantity": quantity,
        **fields,
    }
