"""A caller who holds that a service fails closed, and what goes wrong around it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.risk.core.chain import Tip, follow
from shared.events import MARKS_STREAM, publish
from shared.schemas.marketdata import MarkMessage
from shared.tasks import stop
from tests.harness import plain
from tests.integration.risk.client import order, until
from tests.integration.risk.load import journal, set_up, verified
from tests.integration.risk.processes import RiskProcess

ORDERS = "/accounts/main/orders"
GONE = "503"
APPROVED = "APPROVED"
RESTING = "resting"
# Slow machines are late, and not wrong.
PATIENCE = 60


class Feed:
    """Marks over Redis again and again, as long as it is there; what has no price is silent."""

    def __init__(self) -> None:
        self.prices = {"STOCK": "100"}
        self.severity = "ok"

    async def run(self, url: str) -> None:
        async with Redis.from_url(url, decode_responses=True) as redis:
            while True:
                now = datetime.now(UTC)
                marks = [
                    MarkMessage.model_validate(
                        {"symbol": symbol, "price": price, "severity": self.severity, "ts_event": now, "source": "test"}
                    )
                    for symbol, price in self.prices.items()
                ]
                with suppress(RedisError, OSError):
                    await publish(redis, MARKS_STREAM, marks)
                await asyncio.sleep(0.1)


class Caller:
    """A caller of one service, who remembers what it was told is approved."""

    def __init__(self, risk: RiskProcess, client: httpx.AsyncClient, feed: Feed) -> None:
        self.risk = risk
        self.client = client
        self.feed = feed
        self.approved: dict[str, int] = {}
        self._count = 0

    async def send(self, **fields: Any) -> str:
        """Send an order; return APPROVED, the codes of its denial, or GONE."""
        return self._heard(await self.client.post(ORDERS, json=self._order(**fields)))

    async def passes(self, **fields: Any) -> None:
        async def approved() -> bool:
            return await self.send(**fields) == APPROVED

        await until(approved, PATIENCE)

    async def refuses(self, expected: str, seconds: float = 1, *, at_once: bool = True, **fields: Any) -> None:
        """Hold that no way in approves anything, for so long; where not at once, from the first refusal on."""
        if not at_once:

            async def refused() -> bool:
                return await self.send(**fields) != APPROVED

            await until(refused, PATIENCE)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for answer in await self._every_way(**fields):
                assert expected in answer.split(), answer

    async def audit(self, database_url: str) -> None:
        """Hold that the journal is whole, and nothing approved to this caller is missing in it."""
        assert await verified(self.risk)
        rows = journal(database_url)
        assert follow(Tip(), rows)[1] is None
        decided = {
            json.loads(row.body)["order"]["client_order_id"]: row for row in rows if row.kind == "ORDER_APPROVED"
        }
        assert len(self.approved) >= 2
        assert self.approved.items() <= {name: row.seq for name, row in decided.items()}.items()

    async def put(self, *instruments: dict[str, Any]) -> None:
        (await self.client.put("/instruments", json={"instruments": list(instruments)})).raise_for_status()

    async def _every_way(self, **fields: Any) -> list[str]:
        """Send an order by itself, in both kinds of batches, as a question, and as a larger replacement."""
        answers = [await self.client.post(ORDERS, json=self._order(**fields))]
        answers.append(await self.client.post(f"{ORDERS}/check", json=self._order(**fields)))
        found = [self._heard(answer) for answer in answers]
        for all_or_none in (False, True):
            orders = [self._order(**fields), self._order(**fields)]
            body = {"orders": orders, "all_or_none": all_or_none}
            answer = await self.client.post(f"{ORDERS}/batch", json=body)
            decisions = answer.json()["decisions"] if answer.status_code == 200 else [None]
            found += [self._heard(answer, decision) for decision in decisions]
        if not fields:
            self._count += 1
            change = {"replace_id": f"r{self._count}", "quantity": "3"}
            found.append(self._heard(await self.client.put(f"{ORDERS}/{RESTING}", json=change)))
        return found

    def _order(self, **fields: Any) -> dict[str, Any]:
        self._count += 1
        return order(f"o{self._count}", **fields)

    def _heard(self, answer: httpx.Response, decision: dict[str, Any] | None = None) -> str:
        if answer.status_code == 503:
            assert answer.headers["content-type"] == "application/problem+json"
            assert int(answer.headers["retry-after"]) > 0
            return GONE
        assert answer.status_code == 200, answer.text
        decision = decision or answer.json()
        if decision["decision"] == APPROVED:
            self.approved[decision["client_order_id"]] = decision["seq"]
            return APPROVED
        return " ".join(reason["code"] for reason in decision["reasons"])


@asynccontextmanager
async def trading(risk: RiskProcess, redis_url: str, mark_age: int = 3) -> AsyncIterator[Caller]:
    """Yield a desk whose orders pass; its marks are old after three seconds."""
    await asyncio.to_thread(risk.await_ready)
    await set_up(risk, "1000000000", max_mark_age_seconds=mark_age)
    async with risk.client(timeout=30) as client:
        desk = Caller(risk, client, Feed())
        running = asyncio.create_task(desk.feed.run(redis_url))
        try:
            await desk.passes()
            (await client.post(ORDERS, json=order(RESTING, "2"))).raise_for_status()
            yield desk
        finally:
            await stop(running)


@contextmanager
def locked_journal(database_url: str) -> Iterator[None]:
    """Keep everybody from reading or writing the journal."""
    with psycopg.connect(plain(database_url)) as connection:
        connection.execute("LOCK TABLE risk.journal IN ACCESS EXCLUSIVE MODE")
        yield


async def states(risk: RiskProcess) -> dict[str, bool]:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{risk.url}/readyz", timeout=10)
    return {name: state["ok"] for name, state in answer.json()["dependencies"].items()}
