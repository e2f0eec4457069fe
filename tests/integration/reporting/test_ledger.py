import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
import pytest

from services.reporting import store
from services.reporting.main import create
from services.reporting.settings import ReportingSettings
from services.risk.main import create as create_risk
from services.risk.settings import RiskSettings
from shared.embedded import EmbeddedPostgres
from shared.roles import Role
from tests.conftest import MakeSettings
from tests.harness import plain, running, serving
from tests.integration.risk.client import RiskClient, until

pytestmark = pytest.mark.integration
BASE = "/api/v1/reporting"
Auth = Callable[[Role], dict[str, str]]
TELEMETRY = {
    "prediction_id": "p1",
    "model_name": "m",
    "model_version": "1.0.0",
    "model_hash": "0123456789abcdef",
    "features": {"a": 0.1, "b": -2.5e-9},
    "raw_confidence": 0.61,
    "calibrated_confidence": 0.6,
    "uncertainty": 0.97,
    "regime": "calm",
}


class Reporting:
    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def get(self, path: str) -> Any:
        response = await self.http.get(BASE + path)
        assert response.status_code == 200, response.text
        return response.json()

    async def caught_up(self, risk: RiskClient) -> None:
        last = (await risk.ok("GET", "/journal?limit=1"))["last_seq"]

        async def current() -> bool:
            return bool((await self.get("/state"))["cursor"] >= last)

        await until(current)


class Pair:
    """Risk over HTTP, and reporting reading from it; each can be taken away."""

    def __init__(self, make_settings: MakeSettings, auth: Auth) -> None:
        self.make_settings = make_settings
        self.auth = auth

    @asynccontextmanager
    async def risk(self, port: int = 0) -> AsyncIterator[tuple[RiskClient, str]]:
        app = create_risk(self.make_settings(RiskSettings))
        async with serving(app, port) as url, httpx.AsyncClient(base_url=url) as http:
            client = RiskClient(http, self.auth, app)
            await until(client.ready)
            yield client, url

    @asynccontextmanager
    async def reporting(self, url: str, **overrides: Any) -> AsyncIterator[Reporting]:
        settings = self.make_settings(ReportingSettings, risk_url=url, reporting_poll_seconds=0.05, **overrides)
        async with running(create(settings), self.auth(Role.VIEWER)) as http:
            yield Reporting(http)


@pytest.fixture
def pair(make_settings: MakeSettings, auth: Auth) -> Pair:
    return Pair(make_settings, auth)


async def trade_a_day(risk: RiskClient) -> None:
    await risk.set_up(session_date="2026-03-02")
    await risk.order("buy", "50", telemetry=TELEMETRY)
    await risk.fill("buy", "t1", "50", "100")
    await risk.order("too-much", "400")
    await risk.order("sell", "20", side="SELL")
    await risk.fill("sell", "t2", "20", "110")
    await risk.ok("POST", "/accounts/main/day-roll", {"next_session_date": "2026-03-03"})


async def test_the_ledger_is_built_from_the_journal(pair: Pair) -> None:
    async with pair.risk() as (risk, url), pair.reporting(url) as reporting:
        await trade_a_day(risk)
        await reporting.caught_up(risk)
        trades = (await reporting.get("/trades"))["items"]
        assert [trade["trade_id"] for trade in trades] == ["t2", "t1"]
        assert trades[1]["telemetry"] == {**TELEMETRY, "market_state_id": None}
        assert (trades[0]["realised_pnl"], trades[0]["position_quantity"]) == ("200", "30")
        rollups = (await reporting.get("/rollups"))["items"]
        whole = next(rollup for rollup in rollups if rollup["strategy_id"] is None)
        assert (whole["orders_approved"], whole["orders_denied"], whole["trades"]) == (2, 1, 2)
        assert whole["denials_by_reason"] == {"POSITION_LIMIT": 1}
        assert whole["win_rate"]["value"] == 1.0
        assert (whole["profit_factor"]["value"], whole["profit_factor"]["state"]) == (None, "no_losses")
        counts = await reporting.get("/counts")
        assert (counts["approved"], counts["denied"], counts["trades"], counts["rollups"]) == (2, 1, 2, 1)
        assert counts["realised_pnl"] == {"USD": "200"}
        state = await reporting.get("/state")
        assert (state["state"], state["lag"], state["problem"]) == ("current", 0, None)
        assert (await reporting.get("/counts?simulation_id=none"))["approved"] == 0


