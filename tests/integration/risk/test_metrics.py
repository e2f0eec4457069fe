"""What risk measures is what is the case: alerts are built on it."""

import asyncio
import math
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psycopg
import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from services.risk.signing import create_signing_key
from shared.embedded import EmbeddedPostgres
from shared.events import MARKS_STREAM, publish
from shared.roles import Role
from shared.schemas.breakers import BreakerName
from shared.schemas.marketdata import MarkMessage
from tests.harness import plain
from tests.integration.risk.client import RiskClient, order, until
from tests.integration.risk.conftest import Running

pytestmark = pytest.mark.integration


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


async def becomes(name: str, expected: float, **labels: str) -> None:
    async def is_so() -> bool:
        return value(name, **labels) == expected

    await until(is_so)


async def of_account(risk: RiskClient, name: str, **labels: str) -> float | None:
    """Return what is shown of the account `main`, as a scraper reads it."""
    text = (await risk.http.get("/metrics", headers=risk.auth(Role.VIEWER))).text
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and sample.labels == {"account": "main", **labels}:
                return sample.value
    return None


async def account_shows(risk: RiskClient, name: str, expected: float) -> None:
    async def is_so() -> bool:
        return await of_account(risk, name) == expected

    await until(is_so)


async def test_breaks_with_the_broker_are_shown_until_they_are_gone_and_after_a_restart(run_risk: Running) -> None:
    theirs = {"positions": [{"symbol": "STOCK", "quantity": "7"}, {"symbol": "OTHER", "quantity": "1"}]}
    async with run_risk() as risk:
        await risk.set_up()
        await account_shows(risk, "risk_reconciliation_breaks", 0)
        await risk.ok("POST", "/accounts/main/reconcile", theirs, Role.ADMIN)
        await account_shows(risk, "risk_reconciliation_breaks", 2)
    async with run_risk() as risk:
        await account_shows(risk, "risk_reconciliation_breaks", 2)
        adopted = {**theirs, "adopt": True, "reason": "their books"}
        await risk.ok("POST", "/accounts/main/reconcile", adopted, Role.ADMIN)
        await account_shows(risk, "risk_reconciliation_breaks", 0)


async def test_the_newest_mark_is_that_of_what_is_held(risk: RiskClient) -> None:
    async def nothing_is_held() -> bool:
        shown = await of_account(risk, "risk_newest_mark_timestamp_seconds")
        return shown is not None and math.isnan(shown)

    await until(nothing_is_held)
    await risk.order("o1", "5")
    await risk.fill("o1", "t1", "5")
    marked = datetime.fromisoformat((await risk.ok("GET", "/marks?symbol=STOCK"))["items"][0]["ts_event"])
    await risk.mark("50", "OTHER")
    await account_shows(risk, "risk_newest_mark_timestamp_seconds", marked.timestamp())


async def test_the_gauges_of_an_account_are_its_status(risk: RiskClient) -> None:
    await risk.order("o1", "5")
    await risk.fill("o1", "t1", "5")
    await risk.mark("90")
    await account_shows(risk, "trading_pnl_current", -50)
    status = await risk.ok("GET", "/accounts/main/status")
    assert await of_account(risk, "trading_positions_open") == 1
    assert await of_account(risk, "risk_drawdown_current") == status["drawdown"] > 0
    assert await of_account(risk, "risk_leverage_current") == status["leverage"] == 0
    assert await of_account(risk, "risk_level") == 0
    assert await of_account(risk, "risk_fill_doubted") == 0
    value_at_risk = await of_account(risk, "risk_var_current")
    assert value_at_risk is not None
    assert math.isnan(value_at_risk)
    shown = {name: await of_account(risk, "risk_circuit_breaker_state", breaker=name) for name in BreakerName}
    assert shown == dict.fromkeys(BreakerName, 0)
    await risk.ok("POST", "/kill-switches", {"scope": "ACCOUNT", "target": "main", "reason": "told"}, Role.ADMIN)
    await account_shows(risk, "risk_level", 4)


