"""Value at risk by method and by symbol, and its backtest on the days the history keeps."""

from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import psycopg
import pytest
from scipy import stats

from services.risk import store
from services.risk.store import history as sql
from shared.clock import ManualClock
from shared.database import Database
from shared.roles import Role
from shared.schemas.accounts import TailRisk
from shared.schemas.history import HistoryReason, PortfolioPoint, RiskPoint
from tests.harness import plain
from tests.integration.risk.client import RiskClient
from tests.integration.risk.conftest import Running
from tests.integration.risk.recorded import WIDE, buy, has, kept_at, set_scenarios, soon

pytestmark = pytest.mark.integration
FIRST = date(2024, 1, 1)
DAYS = 260


async def test_it_is_that_of_the_status_and_its_parts_sum_to_the_whole(risk: RiskClient) -> None:
    await risk.ok("PUT", "/accounts/main/limits", {"limits": WIDE, "reason": "testing"}, Role.RISK_OFFICER)
    empty = await risk.ok("GET", "/accounts/main/var", role=Role.VIEWER)
    assert (empty["methods"], empty["contributions"], empty["note"]) == ([], [], "no scenarios were set")
    await set_scenarios(risk)
    await risk.mark("50", "OTHER")
    await buy(risk, "150")
    await risk.order("o2", "100", symbol="OTHER", side="SELL")
    await risk.fill("o2", "t2", "100", "50")
    found = await risk.ok("GET", "/accounts/main/var", role=Role.VIEWER)
    status = await risk.ok("GET", "/accounts/main/status")
    assert found["methods"] == status["tail_risk"]
    assert [each["method"] for each in found["methods"]] == [
        "historical",
        "normal",
        "ewma",
        "cornish_fisher",
        "monte_carlo",
    ]
    assert {each["confidence"] for each in found["methods"]} == {0.99}
    assert {each["horizon_days"] for each in found["methods"]} == {1}
    parts, whole = found["contributions"], found["methods"][0]
    assert [(each["symbol"], each["exposure"]) for each in parts] == [("OTHER", "-5000"), ("STOCK", "15000")]
    for name in ("value_at_risk", "expected_shortfall"):
        assert whole[name] > 0
        assert sum(each[f"component_{name}"] for each in parts) == pytest.approx(whole[name], abs=1e-9)
    assert found["seq"] == status["state_seq"]