async def test_a_day_in_a_foreign_currency_adds_up(pair: Pair) -> None:
    async with pair.risk() as (risk, url), pair.reporting(url) as reporting:
        await risk.set_up(session_date="2026-03-02", initial_cash="1000000")
        euro = {"symbol": "EURO", "currency": "EUR", "asset_class": "EQUITY", "tick_size": "0.01"}
        rate = {**euro, "symbol": "EUR/USD", "currency": "USD", "asset_class": "FX", "tick_size": "0.0001"}
        await risk.ok("PUT", "/instruments", {"instruments": [euro, rate]})
        for symbol, price in (("EUR/USD", "1.25"), ("EURO", "49.6")):
            await risk.mark(price, symbol)
        for number, (side, price) in enumerate((("BUY", "49.6"), ("SELL", "50"))):
            await risk.order(f"o{number}", "1000", symbol="EURO", side=side)
            body = {"trade_id": f"t{number}", "client_order_id": f"o{number}", "quantity": "1000", "price": price}
            await risk.ok(
                "POST", "/accounts/main/fills", {**body, "fee": "1", "ts_event": datetime.now(UTC).isoformat()}
            )
            await risk.mark("1.30", "EUR/USD")
        await risk.ok("POST", "/accounts/main/day-roll", {"next_session_date": "2026-03-03"})
        await reporting.caught_up(risk)
        whole = next(each for each in (await reporting.get("/rollups"))["items"] if each["strategy_id"] is None)
        assert (whole["start_equity"], whole["end_equity"]) == ("1000000", "1002998")
        assert (whole["realised_pnl"], whole["fees"], whole["volume_notional"]) == ("3000", "2", "127000")


async def test_a_day_at_the_end_of_time_is_a_day(pair: Pair) -> None:
    last = {"ts_event": "9999-12-31T23:59:59.999999Z"}
    async with pair.risk() as (risk, url), pair.reporting(url) as reporting:
        await risk.set_up()
        opened = {"account_id": "edge", "base_currency": "USD", "initial_cash": "1000", "simulation_id": "s"}
        await risk.ok("POST", "/accounts", {**opened, **last, "session_date": "9999-12-30"})
        mark = {"symbol": "STOCK", "price": "1", **last}
        await risk.ok("POST", "/marks", {"simulation_id": "s", "marks": [mark]})
        await risk.order("o1", account="edge", **last)
        fill = {"trade_id": "t1", "client_order_id": "o1", "quantity": "1", "price": "1", **last}
        await risk.ok("POST", "/accounts/edge/fills", fill)
        await risk.ok("POST", "/accounts/edge/day-roll", {"next_session_date": "9999-12-31", **last})
        await reporting.caught_up(risk)
        assert (await reporting.get("/trades"))["items"][0]["ts_event"] == last["ts_event"]
        assert (await reporting.get("/rollups"))["items"][0]["session_date"] == "9999-12-30"


async def test_a_restart_goes_on_where_it_stopped(pair: Pair) -> None:
    async with pair.risk() as (risk, url):
        async with pair.reporting(url) as reporting:
            await trade_a_day(risk)
            await reporting.caught_up(risk)
        await risk.order("later")
        await risk.fill("later", "t3", "1")
        async with pair.reporting(url, reporting_page=2) as reporting:
            await reporting.caught_up(risk)
            assert [trade["trade_id"] for trade in (await reporting.get("/trades"))["items"]] == ["t3", "t2", "t1"]


