"""The history of accounts: written by the leader alone, beside the decisions, and read by ranges."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest
from prometheus_client import REGISTRY

from services.risk.history import HistoryKeeper
from shared.clock import ManualClock
from shared.database import Database
from shared.embedded import EmbeddedPostgres
from shared.roles import Role
from shared.tasks import stop
from tests.harness import plain
from tests.integration.risk.client import RiskClient, until
from tests.integration.risk.conftest import Running

pytestmark = pytest.mark.integration
WIDE = {
    "price_collar_bps": 0,
    "max_position_fraction": 0.5,
    "max_asset_class_fraction": 2,
    "kill_margin": None,
    "max_mark_age_seconds": 3600,
}


async def points(risk: RiskClient, path: str = "risk-history", account: str = "main", **query: Any) -> Any:
    response = await risk.http.get(
        f"/api/v1/risk/accounts/{account}/{path}", params=query, headers=risk.auth(Role.VIEWER)
    )
    assert response.is_success, response.text
    return response.json()["items"]


async def has(risk: RiskClient, count: int, reason: str | None = None, **query: Any) -> None:
    async def there() -> bool:
        found = await points(risk, **query)
        return len([each for each in found if reason in (None, each["reason"])]) >= count

    await until(there)


async def buy(risk: RiskClient, quantity: str, name: str = "o1") -> None:
    assert (await risk.order(name, quantity))["decision"] == "APPROVED"
    await risk.fill(name, f"t-{name}", quantity)


async def kept_at(risk: RiskClient, moment: datetime, account: str = "main") -> None:
    """Wait for the point of a minute that a clock set by hand has come to."""

    async def there() -> bool:
        return moment in minutes_of(await points(risk, account=account))

    await until(there)


def minutes_of(found: Any) -> list[datetime]:
    return [datetime.fromisoformat(each["ts"]) for each in found if each["reason"] == "minute"]


def soon() -> datetime:
    """Return a moment early in a minute, and after any mark that the machine's clock stamps now."""
    return datetime.now(UTC).replace(second=5, microsecond=0) + timedelta(minutes=1)


async def set_scenarios(risk: RiskClient) -> None:
    drawn = np.random.default_rng(3).normal(size=(2, 300)) * 0.02
    returns = {"STOCK": list(drawn[0]), "OTHER": list(drawn[1] - drawn[0] / 2)}
    await risk.ok("PUT", "/scenarios", {"name": "drawn", "returns": returns}, Role.RISK_OFFICER)


@asynccontextmanager
async def keeping(risk: RiskClient, database_url: str, **options: Any) -> AsyncIterator[HistoryKeeper]:
    """Another keeper on the engine of a running service, with what the test wants of it."""
    database = Database(database_url, application_name="test", pool_size=1)
    keeper = HistoryKeeper(risk.app.state.engine, database, **options)
    task = asyncio.create_task(keeper.keep())
    try:
        yield keeper
    finally:
        await stop(task)
        await database.dispose()


