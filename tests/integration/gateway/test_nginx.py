"""nginx sends what concerns an account to the account's shard, to whichever replica of it leads."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from urllib.parse import quote

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from cli.paths import ROOT
from gateway.nginx.risk import LOCATION, render
from shared.roles import Role
from shared.shards import shard_of
from tests.conftest import _TEMPLATE
from tests.harness import Tokens, serving
from tests.integration.gateway.nginx import executable, running_nginx
from tests.integration.risk.processes import Start
from tests.integration.risk.sharded import ACCOUNTS, two_shards

pytestmark = pytest.mark.integration
RISK = "/api/v1/risk"


class Replica:
    """Says which replica of which shard it is, or what it is told to say."""

    def __init__(self, shard: int, status: int = 200) -> None:
        self.shard = shard
        self.status = status
        self.asked = 0
        self.streams = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self.asked += 1
        if scope["query_string"] == b"endless":
            await self._stream(receive, send)
            return
        request = Request(scope, receive)
        body = (await request.body()).decode()
        content = {"shard": self.shard, "path": scope["raw_path"].decode(), "body": body}
        status, headers = self.status, {}
        if (request.method, request.url.path) == ("POST", f"{RISK}/accounts") and body != str(self.shard):
            status, headers = 421, {"X-Keelson-Shard-Right": body}
        await JSONResponse(content, status, headers)(scope, receive, send)

    async def _stream(self, receive: Receive, send: Send) -> None:
        await receive()
        self.streams += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b": listening", "more_body": True})
        # Silent until its caller has left.
        await receive()
        self.streams -= 1


@asynccontextmanager
async def shards_of(*statuses: tuple[int, ...]) -> AsyncIterator[tuple[httpx.AsyncClient, list[list[Replica]]]]:
    """Run replicas that answer with these statuses, shard by shard, and nginx before them."""
    executable()
    async with AsyncExitStack() as stack:
        replicas = [[Replica(shard, status) for status in each] for shard, each in enumerate(statuses)]
        addresses = [
            [(await stack.enter_async_context(serving(replica))).removeprefix("http://") for replica in each]
            for each in replicas
        ]
        url = stack.enter_context(_beside(addresses))
        yield await stack.enter_async_context(httpx.AsyncClient(base_url=url + RISK, trust_env=False)), replicas


@contextmanager
def _beside(addresses: list[list[str]]) -> Iterator[str]:
    with running_nginx(addresses) as url:
        yield url


async def test_an_account_goes_where_shard_of_says() -> None:
    async with shards_of((200,), (200,), (200,)) as (client, _):
        seen = set()
        for account_id in [f"acc-{number}" for number in range(60)] + ["a.b:c-d", "A" * 64, "0"]:
            for path in ("", "/orders", "/orders/o1/cancel?x=1"):
                answer = await client.request("POST" if path else "GET", f"/accounts/{account_id}{path}", content=b"{}")
                assert answer.json()["shard"] == shard_of(account_id, 3), account_id
                assert answer.json()["path"] == f"{RISK}/accounts/{account_id}{path.partition('?')[0]}"
            seen.add(answer.json()["shard"])
        # Written otherwise it is the same account.
        answer = await client.get(f"/accounts/{quote('a.b:c-d', safe='').replace('-', '%2D')}")
        assert answer.json()["shard"] == shard_of("a.b:c-d", 3)
        assert seen == {0, 1, 2}


async def test_a_standby_is_passed_over_and_another_shard_is_never_asked() -> None:
    async with shards_of((503, 200), (503, 503)) as (client, replicas):
        for number in range(20):
            account_id = f"acc-{number}"
            answer = await client.post(f"/accounts/{account_id}/orders", json={"client_order_id": "o1"})
            assert answer.json()["shard"] == shard_of(account_id, 2)
            assert answer.status_code == (200 if answer.json()["shard"] == 0 else 503)
        # The shard that nobody leads has not lost its accounts to the other, nor its place once it is back.
        replicas[1][1].status = 200
        assert (await client.post(f"/accounts/{ACCOUNTS[1]}/orders", content=b"{}")).json()["shard"] == 1


async def test_what_concerns_no_account_goes_to_the_shard_that_is_meant_or_to_any() -> None:
    async with shards_of((200,), (200,)) as (client, replicas):
        for path in ("/kill-switches", "/accounts?limit=1", "/stream"):
            assert (await client.get(path)).json()["shard"] == 0
            assert (await client.get(path, headers={"X-Keelson-Shard": "1"})).json()["shard"] == 1
        # Of an account the path decides.
        answer = await client.get(f"/accounts/{ACCOUNTS[0]}", headers={"X-Keelson-Shard": "1"})
        assert answer.json()["shard"] == 0
        # A stop finds whoever is there.
        replicas[0][0].status = 503
        assert (await client.post("/emergency-stop", json={"reason": "drill"})).json()["shard"] == 1
        # One that a shard has not confirmed is told to the caller, and asked of nobody else.
        replicas[0][0].status = 504
        before = replicas[1][0].asked
        assert (await client.post("/emergency-stop", json={"reason": "drill"})).status_code == 504
        assert replicas[1][0].asked == before


async def test_an_account_that_only_the_body_names_finds_its_shard() -> None:
    async with shards_of((200,), (200,)) as (client, _):
        for shard in (0, 1):
            answer = await client.post("/accounts", content=str(shard).encode())
            assert (answer.status_code, answer.json()["shard"], answer.json()["body"]) == (200, shard, str(shard))


async def test_streams_and_half_sent_requests_hold_up_nothing_behind_nginx() -> None:
    executable()
    replica = Replica(0)
    half = b"POST /api/v1/risk/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{"
    stream = b"GET /api/v1/risk/stream?endless HTTP/1.1\r\nHost: x\r\n\r\n"
    async with serving(replica) as upstream, AsyncExitStack() as stack:
        url = stack.enter_context(running_nginx([[upstream.removeprefix("http://")]], body_timeout="1s"))

        async def crowd(number: int, request: bytes) -> list[asyncio.StreamReader]:
            readers = []
            for _ in range(number):
                reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
                stack.callback(writer.close)
                writer.write(request)
                readers.append(reader)
            return readers

        for reader in await crowd(100, stream):
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        slow = await crowd(205, half)
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=url + RISK, trust_env=False, timeout=2))
        assert (await client.post("/emergency-stop", json={"reason": "drill"})).status_code == 200
        refused = await client.get("/stream?endless")
        assert (refused.status_code, refused.headers["content-type"]) == (503, "application/problem+json")
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["x-correlation-id"] == refused.json()["correlation_id"]
        assert (replica.streams, replica.asked) == (100, 101)
        async with asyncio.timeout(10):
            for reader in slow:
                assert (await reader.read())[:12] in {b"", b"HTTP/1.1 408"}
        # Nobody was asked to wait for them.
        assert replica.asked == 101
        await stack.aclose()
        async with asyncio.timeout(10):
            while replica.streams:
                await asyncio.sleep(0.02)


def test_the_committed_example_is_what_the_command_writes() -> None:
    example = [["risk-0a:8000", "risk-0b:8000"], ["risk-1a:8000", "risk-1b:8000"]]
    assert (ROOT / "gateway/nginx/risk.conf").read_text() == render(example)
    assert (ROOT / "gateway/nginx/risk-location.conf").read_text() == LOCATION


async def test_two_shards_of_risk_behind_nginx(start: Start, postgres_url: str, tokens: Tokens) -> None:
    executable()
    with two_shards(start, postgres_url, _TEMPLATE, tokens) as firm:
        addresses = [[process.url.removeprefix("http://")] for process in firm.shards]
        with running_nginx(addresses) as url:
            async with httpx.AsyncClient(
                base_url=url + RISK, headers=tokens.auth(Role.SERVICE), trust_env=False
            ) as client:
                await firm.set_up()
                for number in range(8):
                    account = {"account_id": f"via-{number}", "base_currency": "USD", "initial_cash": "100000"}
                    opened = await client.post("/accounts", json=account)
                    assert opened.status_code == 201, opened.text
                    assert opened.headers["X-Keelson-Shard"] == str(shard_of(f"via-{number}", 2))
                    order = {"client_order_id": "o", "strategy_id": "trend", "symbol": "STOCK", "side": "BUY"}
                    answer = await client.post(f"/accounts/via-{number}/orders", json={**order, "quantity": "1"})
                    assert answer.json()["decision"] == "APPROVED", answer.text
                admin = tokens.auth(Role.ADMIN)
                stop = {"scope": "ACCOUNT", "target": ACCOUNTS[1], "reason": "drill"}
                pulled = await client.post("/kill-switches", json=stop, headers=admin)
                assert pulled.json()["shards"] == [1]
                name = pulled.json()["kill_switch_id"]
                listed = await client.get("/kill-switches", params={"active": True}, headers=admin)
                assert [(each["kill_switch_id"], each["shard"]) for each in listed.json()["items"]] == [(name, 1)]
                cancels = {"execution_id": "ems", "cancelled_orders": 0}
                acknowledged = await client.post(f"/kill-switches/{name}/acknowledgements", json=cancels)
                assert acknowledged.json()["acknowledged_by"] == ["ems"], acknowledged.text
                path, over = f"/kill-switches/{name}/release", {"reason": "over"}
                released = await client.post(path, json=over, headers=admin)
                assert (released.status_code, released.json()["shards"]) == (200, [1]), released.text
                # The first shard is gone: the second one stops itself, and says who has not.
                await asyncio.to_thread(firm.shards[0].kill)
                firm.shards[0].close()
                stopped = await client.post("/emergency-stop", json={"reason": "drill"}, headers=admin)
                assert stopped.status_code == 504
                assert stopped.json()["confirmed_shards"] == [1]