async def test_a_crash_in_the_middle_of_a_page_takes_no_row_twice_and_loses_none(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = store.put
    crashes = iter([False, True, True, False, True])

    async def crashing(*arguments: Any) -> None:
        await whole(*arguments)
        if next(crashes, False):
            raise RuntimeError("the process dies here, after storing and before its cursor moved")

    monkeypatch.setattr(store, "put", crashing)
    async with pair.risk() as (risk, url):
        await trade_a_day(risk)
        async with pair.reporting(url, reporting_page=2) as reporting:
            await reporting.caught_up(risk)
            counts = await reporting.get("/counts")
            assert (counts["approved"], counts["denied"], counts["trades"], counts["rollups"]) == (2, 1, 2, 1)


async def test_two_processes_take_every_row_once(pair: Pair) -> None:
    async with pair.risk() as (risk, url):
        await risk.set_up()
        async with pair.reporting(url, reporting_page=3) as first, pair.reporting(url, reporting_page=2):
            for number in range(30):
                await risk.order(f"o{number}")
                await risk.fill(f"o{number}", f"t{number}", "1")
            await first.caught_up(risk)
            counts = await first.get("/counts")
            assert (counts["approved"], counts["trades"]) == (30, 30)


async def test_risk_away_is_said_and_caught_up_after(pair: Pair) -> None:
    async with pair.risk() as (risk, url):
        await risk.set_up()
        await risk.order("o1")
    async with pair.reporting(url) as reporting:

        async def away() -> bool:
            return bool((await reporting.get("/state"))["state"] == "risk_unreachable")

        await until(away)
        # What is in the ledger can still be read.
        assert (await reporting.http.get("/readyz")).status_code == 200
        async with pair.risk(int(url.rsplit(":", 1)[1])) as (risk, _):
            await reporting.caught_up(risk)

            async def current() -> bool:
                return bool((await reporting.get("/state"))["state"] == "current")

            await until(current)
            assert (await reporting.get("/counts"))["approved"] == 1


@pytest.mark.parametrize(
    ("tamper", "problem"),
    [
        ("UPDATE risk.journal SET body = replace(body, '\"BUY\"', '\"SELL\"') WHERE seq = 6", "row 6 does not match"),
        ("DELETE FROM risk.journal WHERE seq = 5", "row 6 follows row 4"),
        ("UPDATE risk.journal SET prev_hash = repeat('0', 64) WHERE seq = 6", "row 6 does not continue"),
        ("DELETE FROM risk.journal WHERE seq >= 6", "rows 6 to"),
    ],
)
async def test_a_journal_that_was_altered_stops_the_ledger_at_that_row(
    pair: Pair, database_url: str, tamper: str, problem: str
) -> None:
    async with pair.risk() as (risk, url):
        await trade_a_day(risk)
        with psycopg.connect(plain(database_url), autocommit=True) as connection:
            connection.execute("ALTER TABLE risk.journal DISABLE TRIGGER append_only")
            connection.execute(tamper.encode())
        async with pair.reporting(url, reporting_page=1) as reporting:

            async def stopped() -> bool:
                return bool((await reporting.get("/state"))["state"] == "journal_broken")

            await until(stopped)
            state = await reporting.get("/state")
            assert state["problem"].startswith(problem)
            assert state["cursor"] == int(problem.split()[1]) - (2 if "follows" in problem else 1)
            assert (await reporting.http.get("/readyz")).status_code == 503


async def test_a_journal_that_went_back_stops_the_ledger(pair: Pair, database_url: str) -> None:
    async with pair.risk() as (risk, url), pair.reporting(url) as reporting:
        await risk.set_up()
        await reporting.caught_up(risk)
        with psycopg.connect(plain(database_url), autocommit=True) as connection:
            connection.execute("UPDATE reporting.cursor SET seq = 1000")

        async def stopped() -> bool:
            return bool((await reporting.get("/state"))["state"] == "journal_broken")

        await until(stopped)
        assert "ends at row" in (await reporting.get("/state"))["problem"]


async def test_listings_are_paged_without_gap_or_repeat(pair: Pair) -> None:
    async with pair.risk() as (risk, url), pair.reporting(url) as reporting:
        await risk.set_up(session_date="2026-03-01")
        for number in range(7):
            await risk.order(f"o{number}", strategy_id=f"s{number % 2}")
            await risk.fill(f"o{number}", f"t{number}", "1")
            await risk.ok("POST", "/accounts/main/day-roll", {"next_session_date": f"2026-03-0{number + 2}"})
        await reporting.caught_up(risk)
        for path, expected in (("/trades?strategy_id=s0", 4), ("/rollups?account_id=main", 14)):
            found, cursor = [], ""
            while True:
                page = await reporting.get(f"{path}&limit=3{cursor}")
                found += [str(item) for item in page["items"]]
                if page["next_cursor"] is None:
                    break
                cursor = f"&cursor={page['next_cursor']}"
            assert len(found) == len(set(found)) == expected


async def test_a_lost_database_is_a_503_and_the_ledger_goes_on_after(
    pair: Pair, own_postgres: EmbeddedPostgres
) -> None:
    own = own_postgres.start()
    async with pair.risk() as (risk, url), pair.reporting(url, database_url=own) as reporting:
        await risk.set_up()
        await reporting.caught_up(risk)
        own_postgres.stop()
        assert (await reporting.http.get(f"{BASE}/trades")).status_code == 503
        await risk.order("o1")
        await asyncio.sleep(0.3)
        own_postgres.start()
        await reporting.caught_up(risk)
        assert (await reporting.get("/counts"))["approved"] == 1


async def test_reads_need_a_token(pair: Pair) -> None:
    async with pair.reporting("http://127.0.0.1:1") as reporting:
        reporting.http.headers.pop("authorization")
        for path in ("/trades", "/rollups", "/counts", "/state"):
            assert (await reporting.http.get(BASE + path)).status_code == 401
