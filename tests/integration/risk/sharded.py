"""Shards of risk, each a process of its own on a database of its own."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from shared.roles import Role
from shared.shards import SHARD_HEADER, shard_of
from tests.harness import Tokens, fresh_database
from tests.integration.risk.load import LIMITS
from tests.integration.risk.processes import RiskProcess, Start

# Of shard 0 and of shard 1, where there are two.
ACCOUNTS = ("acc-1", "acc-0")


@dataclass
class Sharded:
    """The processes, by shard."""

    shards: list[RiskProcess]
    urls: list[str]

    def of(self, account_id: str) -> RiskProcess:
        return self.shards[shard_of(account_id, len(self.shards))]

    async def set_up(self) -> None:
        """What is the firm's is sent to one shard; an account to its own."""
        instrument = {"symbol": "STOCK", "currency": "USD", "asset_class": "EQUITY", "tick_size": "0.01"}
        mark = {"symbol": "STOCK", "price": "100", "ts_event": datetime.now(UTC).isoformat()}
        async with self.shards[1].client() as client:
            (await client.put("/instruments", json={"instruments": [instrument]})).raise_for_status()
        for account_id in ACCOUNTS:
            async with self.of(account_id).client() as client:
                body = {"account_id": account_id, "base_currency": "USD", "initial_cash": "1000000", "limits": LIMITS}
                (await client.post("/accounts", json=body)).raise_for_status()
        async with self.shards[0].client() as client:
            (await client.post("/marks", json={"marks": [mark]})).raise_for_status()

    async def codes(self, account_id: str, order_id: str, **fields: Any) -> list[str]:
        """Send an order to an account's shard; return why it is denied, nothing where it is approved."""
        body = {"client_order_id": order_id, "strategy_id": "trend", "symbol": "STOCK", "side": "BUY", "quantity": "1"}
        async with self.of(account_id).client() as client:
            answer = await client.post(f"/accounts/{account_id}/orders", json={**body, **fields})
        return [reason["code"] for reason in answer.raise_for_status().json()["reasons"]]

    async def switches(self, shard: int, active: bool = True) -> dict[str, Any]:
        """Return the switches that one shard has itself."""
        async with self.shards[shard].client() as client:
            answer = await client.get("/kill-switches", params={"active": active}, headers={SHARD_HEADER: str(shard)})
        return {each["kill_switch_id"]: each for each in answer.raise_for_status().json()["items"]}


@contextmanager
def two_shards(start: Start, postgres_url: str, template: str, tokens: Tokens, **settings: object) -> Iterator[Sharded]:
    with several_shards(2, start, postgres_url, template, tokens, **settings) as sharded:
        yield sharded


@contextmanager
def several_shards(
    of: int, start: Start, postgres_url: str, template: str, tokens: Tokens, **settings: object
) -> Iterator[Sharded]:
    with ExitStack() as stack:
        databases = [stack.enter_context(fresh_database(postgres_url, template)) for _ in range(of)]
        made: list[RiskProcess] = []
        for number in range(of):
            made.append(
                start(
                    database_url=databases[number],
                    risk_shards=of,
                    risk_shard=number,
                    service_token=tokens.by_role[Role.SERVICE],
                    **settings,
                )
            )
        for process in made:
            process.set(risk_peers=",".join(each.url for each in made))
            stack.enter_context(process)
        for process in made:
            process.await_ready()
        yield Sharded(made, databases)


async def metric(process: RiskProcess, name: str, tokens: Tokens) -> float | None:
    """Return a figure of a process, None where it has none."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"{process.url}/metrics", headers=tokens.auth(Role.VIEWER))).text
    found = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(name)]
    return float(found[0]) if found else None
