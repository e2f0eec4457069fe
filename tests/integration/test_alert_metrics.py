"""What the alert rules ask for is what running services export: a rule on a name nobody exports never fires."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from cli.paths import ROOT
from gateway.dashboard.app import create as create_dashboard
from services.marketdata.main import create as create_marketdata
from services.marketdata.settings import MarketdataSettings
from services.ml.main import create as create_ml
from services.ml.settings import MlSettings
from services.reporting.main import create as create_reporting
from services.reporting.settings import ReportingSettings
from services.risk.main import create as create_risk
from services.risk.settings import RiskSettings
from shared.roles import Role
from shared.settings import AppSettings
from tests.conftest import MakeSettings
from tests.harness import Tokens, running
from tests.integration.risk.client import RiskClient, order, until
from tests.rules import Selector, alerts, selectors

pytestmark = pytest.mark.integration
Samples = list[tuple[str, dict[str, str]]]
Auth = Callable[[Role], dict[str, str]]
NOWHERE = "postgresql+psycopg://nobody:nothing@127.0.0.1:1/none"
# Made by Prometheus itself for each target.
_UP = "up"


async def samples(http: httpx.AsyncClient) -> Samples:
    answer = await http.get("/metrics")
    assert answer.status_code == 200
    return [
        (sample.name, sample.labels)
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    ]


async def of_risk(app: FastAPI, auth: Auth) -> Samples:
    """Return what a leader exports that has approved and denied."""
    async with running(app, auth(Role.SERVICE)) as http:
        risk = RiskClient(http, auth, app)
        await until(risk.ready)
        await risk.set_up()
        assert (await risk.order("o1"))["decision"] == "APPROVED"
        denied = await risk.order("o2", symbol="OTHER")
        assert [reason["code"] for reason in denied["reasons"]] == ["MARK_MISSING"]

        async def shown() -> bool:
            return any(name == "risk_level" for name, _ in await samples(http))

        await until(shown)
        return await samples(http)


async def of_marketdata(app: FastAPI, auth: Auth) -> Samples:
    """Return what a process exports that drives sources, one of which failed, and watches live data."""
    async with running(app, auth(Role.SERVICE)) as http:
        calls = [{"at": "2024-01-02T00:00:00Z", "ok": False, "latency_ms": 1}]
        answer = await http.post("/api/v1/marketdata/feeds/desk/calls", json={"calls": calls})
        assert answer.status_code == 200

        async def shown() -> bool:
            names = {name for name, _ in await samples(http)}
            return {"marketdata_feed_active", "marketdata_monitor_findings"} <= names

        await until(shown)
        return await samples(http)


async def of_risk_without_a_database(app: FastAPI, auth: Auth) -> Samples:
    async with running(app, auth(Role.SERVICE)) as http:
        assert (await http.post("/api/v1/risk/accounts/main/orders", json=order("o1"))).status_code == 503
        return await samples(http)


@pytest.fixture
async def exported(make_settings: MakeSettings, auth: Auth) -> Samples:
    found = await of_risk(create_risk(make_settings(RiskSettings)), auth)
    found += await of_risk_without_a_database(create_risk(make_settings(RiskSettings, database_url=NOWHERE)), auth)
    # Of the other shards, where there are any.
    sharded = make_settings(
        RiskSettings, database_url=NOWHERE, risk_shards=2, risk_peers="http://127.0.0.1:1,http://127.0.0.1:1"
    )
    return found + await of_risk_without_a_database(create_risk(sharded), auth)


async def test_every_metric_the_rules_ask_for_is_exported_with_the_labels_they_ask_for(
    exported: Samples, make_settings: MakeSettings, auth: Auth
) -> None:
    settings = make_settings(
        MarketdataSettings,
        primary_source="desk",
        # Whoever is driven here counts what it does not take.
        marketdata_sources="replay.binance-btcusdt-1m",
        marketdata_replay_folder=ROOT / "data" / "sample",
    )
    exported += await of_marketdata(create_marketdata(settings), auth)
    wanted = {each for _, rule in alerts() for each in selectors(rule["expr"]) if each.name != _UP}
    assert len(wanted) > 45
    missing = [each for each in wanted if not any(each.takes(name, labels) for name, labels in exported)]
    assert missing == []


def test_what_marketdata_counts_by_a_label_is_there_before_it_happens() -> None:
    code = "import services.marketdata.main, prometheus_client as p; print(p.generate_latest().decode())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    found = [
        (sample.name, sample.labels)
        for family in text_string_to_metric_families(run.stdout)
        for sample in family.samples
    ]
    # An increase from nothing to one is none; of sources there is nothing before there is a source.
    counted = {
        each
        for path, rule in alerts()
        for each in selectors(rule["expr"])
        if path.name == "marketdata.yml" and each.name.endswith("_total") and "_feed_" not in each.name
    }
    counted |= selectors('marketdata_feed_switches_total{reason!="start"}')
    assert len(counted) >= 8
    assert [each for each in counted if not any(each.takes(*sample) for sample in found)] == []


def test_a_label_or_a_value_nobody_exports_is_found() -> None:
    found = [("trading_orders_total", {"decision": "DENIED"})]
    assert selectors('trading_orders_total{decision="DENIED"}').pop().takes(*found[0])
    for typo in ('trading_orders_total{decision="denied"}', 'trading_orders_total{verdict="DENIED"}', "trading_orders"):
        assert not selectors(typo).pop().takes(*found[0])


@pytest.mark.parametrize(
    ("create", "cls"),
    [
        (create_risk, RiskSettings),
        (create_marketdata, MarketdataSettings),
        (create_ml, MlSettings),
        (create_reporting, ReportingSettings),
    ],
)
async def test_every_service_exports_what_the_rules_of_all_services_ask_for(
    create: Callable[[Any], FastAPI], cls: type[Any], make_settings: MakeSettings, auth: Auth
) -> None:
    async with running(create(make_settings(cls)), auth(Role.VIEWER)) as http:
        await _has_the_common_ones(http, "keelson_dependency_ready")


async def test_so_does_the_dashboard_but_for_dependencies_as_it_has_none(tokens: Tokens, auth: Auth) -> None:
    settings = AppSettings(environment="test", log_stdout=False, api_keys_file=tokens.file)
    async with running(create_dashboard(settings), auth(Role.VIEWER)) as http:
        await _has_the_common_ones(http)


async def _has_the_common_ones(http: httpx.AsyncClient, *more: str) -> None:
    await http.get("/nothing-here")
    found = await samples(http)
    for name in ("http_requests_total", "http_request_duration_seconds_count", *more):
        assert any(each == name for each, _ in found), name
    assert any(Selector("http_request_duration_seconds_bucket", (("le", "=", "0.5"),)).takes(*each) for each in found)
