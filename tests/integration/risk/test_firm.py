"""What concerns the whole firm holds on every shard, or the caller is told on which it does not."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from shared.api_keys import create_key
from shared.roles import Role
from tests.conftest import _TEMPLATE
from tests.harness import Tokens
from tests.integration.risk.client import until
from tests.integration.risk.processes import RiskProcess, Start
from tests.integration.risk.sharded import ACCOUNTS, Sharded, metric, two_shards

pytestmark = pytest.mark.integration
STOP = {"reason": "fire drill"}


@pytest.fixture
def firm(start: Start, postgres_url: str, tokens: Tokens) -> Iterator[Sharded]:
    with two_shards(start, postgres_url, _TEMPLATE, tokens, risk_peer_seconds=1) as sharded:
        yield sharded


async def test_each_account_trades_on_its_own_shard_alone(firm: Sharded) -> None:
    await firm.set_up()
    for shard, account_id in enumerate(ACCOUNTS):
        assert await firm.codes(account_id, "o1") == []
        async with firm.shards[1 - shard].client() as client:
            answer = await client.get(f"/accounts/{account_id}")
            assert (answer.status_code, answer.json()["shard"]) == (421, shard)
        async with firm.shards[shard].client() as client:
            listed = (await client.get("/accounts")).json()["items"]
            assert [each["account_id"] for each in listed] == [account_id]
            assert (await client.get("/instruments")).json()["items"][0]["symbol"] == "STOCK"
            assert (await client.get("/marks")).json()["items"][0]["price"] == "100"


@pytest.mark.parametrize("asked", [0, 1])
async def test_a_stop_asked_of_either_shard_stops_the_next_order_on_both(firm: Sharded, asked: int) -> None:
    await firm.set_up()
    stopped_at = float("inf")
    late: list[tuple[str, Any]] = []
    sent = 0

    async def trade(account_id: str, done: asyncio.Event) -> None:
        nonlocal sent
        async with firm.of(account_id).client() as client:
            for number in range(10_000):
                if done.is_set():
                    return
                began = time.monotonic()
                body = {"client_order_id": f"o{number}", "strategy_id": "trend", "symbol": "STOCK", "side": "BUY"}
                answer = await client.post(f"/accounts/{account_id}/orders", json={**body, "quantity": "1"})
                sent += 1
                if began > stopped_at and answer.json()["decision"] == "APPROVED":
                    late.append((account_id, answer.json()))

    done = asyncio.Event()
    trading = [asyncio.create_task(trade(account_id, done)) for account_id in ACCOUNTS for _ in range(3)]
    await asyncio.sleep(0.5)
    async with firm.shards[asked].client(Role.ADMIN) as admin:
        answer = await admin.post("/emergency-stop", json=STOP)
        stopped_at = time.monotonic()
    before = sent
    await asyncio.sleep(0.5)
    done.set()
    await asyncio.gather(*trading)
    assert (answer.status_code, answer.json()["shards"]) == (201, [0, 1]), answer.text
    assert before > 10
    assert sent > before + 10
    assert late == []
    both = [await firm.switches(shard) for shard in (0, 1)]
    assert set(both[0]) == set(both[1]) == {answer.json()["kill_switch_id"]}
    assert both[1 - asked][answer.json()["kill_switch_id"]]["activated_by"] == "test-admin"


async def test_switches_of_strategies_and_symbols_are_the_firms_and_that_of_an_account_is_not(firm: Sharded) -> None:
    await firm.set_up()
    async with firm.shards[0].client(Role.ADMIN) as admin:
        for scope, target in (("STRATEGY", "trend"), ("SYMBOL", "STOCK")):
            pulled = await admin.post("/kill-switches", json={"scope": scope, "target": target, **STOP})
            assert pulled.json()["shards"] == [0, 1]
            for account_id in ACCOUNTS:
                assert await firm.codes(account_id, f"{scope}-1") == ["KILL_SWITCH_ACTIVE"]
            path = f"/kill-switches/{pulled.json()['kill_switch_id']}/release"
            released = await admin.post(path, json={"reason": "over"})
            assert released.json()["shards"] == [0, 1]
            for account_id in ACCOUNTS:
                assert await firm.codes(account_id, f"{scope}-2") == []
        other = await admin.post("/kill-switches", json={"scope": "ACCOUNT", "target": ACCOUNTS[1], **STOP})
        assert (other.status_code, other.json()["shard"]) == (421, 1)
        own = await admin.post("/kill-switches", json={"scope": "ACCOUNT", "target": ACCOUNTS[0], **STOP})
        assert own.json()["shards"] == [0]
    assert await firm.codes(ACCOUNTS[0], "o9") == ["KILL_SWITCH_ACTIVE"]
    assert await firm.codes(ACCOUNTS[1], "o9") == []


async def test_a_shard_that_comes_back_approves_nothing_that_was_stopped_meanwhile(firm: Sharded) -> None:
    await firm.set_up()
    for number in range(3):
        firm.shards[1].kill()
        async with firm.shards[0].client(Role.ADMIN) as admin:
            body = {**STOP, "kill_switch_id": f"ks-{number}"}
            assert (await admin.post("/emergency-stop", json=body)).status_code == 504
            firm.shards[1].start()
            seen = []
            async with firm.shards[1].client() as client, asyncio.timeout(30):
                while len(seen) < 20:
                    order = {"client_order_id": f"o{number}-{len(seen)}", "strategy_id": "trend", "symbol": "STOCK"}
                    with suppress(httpx.TransportError):
                        answer = await client.post(
                            f"/accounts/{ACCOUNTS[1]}/orders", json={**order, "side": "BUY", "quantity": "1"}
                        )
                        if answer.status_code == 200:
                            seen.append(answer.json()["decision"])
                    await asyncio.sleep(0.005)
            assert set(seen) == {"DENIED"}
            assert (await admin.post(f"/kill-switches/ks-{number}/release", json={"reason": "over"})).status_code == 200


async def test_a_shard_that_is_down_is_named_and_told_once_it_is_back(firm: Sharded, tokens: Tokens) -> None:
    await firm.set_up()
    firm.shards[1].kill()
    async with firm.shards[0].client(Role.ADMIN) as admin:
        began = time.monotonic()
        body = {**STOP, "kill_switch_id": "ks-drill"}
        answer = await admin.post("/emergency-stop", json=body)
        assert time.monotonic() - began < 2
        assert answer.status_code == 504, answer.text
        problem = answer.json()
        assert problem["type"] == "urn:keelson:problem:shards-unconfirmed"
        assert problem["confirmed_shards"] == [0]
        assert [each["shard"] for each in problem["unconfirmed_shards"]] == [1]
        assert problem["kill_switch_id"] == "ks-drill"
        # Its own stop waits for nobody.
        assert await firm.codes(ACCOUNTS[0], "o1") == ["KILL_SWITCH_ACTIVE"]

        async def alerts() -> bool:
            return await metric(firm.shards[0], 'risk_shard_unconfirmed{peer="1"}', tokens) == 1

        await until(alerts)
        # Sent again it is the same switch.
        assert (await admin.post("/emergency-stop", json=body)).status_code == 504
        assert set(await firm.switches(0)) == {"ks-drill"}
        # What is owed follows from the journal: the one that was told may start anew meanwhile.
        firm.shards[0].kill()
        firm.shards[0].start()
        await asyncio.to_thread(firm.shards[0].await_ready)
        firm.shards[1].start()
        await asyncio.to_thread(firm.shards[1].await_ready)

        async def caught_up() -> bool:
            return set(await firm.switches(1)) == {"ks-drill"}

        await until(caught_up)
        assert await firm.codes(ACCOUNTS[1], "o1") == ["KILL_SWITCH_ACTIVE"]

        async def quiet() -> bool:
            return await metric(firm.shards[0], 'risk_shard_unconfirmed{peer="1"}', tokens) == 0

        await until(quiet)
        assert (await admin.post("/emergency-stop", json=body)).json()["shards"] == [0, 1]
        # A release that did not get through follows too.
        firm.shards[1].kill()
        released = await admin.post("/kill-switches/ks-drill/release", json={"reason": "over"})
        assert released.status_code == 504
        firm.shards[1].start()
        await asyncio.to_thread(firm.shards[1].await_ready)

        async def free() -> bool:
            return await firm.switches(1) == {}

        await until(free)
        assert await firm.codes(ACCOUNTS[1], "o2") == []
        # A name that was used up stops nothing, and says so.
        assert (await admin.post("/emergency-stop", json=body)).status_code == 409


async def test_four_eyes_look_at_all_shards_at_once(start: Start, postgres_url: str, tokens: Tokens) -> None:
    second = create_key(tokens.file, "another-admin", Role.ADMIN)
    with two_shards(start, postgres_url, _TEMPLATE, tokens, four_eyes=True, risk_peer_seconds=1) as firm:
        async with firm.shards[0].client(Role.ADMIN) as admin, firm.shards[1].client(Role.ADMIN) as other:
            name = (await admin.post("/emergency-stop", json=STOP)).json()["kill_switch_id"]
            path, body = f"/kill-switches/{name}/release", {"reason": "over"}
            assert (await admin.post(path, json=body)).json()["release_requested_by"] == "test-admin"
            assert (await firm.switches(1))[name]["release_requested_by"] == "test-admin"
            # The one who asked cannot confirm, at whichever shard.
            assert (await other.post(path, json=body)).status_code == 409
            headers = {"Authorization": f"Bearer {second}"}
            assert (await other.post(path, json=body, headers=headers)).json()["shards"] == [0, 1]
            assert [await firm.switches(shard) for shard in (0, 1)] == [{}, {}]
            assert (await firm.switches(0, False))[name]["released_by"] == "another-admin"


async def test_only_the_shards_speak_for_others(firm: Sharded, tokens: Tokens) -> None:
    stranger = create_key(tokens.file, "stranger", Role.SERVICE)
    stop = {"scope": "FIRM", **STOP}

    async def ask(token: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}", "X-Keelson-Forwarded-For": "somebody"}
        async with firm.shards[0].client() as client:
            return await client.post("/kill-switches", json=stop, headers=headers)

    for token in (stranger, tokens.by_role[Role.ADMIN], tokens.by_role[Role.TRADER]):
        assert (await ask(token)).status_code == 403
    passed_on = await ask(tokens.by_role[Role.SERVICE])
    # It is carried out there, and not passed on again.
    assert passed_on.json()["shards"] == [0]
    assert passed_on.json()["activated_by"] == "somebody"
    async with firm.shards[0].client(Role.ADMIN) as admin:
        reserved = await admin.post("/kill-switches", json={**stop, "kill_switch_id": "auto-system-error-1"})
        assert reserved.status_code == 422


async def test_cancels_are_acknowledged_for_every_shard(firm: Sharded) -> None:
    async with firm.shards[1].client(Role.ADMIN) as admin, firm.shards[0].client(Role.TRADER) as execution:
        name = (await admin.post("/emergency-stop", json=STOP)).json()["kill_switch_id"]
        path = f"/kill-switches/{name}/acknowledgements"
        (await execution.post(path, json={"execution_id": "ems", "cancelled_orders": 0})).raise_for_status()
    assert [(await firm.switches(shard))[name]["acknowledged_by"] for shard in (0, 1)] == [["ems"], ["ems"]]


async def test_a_heartbeat_is_heard_by_every_shard(firm: Sharded) -> None:
    await firm.set_up()
    async with firm.shards[0].client() as strategy:
        path = "/strategies/trend/heartbeat"
        (await strategy.post(path, json={"timeout_seconds": 2})).raise_for_status()
        for _ in range(8):
            await asyncio.sleep(0.5)
            (await strategy.post(path, json={})).raise_for_status()
        assert [await firm.codes(each, "o1") for each in ACCOUNTS] == [[], []]

        async def silent() -> bool:
            return [await firm.codes(each, f"o{time.monotonic()}") for each in ACCOUNTS] == [["KILL_SWITCH_ACTIVE"]] * 2

        await until(silent)


async def test_a_standby_of_a_shard_is_passed_over(
    start: Start, postgres_url: str, tokens: Tokens, database_url: str
) -> None:
    """A peer may be named by its replicas: whichever leads is found."""
    del database_url
    with two_shards(start, postgres_url, _TEMPLATE, tokens) as firm:
        standby: RiskProcess = start(
            database_url=firm.urls[1],
            risk_shards=2,
            risk_shard=1,
            risk_peers=f"{firm.shards[0].url},{firm.shards[1].url}",
            service_token=tokens.by_role[Role.SERVICE],
        )
        with standby:
            firm.shards[0].kill()
            firm.shards[0].set(risk_peers=f"{firm.shards[0].url},{standby.url}|{firm.shards[1].url}")
            firm.shards[0].start()
            await asyncio.to_thread(firm.shards[0].await_ready)
            async with firm.shards[0].client(Role.ADMIN) as admin:
                assert (await admin.post("/emergency-stop", json=STOP)).json()["shards"] == [0, 1]
                # The leader of the other shard dies: its standby is told of the next one.
                firm.shards[1].kill()
                await asyncio.to_thread(standby.await_ready)
                assert (await admin.post("/emergency-stop", json=STOP)).json()["shards"] == [0, 1]