class TestBacktest:
    @pytest.fixture
    async def risk(self, run_risk: Running, database_url: str) -> AsyncIterator[RiskClient]:
        """A service that keeps nothing of its own: the history is what a test writes."""
        clock = ManualClock(soon())
        async with run_risk(clock=clock) as client:
            await client.set_up()
            # Taken at the start or with the next minute; then not again until something happens.
            clock.advance(timedelta(minutes=1))
            await has(client, 1)
            with psycopg.connect(plain(database_url)) as connection:
                connection.execute("DELETE FROM risk.portfolio_history; DELETE FROM risk.risk_metrics_history")
            yield client

    async def made_days(self, database_url: str, results: list[float]) -> None:
        """Write a history of three moments a session; the last of each is what counts."""
        database = Database(database_url, application_name="test", pool_size=1)
        rows = []
        for number, result in enumerate(results):
            for moment, (made, forecast) in enumerate(((0.0, 0.5), (-0.4, 0.0), (result, 0.02))):
                rows.append(moment_of(FIRST + timedelta(days=number), moment, made, forecast))
        async with database.session() as session:
            await store.put_history(session, rows)
            # Written again, they are there once.
            await store.put_history(session, rows)
        await database.dispose()

    async def test_it_agrees_with_scipy_on_the_last_moments_of_the_sessions(
        self, risk: RiskClient, database_url: str
    ) -> None:
        results = [round(float(each), 5) for each in np.random.default_rng(2).standard_t(4, size=DAYS) * 0.01]
        await self.made_days(database_url, results)
        found = await risk.ok("GET", "/accounts/main/var-backtest", role=Role.VIEWER)
        # The first session has no forecast, and the newest may still be going on.
        counted = results[1:-1]
        count, days = sum(each < -0.02 for each in counted), len(counted)
        assert count > 0
        assert (found["observations"], found["exceptions"], found["left_out"]) == (days, count, 0)
        assert found["confidence"] == 0.95
        assert found["expected"] == pytest.approx(days * 0.05)
        ratio = 2 * (stats.binom.logpmf(count, days, count / days) - stats.binom.logpmf(count, days, 0.05))
        assert found["kupiec"]["statistic"] == pytest.approx(ratio, abs=1e-9)
        assert found["kupiec"]["p_value"] == pytest.approx(stats.chi2.sf(ratio, 1), abs=1e-9)
        both = found["christoffersen_conditional_coverage"]
        clustered = found["christoffersen_independence"]["statistic"]
        assert both["statistic"] == pytest.approx(ratio + clustered, abs=1e-9)
        assert both["p_value"] == pytest.approx(stats.chi2.sf(ratio + clustered, 2), abs=1e-9)
        assert [each["session_date"] for each in found["exceeded"]] == [
            (FIRST + timedelta(days=number)).isoformat()
            for number, each in enumerate(results)
            if 0 < number < DAYS - 1 and each < -0.02
        ]
        part = await risk.ok("GET", "/accounts/main/var-backtest?start=2024-02-01&end=2024-03-01")
        assert (part["first_session"], part["last_session"]) == ("2024-02-01", "2024-02-29")
        assert part["observations"] == 29
        other = await risk.ok("GET", "/accounts/main/var-backtest?method=ewma")
        assert (other["observations"], other["kupiec"]) == (0, None)
        assert other["note"]

    async def test_a_session_is_one_look_into_the_index_however_many_moments_it_has(
        self, risk: RiskClient, database_url: str
    ) -> None:
        await self.made_days(database_url, [0.0] * 40)
        with psycopg.connect(plain(database_url), autocommit=True) as connection:
            for table in ("portfolio_history", "risk_metrics_history"):
                names = [
                    row[0]
                    for row in connection.execute(
                        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'risk'"
                        " AND table_name = %s ORDER BY ordinal_position",
                        (table,),
                    )
                ]
                shown = ", ".join(
                    {"ts": "ts + make_interval(secs => n)", "journal_seq": "journal_seq * 1000 + n"}.get(name, name)
                    for name in names
                )
                connection.execute(
                    f"INSERT INTO risk.{table} SELECT {shown} FROM risk.{table}, generate_series(1, 100) AS n".encode()
                )
            connection.execute("ANALYZE risk.portfolio_history; ANALYZE risk.risk_metrics_history")
            statement = str(sql._SESSION_ENDS)
            for name, value in ((":account_id", "'main'"), (":first", "NULL"), (":end", "NULL")):
                statement = statement.replace(name, value)
            explained = connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}".encode()).fetchone()
        assert explained is not None
        plan = explained[0][0]["Plan"]
        # 12,000 moments; a few pages for each of 40 sessions.
        assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 2_000, plan
        assert (await risk.ok("GET", "/accounts/main/var-backtest"))["observations"] == 38

    @pytest.mark.parametrize("query", ["start=2024-02-01&end=2024-02-01", "method=guess", "start=tomorrow"])
    async def test_what_cannot_be_asked_is_a_problem(self, risk: RiskClient, query: str) -> None:
        response = await risk.call("GET", f"/accounts/main/var-backtest?{query}")
        assert response.status_code == 422
        assert response.headers["content-type"] == "application/problem+json"

    async def test_an_account_that_lives_through_days_is_tested_on_them(self, run_risk: Running) -> None:
        clock = ManualClock(soon())
        sessions = [(clock.now() + timedelta(days=number)).date().isoformat() for number in range(5)]
        async with run_risk(clock=clock) as risk:
            await risk.set_up(limits=WIDE, session_date=sessions[0])
            await set_scenarios(risk)
            await buy(risk, "200")
            forecasts, made = [], []
            for following, price in zip(sessions[1:], ("101", "91", "92", "93"), strict=True):
                await risk.confirmed_mark(price)
                clock.advance(timedelta(minutes=1))
                await kept_at(risk, clock.now())
                status = await risk.ok("GET", "/accounts/main/status")
                forecasts.append(status["tail_risk"][0]["value_at_risk"])
                made.append(float(Decimal(status["equity"]) / Decimal(status["start_of_day_equity"])) - 1)
                await risk.ok("POST", "/accounts/main/day-roll", {"next_session_date": following})
                clock.advance(timedelta(days=1))
            clock.advance(timedelta(minutes=1))
            await kept_at(risk, clock.now())
            found = await risk.ok("GET", "/accounts/main/var-backtest")
            assert (found["first_session"], found["last_session"]) == (sessions[1], sessions[3])
            # 2,000 lost of some 100,000, where 20 % of it move by about 5 % in the worst of a hundred days.
            assert made[1] < -forecasts[0]
            assert [(each["session_date"], each["value_at_risk"]) for each in found["exceeded"]] == [
                (sessions[1], forecasts[0])
            ]
            assert found["exceeded"][0]["daily_return"] == pytest.approx(made[1], abs=1e-12)
            assert (found["observations"], found["confidence"]) == (3, 0.99)
            assert "less than one exception" in found["note"]


def moment_of(day: date, number: int, made: float, forecast: float) -> tuple[str, str]:
    key: dict[str, Any] = {
        "account_id": "main",
        "ts": datetime.fromisoformat(f"{day}T1{number}:00:00+00:00"),
        "journal_seq": day.toordinal() * 10 + number,
        "state_seq": 1,
        "reason": HistoryReason.MINUTE,
        "simulation_id": None,
        "session_date": day,
    }
    pnl = Decimal(str(made)) * 100_000
    money = dict.fromkeys(
        ("cash", "high_water_mark", "realised_pnl", "unrealised_pnl", "fees", "gross_notional", "net_notional"),
        Decimal(0),
    )
    portfolio = PortfolioPoint(
        **key,
        **money,
        base_currency="USD",
        equity=100_000 + pnl,
        start_of_day_equity=Decimal(100_000),
        day_pnl=pnl,
        open_orders=0,
        positions=[],
    )
    tail = TailRisk(
        method="historical",
        value_at_risk=forecast,
        expected_shortfall=forecast,
        confidence=0.95,
        horizon_days=1,
        observations=500,
    )
    measures = dict.fromkeys(("drawdown", "daily_loss", "gross_exposure", "net_exposure", "leverage"), 0.0)
    risk = RiskPoint(
        **key,
        **measures,
        level="GREEN",
        level_reason="made",
        kill_switch_active=False,
        worst_limit="position",
        worst_utilisation=0.0,
        tail_risk=[tail],
    )
    return portfolio.model_dump_json(), risk.model_dump_json()
