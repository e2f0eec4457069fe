"""What must hold of the engine whatever happens to its processes."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from services.risk.core.chain import Row, Tip, event_of, follow
from services.risk.core.evolve import evolve
from services.risk.core.state import FirmState
from services.risk.core.views import account_status
from shared.roles import Role
from tests.harness import Tokens, plain
from tests.integration.risk.client import RiskClient, order
from tests.integration.risk.processes import RiskProcess

pytestmark = pytest.mark.integration
Start = Callable[[], RiskProcess]
# Wide enough that throttles stand in nobody's way.
LIMITS = {
    "price_collar_bps": 0,
    "max_messages_per_second": 1_000_000,
    "max_message_burst": 1_000_000,
    "max_repeated_executions": 1_000_000,
    "max_open_orders": 1_000_000,
    "max_mark_age_seconds": 86_400,
}
KILLS = 50


@pytest.fixture
def start(database_url: str, redis_url: str, tokens: Tokens, tmp_path: Path) -> Start:
    return lambda: RiskProcess(database_url, redis_url, tokens, tmp_path)


async def set_up(risk: RiskProcess, cash: str = "100000") -> None:
    instrument = {"symbol": "STOCK", "currency": "USD", "asset_class": "EQUITY", "tick_size": "0.01"}
    mark = {"symbol": "STOCK", "price": "100", "ts_event": datetime.now(UTC).isoformat()}
    account = {"account_id": "main", "base_currency": "USD", "initial_cash": cash, "limits": LIMITS}
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


async def test_ten_thousand_requests_with_one_id_make_one_reservation(risk: RiskClient) -> None:
    path, body = "/accounts/main/orders", order("o1", "7")
    answers = await asyncio.gather(*(risk.call("POST", path, body) for _ in range(10_000)))
    decided = [answer.json() for answer in answers if answer.status_code == 200]
    # Beyond what may wait, callers are told to come back.
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert len(decided) > 100
    assert len({answer["seq"] for answer in decided}) == 1
    account = await risk.ok("GET", "/accounts/main")
    assert (account["open_orders"], account["positions"][0]["open_buy_quantity"]) == (1, "7")


async def test_two_hundred_orders_never_spend_the_same_headroom(start: Start) -> None:
    with start() as risk:
        risk.await_ready()
        await set_up(risk)
        async with risk.client() as one, risk.client() as two:
            answers = await asyncio.gather(
                *(
                    (one, two)[number % 2].post("/accounts/main/orders", json=order(f"o{number}", "10"))
                    for number in range(200)
                )
            )
            approved = [answer.json() for answer in answers if answer.json()["decision"] == "APPROVED"]
            assert len(approved) == 10
            account = (await one.get("/accounts/main")).json()
            assert account["positions"][0]["open_buy_quantity"] == "100"


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


async def test_no_approval_is_lost_when_the_service_is_killed_again_and_again(start: Start, database_url: str) -> None:
    """Every APPROVED that a caller saw is in the journal, and the state is the fold of the journal."""
    with start() as risk:
        risk.await_ready()
        await set_up(risk, "1000000000")
        load = Load("k")
        async with risk.client(timeout=2) as client:
            task = asyncio.create_task(load.run(lambda body: client.post("/accounts/main/orders", json=body)))
            for _ in range(KILLS):
                before = len(load.approved)
                async with asyncio.timeout(30):
                    # More than callers: at least one was answered by the process that was started last.
                    while len(load.approved) < before + 9:
                        await asyncio.sleep(0.005)
                        if task.done():
                            await task
                risk.kill()
                risk.start()
            load.stop.set()
            await asyncio.to_thread(risk.await_ready)
            await task
        rows = journal(database_url)
        assert follow(Tip(), rows)[1] is None
        in_journal = {
            json.loads(row.body)["order"]["client_order_id"]: row.seq for row in rows if row.kind == "ORDER_APPROVED"
        }
        assert len(load.approved) > KILLS
        assert load.approved.items() <= in_journal.items()
        assert len([row for row in rows if row.kind == "ENGINE_STARTED"]) == KILLS + 1
        assert await verified(risk)
        folded = FirmState()
        for row in rows:
            evolve(folded, event_of(row), row.seq)
        async with risk.client() as client:
            served = (await client.get("/accounts/main")).json()
        expected = account_status(folded, folded.accounts["main"]).model_dump(mode="json")
        assert served == expected


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


@pytest.mark.parametrize("how", ["killed", "paused"])
async def test_a_standby_takes_over_under_load_and_the_old_leader_cannot_write(
    start: Start, database_url: str, how: str
) -> None:
    with start() as first, start() as second:
        replicas = [first, second]
        leader = await asyncio.to_thread(leader_of, replicas)
        standby = second if leader is first else first
        await set_up(leader, "1000000000")
        load = Load("t")
        async with either(replicas) as send:
            task = asyncio.create_task(load.run(send))
            await asyncio.sleep(1.5)
            before = len(load.approved)
            assert before > 20
            went = time.monotonic()
            leader.kill() if how == "killed" else leader.pause()
            async with asyncio.timeout(10):
                while not await asyncio.to_thread(standby.ready):
                    await asyncio.sleep(0.01)
            took = time.monotonic() - went
            await asyncio.sleep(0.5)
            if how == "paused":
                leader.resume()
                await asyncio.sleep(1)
            load.stop.set()
            await task
        assert took < 2, took
        assert len(load.approved) > before
        rows = journal(database_url)
        # A row of a deposed epoch after one of its successor would show a leader that went on writing.
        assert [row.epoch for row in rows] == sorted(row.epoch for row in rows)
        assert {row.epoch for row in rows} == {1, 2}
        approved = [json.loads(row.body)["order"]["client_order_id"] for row in rows if row.kind == "ORDER_APPROVED"]
        assert len(approved) == len(set(approved))
        assert set(load.approved) <= set(approved)
        assert await verified(standby)


async def test_no_order_that_begins_after_a_kill_switch_is_approved_on_any_replica(
    start: Start,
) -> None:
    with start() as first, start() as second:
        replicas = [first, second]
        leader = await asyncio.to_thread(leader_of, replicas)
        await set_up(leader, "1000000000")
        began: dict[str, float] = {}
        approved_after: list[str] = []
        stopped_at = float("inf")
        async with either(replicas) as send:

            async def timed(body: dict[str, Any]) -> httpx.Response:
                began.setdefault(body["client_order_id"], time.monotonic())
                answer = await send(body)
                if (
                    answer.status_code == 200
                    and answer.json()["decision"] == "APPROVED"
                    and began[body["client_order_id"]] > stopped_at
                ):
                    approved_after.append(body["client_order_id"])
                return answer

            load = Load("s")
            task = asyncio.create_task(load.run(timed))
            await asyncio.sleep(1)
            async with leader.client(Role.ADMIN) as admin:
                answer = await admin.post("/emergency-stop", json={"reason": "fire drill"})
                stopped_at = time.monotonic()
                answer.raise_for_status()
            await asyncio.sleep(0.5)
            # It holds after the leader is gone.
            leader.kill()
            await asyncio.sleep(2)
            load.stop.set()
            await task
        assert len(load.approved) > 10
        assert [each for each in began.values() if each > stopped_at]
        assert approved_after == []
        standby = second if leader is first else first
        async with standby.client() as client:
            assert (await client.get("/accounts/main")).json()["risk_level"] == "BLACK"