class TestMinutes:
    async def test_there_is_a_point_a_minute_of_what_has_a_position_and_none_more_of_what_has_not(
        self, run_risk: Running
    ) -> None:
        clock = ManualClock(soon())
        async with run_risk(clock=clock) as risk:
            await risk.set_up(limits=WIDE)
            await risk.set_up("idle")
            await buy(risk, "10")
            expected = []
            for _ in range(4):
                clock.advance(timedelta(minutes=1))
                expected.append(clock.now())
                await kept_at(risk, clock.now())
            assert [each for each in minutes_of(await points(risk)) if each >= expected[0]] == expected
            # Nothing has happened to it since: one point says it all, until something does.
            assert len(await points(risk, account="idle")) == 1
            movement = {"movement_id": "m1", "amount": "500", "reason": "a deposit"}
            await risk.ok("POST", "/accounts/idle/cash", movement)
            clock.advance(timedelta(minutes=1))
            await has(risk, 2, account="idle")
            assert [each["cash"] for each in await points(risk, "history", "idle")] == ["100000", "100500"]

    async def test_the_figures_are_those_of_the_status(self, run_risk: Running, database_url: str) -> None:
        clock = ManualClock(soon())
        async with run_risk(clock=clock) as risk:
            await risk.set_up(limits=WIDE)
            await set_scenarios(risk)
            await risk.mark("100", "OTHER")
            await buy(risk, "150")
            assert (await risk.order("o2", "40", symbol="OTHER", side="SELL"))["decision"] == "APPROVED"
            await risk.fill("o2", "t2", "30")
            await risk.mark("97.123")
            clock.advance(timedelta(minutes=1))
            await kept_at(risk, clock.now())
            status = await risk.ok("GET", "/accounts/main/status")
            held = (await points(risk, "history"))[-1]
            stood = (await points(risk))[-1]

        for name in ("equity", "cash", "start_of_day_equity", "high_water_mark", "realised_pnl", "unrealised_pnl"):
            assert held[name] == status[name], name
        assert (held["fees"], held["open_orders"], held["base_currency"]) == (
            status["fees"],
            status["open_orders"],
            "USD",
        )
        assert float(held["day_pnl"]) == pytest.approx(150 * -2.877)
        assert held["gross_notional"] == "17568.45"
        assert held["net_notional"] == "11568.45"
        assert [
            (each["symbol"], each["quantity"], each["average_price"], each["mark_price"], each["market_value"])
            for each in held["positions"]
        ] == [
            (each["symbol"], each["quantity"], each["average_price"], each["mark_price"], each["notional"])
            for each in status["positions"]
        ]
        for name in ("drawdown", "daily_loss", "gross_exposure", "net_exposure", "leverage", "tail_risk"):
            assert stood[name] == status[name], name
        assert len(stood["tail_risk"]) == 5
        assert (stood["level"], stood["level_reason"]) == (status["risk_level"], status["risk_level_reason"])
        worst = max(status["utilisations"], key=lambda each: each["utilisation"])
        assert (stood["worst_limit"], stood["worst_utilisation"]) == (worst["name"], worst["utilisation"])
        key = ("account_id", "ts", "journal_seq", "state_seq", "reason", "simulation_id", "session_date")
        assert [held[each] for each in key] == [stood[each] for each in key]
        assert held["session_date"] == status["session_date"]
        with psycopg.connect(plain(database_url)) as connection:
            kept = connection.execute("SELECT kind FROM risk.journal WHERE seq = %s", (held["state_seq"],)).fetchone()
        assert kept is not None, "a point of what is not in the journal"

    async def test_a_simulated_account_is_kept_on_its_own_time_and_only_while_something_happens(
        self, run_risk: Running
    ) -> None:
        clock = ManualClock(soon())
        then = "2020-01-02T10:00:00Z"
        async with run_risk(clock=clock) as risk:
            await risk.set_up("replayed", simulation_id="sim", ts_event=then, limits=WIDE)
            mark = {"symbol": "STOCK", "price": "100", "ts_event": then}
            await risk.ok("POST", "/marks", {"simulation_id": "sim", "marks": [mark]})
            await risk.order("o1", "10", "replayed", ts_event=then)
            fill = {"trade_id": "t1", "client_order_id": "o1", "quantity": "10", "price": "100", "ts_event": then}
            await risk.ok("POST", "/accounts/replayed/fills", fill)
            await risk.set_up("live", limits=WIDE)
            seen = []
            for number in range(3):
                movement = {"movement_id": f"m{number}", "amount": "1", "reason": "something happens"}
                await risk.ok("POST", "/accounts/live/cash", movement)
                clock.advance(timedelta(minutes=1))
                await kept_at(risk, clock.now(), "live")
                seen.append([each for each in await points(risk, account="replayed") if each["reason"] == "minute"])
            assert seen[0] == seen[1] == seen[2]
            assert [(each["ts"], each["simulation_id"]) for each in seen[0][-1:]] == [(then, "sim")]


