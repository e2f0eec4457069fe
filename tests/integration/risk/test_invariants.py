"""What must hold of the engine whatever happens to its processes."""

import asyncio
import json
import time

import pytest

from services.risk.core.chain import Tip, event_of, follow
from services.risk.core.evolve import evolve
from services.risk.core.state import FirmState
from services.risk.core.views import account_status
from tests.integration.risk.client import RiskClient, order
from tests.integration.risk.load import Load, either, journal, leader_of, set_up, verified
from tests.integration.risk.processes import Start

pytestmark = pytest.mark.integration
KILLS = 50


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
