"""The front sends what concerns an account to its shard of risk, as nginx does."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from gateway.front import Front
from shared.shards import shard_of
from tests.harness import serving

pytestmark = pytest.mark.integration
RISK = "/api/v1/risk"
NOBODY = "http://127.0.0.1:1"


class Shard:
    def __init__(self, number: int) -> None:
        self.number = number

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        body = (await request.body()).decode()
        status, headers = 200, {}
        if (request.method, request.url.path) == ("POST", f"{RISK}/accounts") and body != str(self.number):
            status, headers = 421, {"X-Keelson-Shard-Right": body}
        await JSONResponse({"shard": self.number, "body": body}, status, headers)(scope, receive, send)


@pytest.fixture
async def shards() -> AsyncIterator[list[str]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(serving(Shard(number))) for number in range(3)]


@asynccontextmanager
async def client(urls: list[str]) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serving(Front({"risk": ",".join(urls)}, Starlette(), 10_000)) as url,
        httpx.AsyncClient(base_url=url + RISK, trust_env=False) as http,
    ):
        yield http


async def test_an_account_goes_to_its_shard(shards: list[str]) -> None:
    async with client(shards) as front:
        seen = set()
        for number in range(30):
            for path in ("", "/orders"):
                answer = await front.post(f"/accounts/acc-{number}{path}", content=b"{}")
                assert answer.json()["shard"] == shard_of(f"acc-{number}", 3)
            seen.add(answer.json()["shard"])
        assert seen == {0, 1, 2}
        assert (await front.get("/accounts/a%3Ab%2Dc")).json()["shard"] == shard_of("a:b-c", 3)


async def test_the_rest_goes_to_the_one_that_is_meant_or_the_first(shards: list[str]) -> None:
    async with client(shards) as front:
        assert (await front.get("/kill-switches")).json()["shard"] == 0
        for number in range(3):
            answer = await front.get("/kill-switches", headers={"X-Keelson-Shard": str(number)})
            assert answer.json()["shard"] == number


async def test_an_account_that_only_the_body_names_finds_its_shard(shards: list[str]) -> None:
    async with client(shards) as front:
        for number in range(3):
            answer = await front.post("/accounts", content=str(number))
            assert (answer.status_code, answer.json()) == (200, {"shard": number, "body": str(number)})
        # One that there is not is passed on as it was said.
        assert (await front.post("/accounts", content="7")).status_code == 421


async def test_a_stop_is_asked_of_another_shard_where_the_first_is_gone_and_an_account_is_not(
    shards: list[str],
) -> None:
    async with client([NOBODY, *shards[1:]]) as front:
        assert (await front.post("/emergency-stop", json={"reason": "drill"})).json()["shard"] == 1
        assert (await front.get("/kill-switches", headers={"X-Keelson-Shard": "0"})).status_code == 503
        gone = next(f"acc-{number}" for number in range(30) if shard_of(f"acc-{number}", 3) == 0)
        assert (await front.post(f"/accounts/{gone}/orders", content=b"{}")).status_code == 503
    async with client([NOBODY, NOBODY, NOBODY]) as front:
        assert (await front.post("/emergency-stop", json={"reason": "drill"})).status_code == 503