class TestLevels:
    async def test_every_change_of_level_is_a_point_however_fast_they_come(self, run_risk: Running) -> None:
        async with run_risk() as risk:
            await risk.set_up(limits={**WIDE, "max_drawdown_fraction": 0.05, "max_daily_loss_fraction": 1})
            await buy(risk, "400")
            # 40 % of the equity: each percent is 0.4 % of it.
            for price in ("99", "91", "99.5", "90", "99"):
                await risk.mark(price)
            journal = (await risk.ok("GET", "/journal?kind=LEVEL_CHANGED"))["items"]
            assert len(journal) >= 4
            await has(risk, len(journal), "level")
            found = [each for each in await points(risk) if each["reason"] == "level"]
            assert [(each["journal_seq"], each["level"], each["level_reason"]) for each in found] == [
                (row["seq"], row["body"]["level"], row["body"]["reason"]) for row in journal
            ]
            assert all(each["state_seq"] >= each["journal_seq"] for each in found)
            assert len(await points(risk, "history")) == len(await points(risk))

    async def test_a_kill_switch_of_the_account_or_the_firm_is_one_too(self, run_risk: Running) -> None:
        async with run_risk() as risk:
            await risk.set_up()
            await risk.set_up("other")
            body = {"scope": "ACCOUNT", "target": "main", "reason": "a drill"}
            pulled = await risk.ok("POST", "/kill-switches", body, Role.ADMIN)
            await has(risk, 1, "level")
            await risk.ok(
                "POST", f"/kill-switches/{pulled['kill_switch_id']}/release", {"reason": "it is over"}, Role.ADMIN
            )
            await has(risk, 2, "level")
            await risk.ok(
                "POST", "/kill-switches", {"scope": "SYMBOL", "target": "STOCK", "reason": "drill"}, Role.ADMIN
            )
            await risk.ok("POST", "/kill-switches", {"scope": "FIRM", "reason": "a drill"}, Role.ADMIN)
            await has(risk, 3, "level")
            await has(risk, 1, "level", account="other")
            found = [each for each in await points(risk) if each["reason"] == "level"]
            assert [(each["level"], each["kill_switch_active"]) for each in found] == [
                ("BLACK", True),
                ("GREEN", False),
                ("BLACK", True),
            ]
            assert found[0]["level_reason"] == "ACCOUNT is stopped: a drill"


class TestWhoWrites:
    async def test_what_a_leader_that_was_cut_off_did_not_write_the_next_one_does(
        self, run_risk: Running, database_url: str
    ) -> None:
        async with run_risk() as risk:
            await risk.set_up(limits=WIDE)
            await buy(risk, "400")
            await has(risk, 1, "level")
            before = await points(risk)
        with psycopg.connect(plain(database_url), autocommit=True) as connection:
            connection.execute("DELETE FROM risk.portfolio_history; DELETE FROM risk.risk_metrics_history")
        async with run_risk() as risk:
            await has(risk, 1, "level")
            again = [each for each in await points(risk) if each["reason"] == "level"]
        lost = [each for each in before if each["reason"] == "level"]
        names = ("ts", "journal_seq", "level", "level_reason")
        assert [[each[name] for name in names] for each in again] == [[each[name] for name in names] for each in lost]

    async def test_a_standby_writes_nothing_until_it_leads(self, run_risk: Running, database_url: str) -> None:
        async with AsyncExitStack() as first:
            leader = await first.enter_async_context(run_risk())
            await leader.set_up(limits=WIDE)
            await buy(leader, "10")
            async with (
                run_risk(ready=False) as standby,
                keeping(standby, database_url, every=timedelta(milliseconds=100)),
            ):
                async with keeping(leader, database_url, every=timedelta(milliseconds=500)):
                    await has(leader, 3, "minute")
                    # Of the two it is the leader's: on a standby there is nothing that could be read.
                # The leader's own keeper writes at the turn of a minute.
                if (second := datetime.now(UTC).second) > 54:
                    await asyncio.sleep(61 - second)
                before = len(await points(leader))
                await asyncio.sleep(1)
                assert len(await points(leader)) == before
                # What the leader wrote can be read there all the same.
                assert await points(standby) == await points(leader)
                await first.aclose()
                await until(standby.ready)
                await has(standby, before + 2)

    async def test_decisions_go_on_where_the_history_cannot_be_written_and_what_is_too_much_is_counted(
        self, run_risk: Running, database_url: str
    ) -> None:
        async with run_risk() as risk:
            await risk.set_up(limits=WIDE)
            await buy(risk, "10")
            before = REGISTRY.get_sample_value("risk_history_dropped_total") or 0
            with psycopg.connect(plain(database_url), autocommit=True) as connection:
                connection.execute("ALTER TABLE risk.portfolio_history RENAME TO gone")
                async with keeping(risk, database_url, every=timedelta(milliseconds=50), most_waiting=3):

                    async def dropped() -> bool:
                        return (REGISTRY.get_sample_value("risk_history_dropped_total") or 0) > before

                    await until(dropped)
                    async with asyncio.timeout(2):
                        for number in range(20):
                            assert (await risk.order(f"later-{number}"))["decision"] == "APPROVED"
                    assert await risk.ready()
                    connection.execute("ALTER TABLE risk.gone RENAME TO portfolio_history")
                    # What waited is written, and it goes on.
                    await has(risk, 6)

    async def test_a_moment_that_fits_no_column_holds_up_no_other(self, run_risk: Running, database_url: str) -> None:
        async with run_risk() as risk:
            await risk.set_up(limits=WIDE)
            await risk.set_up("rich", initial_cash="1000000000000000", limits=WIDE)
            await risk.set_up("last", limits=WIDE)
            before = REGISTRY.get_sample_value("risk_history_dropped_total") or 0
            with psycopg.connect(plain(database_url)) as connection:
                connection.execute("ALTER TABLE risk.portfolio_history ALTER COLUMN equity TYPE numeric(20, 10)")
                connection.execute("TRUNCATE risk.portfolio_history, risk.risk_metrics_history")
                # While the tables are held, the second and the third account wait for one statement.
                async with keeping(risk, database_url, every=timedelta(days=400)):
                    await asyncio.sleep(1)
                    await asyncio.to_thread(connection.commit)
                    await has(risk, 1, account="last")
                assert await points(risk, account="rich") == []
            assert (REGISTRY.get_sample_value("risk_history_dropped_total") or 0) > before

    async def test_postgresql_that_was_away_is_written_to_again(
        self, run_risk: Running, own_postgres: EmbeddedPostgres
    ) -> None:
        url = own_postgres.start()
        clock = ManualClock(soon())
        async with run_risk(database_url=url, clock=clock) as risk:
            await risk.set_up(limits=WIDE)
            await buy(risk, "10")
            clock.advance(timedelta(minutes=1))
            await kept_at(risk, clock.now())
            await asyncio.to_thread(own_postgres.stop)
            clock.advance(timedelta(minutes=1))
            await asyncio.sleep(1)
            assert (await risk.call("POST", "/accounts/main/orders", {})).status_code in {422, 503}
            await asyncio.to_thread(own_postgres.start)
            await until(risk.ready)
            await risk.mark("100")
            assert (await risk.order("after"))["decision"] == "APPROVED"
            clock.advance(timedelta(minutes=1))
            await kept_at(risk, clock.now())


