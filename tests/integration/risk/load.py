"""Load for risk as processes of their own, and what is left of it in the journal."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg

from services.risk.core.chain import Row
from tests.harness import plain
from tests.integration.risk.client import order
from tests.integration.risk.processes import RiskProcess

# Wide enough that throttles stand in nobody's way.
LIMITS = {
    "price_collar_bps": 0,
    "max_messages_per_second": 1_000_000,
    "max_message_burst": 1_000_000,
    "max_repeated_executions": 1_000_000,
    "max_open_orders": 1_000_000,
    "max_mark_age_seconds": 86_400,
}


async def set_up(risk: RiskProcess, cash: str = "100000", **limits: Any) -> None:
    instrument = {"symbol": "STOCK", "currency": "USD", "asset_class": "EQUITY", "tick_size": "0.01"}
    mark = {"symbol": "STOCK", "price": "100", "ts_event": datetime.now(UTC).isoformat()}
    account = {"account_id": "main", "base_currency": "USD", "initial_cash": cash, "limits": {**LIMITS, **limits}}
    async with risk.client() as client:
        for method, path, body in (
            ("PUT", "/instruments", {"instruments": [instrument]}),
            ("POST", "/accounts", account),
            ("POST", "/marks", {"marks": [mark]}),
        ):
            (await client.request(method, path, json=body)).raise_for_status()


async def verified(risk: RiskProcess) -> bool:
    async with risk.client(timeout=60) as client:
        return bool((await client.get("/journal/verify")).raise_for_status().json()["ok"])


def journal(database_url: str) -> list[Row]:
    query = "SELECT seq, ts, epoch, account_id, kind, body, prev_hash, hash FROM risk.journal ORDER BY seq"
    with psycopg.connect(plain(database_url)) as connection:
        return [Row(row[0], row[1].astimezone(UTC), *row[2:]) for row in connection.execute(query)]


class Load:
    """Orders sent one after the other by several callers, each again until it is answered."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.approved: dict[str, int] = {}
        self.stop = asyncio.Event()

    async def run(self, send: Callable[[dict[str, Any]], Awaitable[httpx.Response]], callers: int = 8) -> None:
        await asyncio.gather(*(self._caller(send, caller) for caller in range(callers)))

    async def _caller(self, send: Callable[[dict[str, Any]], Awaitable[httpx.Response]], caller: int) -> None:
        number = 0
        while not self.stop.is_set():
            body = order(f"{self.prefix}-{caller}-{number}", "1")
            try:
                answer = await send(body)
            except httpx.HTTPError:
                await asyncio.sleep(0.01)
                continue
            if answer.status_code != 200:
                await asyncio.sleep(0.01)
                continue
            decision = answer.json()
            if decision["decision"] == "APPROVED":
                known = self.approved.setdefault(decision["client_order_id"], decision["seq"])
                assert known == decision["seq"]
            number += 1


@asynccontextmanager
async def either(replicas: list[RiskProcess]) -> AsyncIterator[Callable[[dict[str, Any]], Awaitable[httpx.Response]]]:
    """Send to whoever answers, as a load balancer in front of the replicas does."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(replica.client(timeout=0.5)) for replica in replicas]
        preferred = 0

        async def send(body: dict[str, Any]) -> httpx.Response:
            nonlocal preferred
            error: Exception = AssertionError("nobody was asked")
            for turn in range(len(clients)):
                chosen = (preferred + turn) % len(clients)
                try:
                    answer = await clients[chosen].post("/accounts/main/orders", json=body)
                except httpx.HTTPError as problem:
                    error = problem
                    continue
                if answer.status_code != 503:
                    preferred = chosen
                    return answer
                error = httpx.HTTPError("not ready")
            raise error

        yield send


def leader_of(replicas: list[RiskProcess]) -> RiskProcess:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for replica in replicas:
            if replica.ready():
                return replica
        time.sleep(0.02)
    raise AssertionError("nobody leads")
