"""The history of accounts: a point a minute of what happens, and one of every change of level."""

from datetime import timedelta

import psycopg
import pytest

from shared.clock import ManualClock
from shared.roles import Role
from tests.harness import plain
from tests.integration.risk.conftest import Running
from tests.integration.risk.recorded import WIDE, buy, has, kept_at, minutes_of, points, set_scenarios, soon

pytestmark = pytest.mark.integration


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
