"""Whoever pulls, lists and releases kill switches through the one port need know nothing of shards."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from starlette.applications import Starlette

from gateway.front import Front
from shared.roles import Role
from shared.shards import SHARD_HEADER, shard_of
from tests.conftest import _TEMPLATE
from tests.harness import Tokens, serving
from tests.integration.risk.processes import Start
from tests.integration.risk.sharded import ACCOUNTS, Sharded, several_shards, two_shards

pytestmark = pytest.mark.integration
RISK = "/api/v1/risk"
WHY = {"reason": "fire drill"}


@pytest.fixture
def firm(start: Start, postgres_url: str, tokens: Tokens) -> Iterator[Sharded]:
    with two_shards(start, postgres_url, _TEMPLATE, tokens, risk_peer_seconds=1) as sharded:
        yield sharded


@pytest.fixture
async def client(firm: Sharded, tokens: Tokens) -> AsyncIterator[httpx.AsyncClient]:
    """The one port, in the name of an admin."""
    await firm.set_up()
    urls = ",".join(process.url for process in firm.shards)
    async with (
        serving(Front({"risk": urls}, Starlette(), 10_000)) as url,
        httpx.AsyncClient(base_url=url + RISK, headers=tokens.auth(Role.ADMIN), trust_env=False, timeout=10) as http,
    ):
        yield http


async def pull(client: httpx.AsyncClient, **fields: str) -> str:
    answer = await client.post("/kill-switches", json={**WHY, **fields})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["kill_switch_id"])


async def test_the_switch_of_an_account_is_listed_acknowledged_and_released_as_it_was_pulled(
    client: httpx.AsyncClient, firm: Sharded, tokens: Tokens
) -> None:
    for shard in (0, 1):
        await _pull_and_release(client, firm, tokens, shard)
    # Two under one name: which is meant must be said.
    for account_id in ACCOUNTS:
        await pull(client, scope="ACCOUNT", target=account_id, kill_switch_id="twice")
    path = "/kill-switches/twice/release"
    refused = await client.post(path, json={"reason": "over"})
    assert (refused.status_code, "shards 0, 1" in refused.json()["detail"]) == (409, True)
    assert [set(await firm.switches(shard)) for shard in (0, 1)] == [{"twice"}, {"twice"}]
    named = await client.post(path, json={"reason": "over"}, headers={SHARD_HEADER: "1"})
    assert named.json()["shards"] == [1]
    assert [set(await firm.switches(shard)) for shard in (0, 1)] == [{"twice"}, set()]


async def _pull_and_release(client: httpx.AsyncClient, firm: Sharded, tokens: Tokens, shard: int) -> None:
    name = await pull(client, scope="ACCOUNT", target=ACCOUNTS[shard])
    assert set(await firm.switches(shard)) == {name}
    assert await firm.switches(1 - shard) == {}
    [listed] = (await client.get("/kill-switches", params={"active": True})).json()["items"]
    assert (listed["kill_switch_id"], listed["shard"]) == (name, shard)
    assert (await client.get(f"/kill-switches/{name}")).json() == listed
    cancels = {"execution_id": "ems", "cancelled_orders": 0}
    path = f"/kill-switches/{name}"
    answer = await client.post(f"{path}/acknowledgements", json=cancels, headers=tokens.auth(Role.TRADER))
    assert (answer.status_code, answer.json()["acknowledged_by"]) == (200, ["ems"])
    released = await client.post(f"{path}/release", json={"reason": "over"})
    assert (released.status_code, released.json()["shards"]) == (200, [shard])
    assert await firm.codes(ACCOUNTS[shard], "o1") == []
    # What it may not, it may not on any shard.
    assert (await client.post(f"{path}/release", json={"reason": "over"})).status_code == 409
    refused = await client.post(f"{path}/release", json={"reason": "over"}, headers=tokens.auth(Role.TRADER))
    assert refused.status_code == 403


async def test_the_list_is_that_of_all_shards_with_the_firms_own_once(client: httpx.AsyncClient, firm: Sharded) -> None:
    names = [
        await pull(client, scope="ACCOUNT", target=ACCOUNTS[1]),
        await pull(client, scope="FIRM"),
        await pull(client, scope="ACCOUNT", target=ACCOUNTS[0]),
        await pull(client, scope="STRATEGY", target="trend"),
        await pull(client, scope="ACCOUNT", target=ACCOUNTS[1]),
    ]
    for limit in (100, 2, 1):
        found, cursor = [], None
        for _ in range(20):
            page = await client.get("/kill-switches", params={"limit": limit} | ({"cursor": cursor} if cursor else {}))
            assert page.status_code == 200, page.text
            assert len(page.json()["items"]) <= limit
            found += [each["kill_switch_id"] for each in page.json()["items"]]
            cursor = page.json()["next_cursor"]
            if cursor is None:
                break
        assert found == names[::-1]
    assert (await client.get("/kill-switches", params={"active": False})).json()["items"] == []
    # Of one shard what it has itself.
    own = await client.get("/kill-switches", headers={SHARD_HEADER: "1"})
    assert [each["kill_switch_id"] for each in own.json()["items"]] == [names[4], names[3], names[1], names[0]]
    unknown = await client.post("/kill-switches/none/release", json={"reason": "over"})
    assert (unknown.status_code, unknown.json()["type"]) == (404, "urn:keelson:problem:not-found")
    assert (await client.get("/kill-switches", params={"cursor": "eyJzZXEiOjF9"})).status_code == 400
    for each in names:
        (await client.post(f"/kill-switches/{each}/release", json={"reason": "over"})).raise_for_status()
    await _count_cancels(client, firm)


async def _count_cancels(client: httpx.AsyncClient, firm: Sharded) -> None:
    for shard, number in ((0, 3), (1, 2)):
        for each in range(number):
            assert await firm.codes(ACCOUNTS[shard], f"o{each}") == []
    stopped = (await client.post("/emergency-stop", json=WHY)).json()
    assert (stopped["shards"], stopped["cancelled_orders"]) == ([0, 1], 5)
    name = stopped["kill_switch_id"]
    assert [(await firm.switches(shard))[name]["cancelled_orders"] for shard in (0, 1)] == [3, 2]
    released = await client.post(f"/kill-switches/{name}/release", json={"reason": "over"})
    assert released.json()["cancelled_orders"] == 5


async def test_what_a_shard_that_is_away_may_have_is_never_left_out_in_silence(
    client: httpx.AsyncClient, firm: Sharded, tokens: Tokens
) -> None:
    # A name as risk makes them up, which the other shard may have given too.
    own = {**WHY, "scope": "ACCOUNT", "target": ACCOUNTS[0], "kill_switch_id": "auto-drawdown-7"}
    peer = {**tokens.auth(Role.SERVICE), "X-Keelson-Forwarded-For": "engine"}
    (await client.post("/kill-switches", json=own, headers=peer)).raise_for_status()
    path, over = "/kill-switches/auto-drawdown-7/release", {"reason": "over"}
    here = await pull(client, scope="ACCOUNT", target=ACCOUNTS[0])
    there = await pull(client, scope="ACCOUNT", target=ACCOUNTS[1])
    firm.shards[1].kill()
    listed = await client.get("/kill-switches")
    assert (listed.status_code, listed.json()["type"]) == (504, "urn:keelson:problem:shards-unanswered")
    assert [each["shard"] for each in listed.json()["unanswered_shards"]] == [1]
    # Who looks in an emergency sees what there is.
    assert [each["kill_switch_id"] for each in listed.json()["items"]] == [here, "auto-drawdown-7"]
    assert (await client.get("/kill-switches", headers={SHARD_HEADER: "0"})).status_code == 200
    for answer in (
        await client.get(f"/kill-switches/{there}"),
        await client.post(f"/kill-switches/{there}/release", json={"reason": "over"}),
    ):
        assert (answer.status_code, answer.json()["type"]) == (504, "urn:keelson:problem:shards-unanswered")
        assert [each["shard"] for each in answer.json()["unanswered_shards"]] == [1]
    assert (await client.post(path, json=over)).status_code == 504
    assert (await client.post(path, json=over, headers={SHARD_HEADER: "0"})).json()["shards"] == [0]
    # What is here does not wait for it.
    released = await client.post(f"/kill-switches/{here}/release", json={"reason": "over"})
    assert (released.status_code, released.json()["shards"]) == (200, [0])


async def test_of_three_shards_the_one_that_is_asked_may_be_the_one_that_knows_nothing(
    start: Start, postgres_url: str, tokens: Tokens
) -> None:
    accounts = {shard_of(f"acc-{number}", 3): f"acc-{number}" for number in range(20)}
    over = {"reason": "over"}
    with several_shards(3, start, postgres_url, _TEMPLATE, tokens, risk_peer_seconds=1) as firm:
        for shard in (1, 2):
            async with firm.shards[shard].client(Role.ADMIN) as admin:
                account = {"account_id": accounts[shard], "base_currency": "USD", "initial_cash": "1"}
                (await admin.post("/accounts", json=account)).raise_for_status()
                await pull(admin, scope="ACCOUNT", target=accounts[shard], kill_switch_id="twice")
        async with firm.shards[0].client(Role.ADMIN) as admin:
            refused = await admin.post("/kill-switches/twice/release", json=over)
            assert (refused.status_code, "shards 1, 2" in refused.json()["detail"]) == (409, True)
        # A stop of the firm that was over before the first shard could be told of it.
        firm.shards[0].kill()
        async with firm.shards[1].client(Role.ADMIN) as admin:
            body = {**WHY, "kill_switch_id": "ks-firm"}
            assert (await admin.post("/emergency-stop", json=body)).status_code == 504
            assert (await admin.post("/kill-switches/ks-firm/release", json=over)).status_code == 504
        firm.shards[0].start()
        await asyncio.to_thread(firm.shards[0].await_ready)
        async with firm.shards[0].client(Role.ADMIN) as admin:
            listed = (await admin.get("/kill-switches")).json()["items"]
            assert sorted(each["kill_switch_id"] for each in listed) == ["ks-firm", "twice", "twice"]
            asked = await admin.post("/kill-switches/ks-firm/release", json=over)
            assert (asked.status_code, asked.json()["shard"]) == (421, 1)