async def test_every_mark_taken_off_the_stream_is_counted(risk: RiskClient, redis_url: str) -> None:
    before = value("risk_marks_received_total") or 0
    # Of a symbol nobody knows: that it came counts, not what it changed.
    marks = [
        MarkMessage.model_validate({"symbol": name, "price": "1", "ts_event": datetime.now(UTC), "source": "test"})
        for name in ("STOCK", "ZZZ")
    ]
    async with Redis.from_url(redis_url) as redis:
        await publish(redis, MARKS_STREAM, marks)
    await becomes("risk_marks_received_total", before + 2)


async def test_switches_are_counted_by_what_pulled_them(risk: RiskClient) -> None:
    manual = {"scope": "SYMBOL", "kind": "MANUAL"}
    heartbeat = {"scope": "STRATEGY", "kind": "SYSTEM_ERROR"}
    pulled = value("risk_kill_switch_activations_total", **manual) or 0
    stopped = value("risk_kill_switch_activations_total", **heartbeat) or 0
    await risk.ok("POST", "/kill-switches", {"scope": "SYMBOL", "target": "OTHER", "reason": "told"}, Role.ADMIN)
    assert value("risk_kill_switch_activations_total", **manual) == pulled + 1
    await risk.call("POST", "/strategies/trend/heartbeat", {"timeout_seconds": 1})
    await becomes("risk_kill_switch_activations_total", stopped + 1, **heartbeat)


async def test_a_commit_that_is_not_confirmed_is_counted(risk: RiskClient, database_url: str) -> None:
    before = value("risk_journal_commit_failures_total")
    assert before is not None
    cut = "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE application_name = 'keelson-risk-engine'"
    # The renewal of the lease may be the first to meet a connection that is cut: then no commit failed.
    for number in range(20):
        await until(risk.ready)
        with psycopg.connect(plain(database_url)) as connection:
            connection.execute(cut.encode())
        await risk.call("POST", "/accounts/main/orders", order(f"o{number}"))
        if (value("risk_journal_commit_failures_total") or 0) > before:
            return
    pytest.fail("no commit that failed was counted")


async def test_the_share_of_the_queue_that_is_taken(run_risk: Running) -> None:
    async with run_risk(risk_queue=8) as risk:
        await risk.set_up()
        assert value("risk_queue_used_ratio") == 0
        # Put in without a pause between: the engine takes none before all four are in.
        asked = [asyncio.ensure_future(risk.app.state.engine.read(lambda state: state.last_seq)) for _ in range(4)]
        seen = []

        async def look() -> None:
            seen.append(value("risk_queue_used_ratio"))

        await look()
        await asyncio.sleep(0)
        await look()
        await asyncio.gather(*asked)
        assert max(each or 0 for each in seen) == 0.5
        assert value("risk_queue_used_ratio") == 0


async def test_when_the_journal_was_signed_last(run_risk: Running, tmp_path: Path) -> None:
    create_signing_key(tmp_path / "key")
    began = datetime.now(UTC).timestamp()
    kept = {"risk_checkpoint_file": tmp_path / "signed", "risk_checkpoint_key_file": tmp_path / "key"}
    async with run_risk(**kept, risk_checkpoint_seconds=0.2) as risk:
        await risk.set_up()

        async def signed() -> bool:
            return (value("risk_checkpoint_timestamp_seconds") or 0) >= began

        await until(signed)


async def test_readiness_is_a_metric_too(run_risk: Running, own_postgres: EmbeddedPostgres) -> None:
    async def lines(http: httpx.AsyncClient) -> list[str]:
        return [
            line for line in (await http.get("/metrics")).text.splitlines() if line.startswith("keelson_dependency")
        ]

    async with run_risk(database_url=own_postgres.start()) as risk:
        assert sorted(await lines(risk.http)) == [
            f'keelson_dependency_ready{{dependency="{name}"}} 1.0' for name in ("database", "engine", "redis")
        ]
        own_postgres.stop()

        async def gone() -> bool:
            return 'keelson_dependency_ready{dependency="database"} 0.0' in await lines(risk.http)

        await until(gone)
        assert 'keelson_dependency_ready{dependency="redis"} 1.0' in await lines(risk.http)
