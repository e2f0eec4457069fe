"""The ledger follows the journal of each shard of risk, each row exactly once."""

from datetime import UTC, datetime

import httpx
import psycopg
import pytest
from alembic import command

from services.reporting.store import GENESIS_HASH
from services.risk.main import create as create_risk
from services.risk.settings import RiskSettings
from shared import migrations
from shared.embedded import EmbeddedPostgres
from shared.roles import Role
from tests.conftest import _TEMPLATE, MakeSettings
from tests.harness import fresh_database, plain, serving
from tests.integration.reporting.test_ledger import Auth, Pair, Reporting
from tests.integration.risk.client import RiskClient, until

pytestmark = pytest.mark.integration
# Of shard 0 and of shard 1.
ACCOUNTS = ("acc-1", "acc-0")
NOBODY = "http://127.0.0.1:1"
_NEXT = "2026-03-03"


async def trade(risk: RiskClient, account_id: str, number: int) -> None:
    await risk.order(f"o{number}", "1", account_id)
    body = {"trade_id": f"{account_id}-t{number}", "client_order_id": f"o{number}", "quantity": "1", "price": "100"}
    fill = {**body, "ts_event": "2026-03-02T10:00:00Z"}
    await risk.ok("POST", f"/accounts/{account_id}/fills", fill)


async def test_two_journals_make_one_ledger(make_settings: MakeSettings, auth: Auth, postgres_url: str) -> None:
    pair = Pair(make_settings, auth)
    shared = {"risk_shards": 2, "risk_peers": f"{NOBODY},{NOBODY}", "risk_peer_seconds": 0.1}
    with fresh_database(postgres_url, _TEMPLATE) as first, fresh_database(postgres_url, _TEMPLATE) as second:
        apps = [
            create_risk(make_settings(RiskSettings, **shared, risk_shard=number, database_url=url))
            for number, url in enumerate((first, second))
        ]
        async with serving(apps[0]) as url_0, serving(apps[1]) as url_1:
            shards = []
            for app, url in zip(apps, (url_0, url_1), strict=True):
                shards.append(await _client(app, url, auth))
            for risk, account_id in zip(shards, ACCOUNTS, strict=True):
                await _set_up(risk, account_id)
            for number in range(3):
                for risk, account_id in zip(shards, ACCOUNTS, strict=True):
                    await trade(risk, account_id, number)
            async with pair.reporting(f"{url_0},{url_1}", reporting_page=2) as reporting:
                await _caught_up(reporting, shards)
                # One that was behind goes on where each journal was left.
                await trade(shards[1], ACCOUNTS[1], 3)
                await _caught_up(reporting, shards)
                state = await reporting.get("/state")
                ends = [(await each.ok("GET", "/journal?limit=1"))["last_seq"] for each in shards]
                assert [each["cursor"] for each in state["shards"]] == ends
                assert (state["cursor"], state["trades"], state["state"]) == (sum(ends), 7, "current")
            for risk in shards:
                await risk.ok(
                    "POST", f"/accounts/{ACCOUNTS[shards.index(risk)]}/day-roll", {"next_session_date": _NEXT}
                )
            async with pair.reporting(f"{url_0},{url_1}") as reporting:
                await _caught_up(reporting, shards)
                counts = await reporting.get("/counts")
                assert (counts["approved"], counts["trades"], counts["rollups"]) == (7, 7, 2)
                await _listed_once(reporting)
            # The wrong way round, the one's journal does not continue what was read of the other's.
            async with pair.reporting(f"{url_1},{url_0}") as reporting:

                async def refused() -> bool:
                    return bool((await reporting.get("/state"))["state"] != "current")

                await until(refused)
                assert (await reporting.get("/state"))["trades"] == 7
            for risk in shards:
                await risk.http.aclose()


async def _listed_once(reporting: Reporting) -> None:
    found, cursor = [], ""
    while True:
        page = await reporting.get(f"/trades?limit=2{cursor}")
        found += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert sorted(each["trade_id"] for each in found) == sorted(
        [f"acc-1-t{number}" for number in range(3)] + [f"acc-0-t{number}" for number in range(4)]
    )
    # What was booked last is listed first.
    assert found[0]["trade_id"] == "acc-0-t3"
    assert {(each["account_id"], each["shard"]) for each in found} == {(ACCOUNTS[0], 0), (ACCOUNTS[1], 1)}
    rollups = (await reporting.get("/rollups"))["items"]
    assert {(each["account_id"], each["shard"]) for each in rollups} == {(ACCOUNTS[0], 0), (ACCOUNTS[1], 1)}


def test_a_ledger_of_one_journal_becomes_that_of_shard_0(own_postgres: EmbeddedPostgres) -> None:
    url = own_postgres.start()
    config = migrations._config("reporting")
    config.attributes["database_url"] = url
    command.downgrade(config, "0001")
    columns = "journal_seq, trade_id, account_id, session_date, client_order_id, strategy_id, symbol, side, quantity"
    amounts = "price, fee, realised_pnl, position_quantity, ts_event, notional, closing"
    with psycopg.connect(plain(url)) as connection:
        connection.execute("UPDATE reporting.cursor SET seq = 9")
        connection.execute(
            f"INSERT INTO reporting.trade ({columns}, {amounts}) SELECT seq, 't' || seq, 'a', '2026-01-01', 'o', 's', "
            "'X', 'BUY', 1, 1, 0, 0, 1, now(), 1, false FROM unnest(array[9, 4, 7]) AS seq"
        )
    command.upgrade(config, "head")
    with psycopg.connect(plain(url)) as connection:
        cursor = connection.execute("SELECT shard, seq, hash FROM reporting.cursor").fetchall()
        booked = connection.execute("SELECT shard, journal_seq FROM reporting.trade ORDER BY id").fetchall()
    assert cursor == [(0, 9, GENESIS_HASH)]
    assert booked == [(0, 4), (0, 7), (0, 9)]


async def _client(app: object, url: str, auth: Auth) -> RiskClient:
    client = RiskClient(httpx.AsyncClient(base_url=url, headers=auth(Role.SERVICE)), auth, app)  # type: ignore[arg-type]
    await until(client.ready)
    return client


async def _set_up(risk: RiskClient, account_id: str) -> None:
    instrument = {"symbol": "STOCK", "currency": "USD", "asset_class": "EQUITY", "tick_size": "0.01"}
    # The other shard is not there for it; each has its own.
    assert (await risk.call("PUT", "/instruments", {"instruments": [instrument]})).status_code == 504
    account = {"account_id": account_id, "base_currency": "USD", "initial_cash": "100000", "session_date": "2026-03-02"}
    await risk.ok("POST", "/accounts", account)
    mark = {"symbol": "STOCK", "price": "100", "ts_event": _now()}
    assert (await risk.call("POST", "/marks", {"marks": [mark]})).status_code == 504


def _now() -> str:
    return datetime.now(UTC).isoformat()


async def _caught_up(reporting: Reporting, shards: list[RiskClient]) -> None:
    async def current() -> bool:
        ends = [(await each.ok("GET", "/journal?limit=1"))["last_seq"] for each in shards]
        state = await reporting.get("/state")
        return [each["cursor"] for each in state["shards"]] == ends and state["state"] == "current"

    await until(current)