class TestReads:
    async def test_it_is_read_in_pages_from_a_start_until_before_an_end(
        self, run_risk: Running, database_url: str
    ) -> None:
        async with run_risk() as risk:
            await risk.set_up(limits=WIDE)
            await buy(risk, "10")
            async with keeping(risk, database_url, every=timedelta(milliseconds=200)):
                await has(risk, 7)
            for path in ("history", "risk-history"):
                whole = await points(risk, path)
                assert whole == sorted(whole, key=lambda each: (each["ts"], each["journal_seq"]))
                seen: list[Any] = []
                cursor: dict[str, str] = {}
                for _ in range(len(whole)):
                    page = (
                        await risk.http.get(
                            f"/api/v1/risk/accounts/main/{path}",
                            params={"limit": 2, **cursor},
                            headers=risk.auth(Role.VIEWER),
                        )
                    ).json()
                    seen += page["items"]
                    if page["next_cursor"] is None:
                        break
                    cursor = {"cursor": page["next_cursor"]}
                assert seen == whole
                window = await points(risk, path, start=whole[1]["ts"], end=whole[4]["ts"])
                assert window == whole[1:4]

    @pytest.mark.parametrize("path", ["history", "risk-history"])
    @pytest.mark.parametrize(
        ("query", "status"),
        [
            ("cursor=rubbish", 400),
            ("cursor=eyJzZXEiOjEsInRzIjoibm9wZSJ9", 400),
            ("start=yesterday", 422),
            ("start=2026-01-02T00:00:00Z&end=2026-01-02T00:00:00Z", 422),
            ("limit=0", 422),
        ],
    )
    async def test_what_cannot_be_a_range_is_a_problem(
        self, risk: RiskClient, path: str, query: str, status: int
    ) -> None:
        response = await risk.call("GET", f"/accounts/main/{path}?{query}")
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/problem+json"

    @pytest.mark.parametrize("path", ["history", "risk-history", "var", "var-backtest"])
    async def test_an_account_that_is_none_is_not_found_and_a_caller_without_a_role_is_not_told(
        self, risk: RiskClient, path: str
    ) -> None:
        assert (await risk.call("GET", f"/accounts/nobody/{path}")).status_code == 404
        nobody = await risk.http.get(f"/api/v1/risk/accounts/main/{path}", headers={"Authorization": "Bearer x"})
        assert nobody.status_code == 401
