"""A shard answers for its own accounts, follows its own journal, and for nothing else."""

from collections.abc import Callable

import httpx
import psycopg
import pytest
from redis.asyncio import Redis

from shared.roles import Role
from shared.shards import SHARD_HEADER, shard_of
from tests.harness import plain
from tests.integration.risk.client import BASE, RiskClient, order, until
from tests.integration.risk.conftest import Running

pytestmark = pytest.mark.integration

# Of two shards; nobody listens at the other one's address.
SECOND = {"risk_shards": 2, "risk_shard": 1, "risk_peers": "http://127.0.0.1:1,http://127.0.0.1:1"}
FIRST = {**SECOND, "risk_shard": 0}
MINE, THEIRS = "acc-0", "acc-1"


def test_the_accounts_are_of_different_shards() -> None:
    assert (shard_of(MINE, 2), shard_of(THEIRS, 2)) == (1, 0)


async def test_every_route_of_an_account_of_another_shard_is_refused(run_risk: Running) -> None:
    async with run_risk(**SECOND) as risk:
        document = risk.app.openapi()["paths"]
        routes = [
            (method.upper(), path.removeprefix(BASE))
            for path, methods in document.items()
            for method in methods
            if "{account_id}" in path
        ]
        assert len(routes) > 25
        for method, path in routes:
            answer = await risk.call(method, _filled(path), {}, Role.ADMIN)
            assert answer.status_code == 421, (method, path, answer.text)
            assert (answer.json()["shard"], answer.json()["shards"]) == (0, 2)
            assert answer.headers["X-Keelson-Shard-Right"] == "0"
            assert "421" in document[BASE + path][method.lower()]["responses"]


async def test_an_order_of_another_shard_is_refused_on_the_direct_way_too(run_risk: Running) -> None:
    async with run_risk(**SECOND) as risk:
        await risk.call("GET", "/accounts", role=Role.SERVICE)  # from now on the caller is known
        for path, body in (
            ("/orders", order("o1")),
            ("/orders/check", order("o1")),
            ("/orders/batch", {"orders": [order("o1")]}),
        ):
            answer = await risk.call("POST", f"/accounts/{THEIRS}{path}", body)
            assert (answer.status_code, answer.json()["shard"]) == (421, 0), path


async def test_an_account_is_opened_by_its_own_shard(run_risk: Running) -> None:
    async with run_risk(**SECOND) as risk:
        body = {"base_currency": "USD", "initial_cash": "1000"}
        refused = await risk.call("POST", "/accounts", {"account_id": THEIRS, **body}, Role.ADMIN)
        assert (refused.status_code, refused.json()["type"]) == (421, "urn:keelson:problem:misdirected")
        opened = await risk.call("POST", "/accounts", {"account_id": MINE, **body}, Role.ADMIN)
        assert opened.status_code == 201
        listed = await risk.call("GET", "/accounts")
        assert [each["account_id"] for each in listed.json()["items"]] == [MINE]
        assert listed.headers[SHARD_HEADER] == "1"


async def test_every_answer_says_which_shard_gave_it(run_risk: Running) -> None:
    async with run_risk(**SECOND) as risk:
        await risk.ok("POST", "/accounts", {"account_id": MINE, "base_currency": "USD", "initial_cash": "1000"})
        mine = f"/accounts/{MINE}"
        asked = [
            # Answered directly, the first ones.
            ("POST", f"{mine}/orders", order("o1"), 200),
            ("POST", f"{mine}/orders/check", order("o2"), 200),
            ("POST", f"{mine}/orders/batch", {"orders": [order("o3")]}, 200),
            ("POST", f"{mine}/orders", order("o1", quantity="2"), 409),
            ("POST", f"/accounts/{THEIRS}/orders", order("o1"), 421),
            ("POST", f"{mine}/orders", {}, 422),
            ("POST", f"{mine}/orders?&", order("o1"), 200),
            ("GET", f"/accounts/{THEIRS}", None, 421),
            ("GET", f"{mine}/orders/none", None, 404),
            ("GET", "/none", None, 404),
        ]
        for method, path, body, status in asked:
            answer = await risk.call(method, path, body)
            assert (answer.status_code, answer.headers.get_list(SHARD_HEADER)) == (status, ["1"]), (method, path)
        refused = await risk.http.get(BASE + mine, headers={"Authorization": "Bearer x"})
        assert (refused.status_code, refused.headers.get_list(SHARD_HEADER)) == (401, ["1"])


async def test_what_is_meant_for_another_shard_is_refused(
    run_risk: Running, auth: Callable[[Role], dict[str, str]]
) -> None:
    async with run_risk(**SECOND) as risk:

        async def ask(meant: str, path: str = "/kill-switches") -> httpx.Response:
            return await risk.http.get(BASE + path, headers={**auth(Role.VIEWER), SHARD_HEADER: meant})

        assert (await ask("1")).status_code == 200
        assert ((await ask("0")).status_code, (await ask("0")).json()["shard"]) == (421, 0)
        for unknown in ("2", "-1", "x", "9" * 5000):
            assert (await ask(unknown)).status_code == 400
        assert (await ask("1", f"/stream?account_id={THEIRS}")).status_code == 421


@pytest.mark.parametrize("others", [{}, {**FIRST, "risk_shards": 3, "risk_peers": "http://a,http://b,http://c"}])
async def test_a_journal_is_not_led_under_another_number_of_shards(
    run_risk: Running, others: dict[str, object]
) -> None:
    async with run_risk(**FIRST) as risk:
        await risk.ok("POST", "/accounts", {"account_id": THEIRS, "base_currency": "USD", "initial_cash": "1"})
    async with run_risk(ready=False, **others) as risk:
        await _says(risk, "and the journal")
        assert (await risk.call("POST", f"/accounts/{THEIRS}/orders", order("o1"))).status_code in {421, 503}
    async with run_risk(**FIRST) as risk:
        await risk.ok("GET", f"/accounts/{THEIRS}")


async def test_an_account_of_another_shard_in_the_journal_stops_it(run_risk: Running, database_url: str) -> None:
    async with run_risk() as risk:
        await risk.ok("POST", "/accounts", {"account_id": THEIRS, "base_currency": "USD", "initial_cash": "1"})
    with psycopg.connect(plain(database_url)) as connection:
        # A journal of before shards were noted.
        connection.execute("UPDATE risk.leader SET shard = NULL, shards = NULL")
        epoch = connection.execute("SELECT epoch FROM risk.leader").fetchone()
    async with run_risk(ready=False, **SECOND) as risk:
        await _says(risk, f"this is shard 1 of 2, and the journal holds account {THEIRS} of shard 0")
    with psycopg.connect(plain(database_url)) as connection:
        # It did not even ask for the lead.
        assert connection.execute("SELECT epoch FROM risk.leader").fetchone() == epoch


async def test_each_shard_takes_every_mark(run_risk: Running, redis_url: str) -> None:
    async with run_risk(**SECOND), Redis.from_url(redis_url, decode_responses=True) as redis:

        async def grouped() -> bool:
            return await redis.exists("keelson:marks") == 1 and [
                group["name"] for group in await redis.xinfo_groups("keelson:marks")
            ] == ["risk-1"]

        await until(grouped)


async def _says(risk: RiskClient, text: str) -> None:
    async def said() -> bool:
        return text in (await risk.engine_state() or "")

    await until(said)


def _filled(path: str) -> str:
    for name, value in (("account_id", THEIRS), ("client_order_id", "o1"), ("name", "var")):
        path = path.replace("{" + name + "}", value)
    return path
