"""The Python clients against the running service."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.risk.main import create
from services.risk.settings import RiskSettings
from shared.clients import AsyncRiskClient, Refused, RiskClient, Unavailable, calls
from shared.roles import Role
from shared.schemas.accounts import AccountCreate
from shared.schemas.orders import Fill
from tests.conftest import MakeSettings
from tests.harness import Tokens, serving
from tests.integration.risk.client import RiskClient as Plain
from tests.integration.risk.client import until

pytestmark = pytest.mark.integration
NOWHERE = "http://127.0.0.1:9"


Auth = Callable[[Role], dict[str, str]]


@asynccontextmanager
async def served(make_settings: MakeSettings, auth: Auth, *, ready: bool = True) -> AsyncIterator[str]:
    app = create(make_settings(RiskSettings))
    async with serving(app) as url, httpx.AsyncClient(base_url=url) as http:
        if ready:
            plain = Plain(http, auth, app)
            await until(plain.ready)
            await plain.set_up()
        yield url


@pytest.fixture
async def url(make_settings: MakeSettings, auth: Auth) -> AsyncIterator[str]:
    async with served(make_settings, auth) as found:
        yield found


def keys(tokens: Tokens, role: Role) -> str:
    return tokens.by_role[role]


async def test_a_strategy_asks_sends_and_reports(url: str, tokens: Tokens) -> None:
    async with AsyncRiskClient([NOWHERE, url], keys(tokens, Role.SERVICE)) as risk:
        asked = await risk.check_order_risk("main", "STOCK", "BUY", 101, "trend")
        assert (asked.decision, asked.max_quantity) == ("DENIED", 100)
        decision = await risk.place_order("main", "STOCK", "BUY", 50, "trend", client_order_id="c1")
        assert decision.decision == "APPROVED"
        again = await risk.place_order("main", "STOCK", "BUY", "50", "trend", client_order_id="c1")
        assert again == decision
        report = Fill(
            trade_id="t1", client_order_id="c1", price=Decimal(100), quantity=Decimal(20), ts_event=datetime.now(UTC)
        )
        assert (await risk.report_fill("main", report)).leaves_quantity == 30
        assert (await risk.cancel_order("main", "c1", "enough")).status == "CANCELLED"
        status = await risk.get_risk_status("main")
        assert status.positions[0].quantity == 20


async def test_an_admin_stops_and_lets_go_again(url: str, tokens: Tokens) -> None:
    def admin() -> None:
        with RiskClient(url, keys(tokens, Role.ADMIN)) as risk:
            switch = risk.activate_kill_switch("STRATEGY", "fire drill", "trend", allow_reducing=True)
            assert (switch.target, switch.reductions) == ("trend", "ALL")
            assert risk.deactivate_kill_switch(switch.kill_switch_id, "over").released_by is not None
            corrected = risk.set_high_water_mark("main", "110000", "as the broker has it")
            assert (corrected.before, corrected.high_water_mark) == (100_000, 110_000)
            stop = risk.emergency_stop("fire drill")
            assert risk.get_risk_status("main").risk_level == "BLACK"
            risk.deactivate_kill_switch(stop.kill_switch_id, "over")
            with pytest.raises(Refused) as refused:
                risk.reset_circuit_breaker("main", "drawdown", "as told")
            assert refused.value.status == 409

    await asyncio.to_thread(admin)


async def test_what_is_wrong_is_said_at_once(url: str, tokens: Tokens) -> None:
    async with AsyncRiskClient(url, keys(tokens, Role.VIEWER)) as risk:
        with pytest.raises(Refused) as refused:
            await risk.place_order("main", "STOCK", "BUY", 1, "trend")
        assert refused.value.status == 403
        with pytest.raises(Refused) as missing:
            await risk.get_risk_status("none")
        assert "does not exist" in str(missing.value)


async def test_an_id_is_one_part_of_a_path_whatever_is_in_it(url: str, tokens: Tokens) -> None:
    def ask() -> list[int]:
        with RiskClient(url, keys(tokens, Role.SERVICE)) as client:
            found = []
            for name in ("x/../main", "..", "main/status?", "main#", "%6Dain"):
                with pytest.raises(Refused) as refused:
                    client.get_risk_status(name)
                found.append(refused.value.status)
            assert client.get_risk_status("main").account_id == "main"
            return found

    assert set(await asyncio.to_thread(ask)) <= {404, 422}


async def test_nobody_there_is_told_after_the_time_for_retries(tokens: Tokens) -> None:
    async with AsyncRiskClient(NOWHERE, keys(tokens, Role.SERVICE), retry_seconds=0.3) as risk:
        with pytest.raises(Unavailable):
            await risk.get_risk_status("main")
    with pytest.raises(ValueError, match="URL"):
        AsyncRiskClient([], "x")


async def test_it_finds_the_replica_that_leads(make_settings: MakeSettings, auth: Auth, tokens: Tokens) -> None:
    async with served(make_settings, auth) as here, served(make_settings, auth, ready=False) as away:
        async with AsyncRiskClient([away, here], keys(tokens, Role.SERVICE)) as risk:
            decision = await risk.place_order("main", "STOCK", "BUY", 1, "trend")
        assert decision.decision == "APPROVED"


async def test_a_client_follows_to_the_right_shard_once(
    make_settings: MakeSettings, auth: Auth, tokens: Tokens
) -> None:
    shard = {"risk_shards": 2, "risk_shard": 1, "risk_peers": f"{NOWHERE},{NOWHERE}"}
    app = create(make_settings(RiskSettings, **shard))
    asked: list[bytes | None] = []

    async def somewhere(scope: Scope, receive: Receive, send: Send) -> None:
        """Send to shard 1 what is meant for it; the rest goes to a shard that refuses it."""
        meant = dict(scope.get("headers", [])).get(b"x-keelson-shard")
        if scope["type"] != "http" or meant == b"1":
            await app(scope, receive, send)
            return
        asked.append(meant)
        right = "1" if b"acc-" in (await Request(scope, receive).body()) else "5"
        await Response(status_code=421, headers={"X-Keelson-Shard-Right": right})(scope, receive, send)

    async with serving(somewhere) as url, httpx.AsyncClient(base_url=url, headers={"X-Keelson-Shard": "1"}) as http:
        await until(Plain(http, auth, app).ready)
        account = AccountCreate(account_id="acc-0", base_currency="USD", initial_cash=Decimal(1))
        async with AsyncRiskClient(url, keys(tokens, Role.SERVICE)) as client:
            assert (await client.call(calls.open_account(account))).account_id == "acc-0"
            with pytest.raises(Refused) as refused:
                await client.get_risk_status("acc-0")
        assert refused.value.status == 421
        assert asked == [None, None, b"5"]
        with RiskClient(url, keys(tokens, Role.SERVICE)) as waiting:
            assert (await asyncio.to_thread(waiting.open_account, account)).account_id == "acc-0"
