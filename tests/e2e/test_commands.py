"""The smaller commands against a running suite."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from shared.roles import Role
from tests.e2e.conftest import RunningSuite

pytestmark = pytest.mark.e2e

AT = datetime(2024, 12, 2, 10, 0, tzinfo=UTC).isoformat()
RISK = "/api/v1/risk"


@pytest.fixture
def account(suite: RunningSuite) -> str:
    """A simulated account with a mark of the symbol KILLME, in which an order would pass."""
    name = f"kill-{uuid4().hex[:8]}"
    with suite.client(Role.SERVICE) as client:
        instrument = {"symbol": "KILLME", "currency": "USD", "asset_class": "EQUITY", "tick_size": "0.01"}
        opened = {
            "account_id": name,
            "base_currency": "USD",
            "initial_cash": "1000000",
            "simulation_id": name,
            "session_date": "2024-12-02",
            "ts_event": AT,
        }
        mark = {"symbol": "KILLME", "price": "100", "ts_event": AT}
        client.put(f"{RISK}/instruments", json={"instruments": [instrument]}).raise_for_status()
        client.post(f"{RISK}/accounts", json=opened).raise_for_status()
        client.post(f"{RISK}/marks", json={"simulation_id": name, "marks": [mark]}).raise_for_status()
    return name


@pytest.fixture
def release(suite: RunningSuite) -> Iterator[None]:
    """Release every kill switch afterwards."""
    yield
    with suite.client() as client:
        for switch in client.get(f"{RISK}/kill-switches", params={"active": True}).raise_for_status().json()["items"]:
            path = f"{RISK}/kill-switches/{switch['kill_switch_id']}/release"
            client.post(path, json={"reason": "the test is over"}).raise_for_status()


def order(suite: RunningSuite, account: str) -> dict[str, object]:
    body = {
        "client_order_id": f"o-{uuid4().hex[:8]}",
        "strategy_id": "s",
        "symbol": "KILLME",
        "side": "BUY",
        "quantity": "1",
        "ts_event": AT,
    }
    with suite.client(Role.SERVICE) as client:
        decision: dict[str, object] = (
            client.post(f"{RISK}/accounts/{account}/orders", json=body).raise_for_status().json()
        )
    return decision


def codes(decision: dict[str, object]) -> list[str]:
    reasons = decision["reasons"]
    assert isinstance(reasons, list)
    return [reason["code"] for reason in reasons]


@pytest.mark.usefixtures("release")
@pytest.mark.parametrize("scope", ["ACCOUNT", "STRATEGY", "SYMBOL", "FIRM"])
def test_after_kill_an_order_is_denied(suite: RunningSuite, account: str, scope: str) -> None:
    assert order(suite, account)["decision"] == "APPROVED"
    targets = {"ACCOUNT": [account], "STRATEGY": ["s"], "SYMBOL": ["KILLME"], "FIRM": []}
    target = [argument for value in targets[scope] for argument in ("--target", value)]
    told = suite.run("kill", "--scope", scope, *target, "--reason", "the test says so").stdout
    assert told.startswith(f"stopped: {scope}")
    assert "1 open orders cancelled" in told
    decision = order(suite, account)
    assert decision["decision"] == "DENIED"
    assert "KILL_SWITCH_ACTIVE" in codes(decision)


@pytest.mark.usefixtures("release")
def test_a_mistyped_name_does_not_look_like_a_stop(suite: RunningSuite, account: str) -> None:
    kill = ("kill", "--reason", "the test says so", "--scope")
    for scope in ("ACCOUNT", "SYMBOL"):
        told = suite.run(*kill, scope, "--target", f"{account}-X".upper(), code=1)
        assert "nothing was stopped" in told.stderr
    told = suite.run(*kill, "STRATEGY", "--target", f"{account}-x")
    assert "no account has ever seen strategy" in told.stderr


@pytest.mark.usefixtures("release")
def test_after_an_emergency_stop_an_order_is_denied(suite: RunningSuite, account: str) -> None:
    suite.run("emergency-stop", "--reason", "the test says so")
    assert "KILL_SWITCH_ACTIVE" in codes(order(suite, account))


def test_a_key_made_on_the_command_line_opens_what_its_role_may_and_no_more(suite: RunningSuite) -> None:
    token = suite.var / f"{uuid4().hex}.key"
    suite.run("keys", "create", token.stem, "--role", "viewer", "--out", str(token))
    assert "the journal holds" in suite.run("verify", "--token-file", str(token)).stdout
    refused = suite.run("emergency-stop", "--reason", "not mine to say", "--token-file", str(token), code=1)
    assert "403" in refused.stderr
    assert token.read_text().strip() not in refused.stderr + refused.stdout
    suite.run("keys", "revoke", token.stem)


def test_the_journal_is_proved(suite: RunningSuite, account: str) -> None:
    order(suite, account)
    assert "the journal holds" in suite.run("verify").stdout


def test_the_journal_is_read_from_the_database_of_the_running_suite(
    suite: RunningSuite, account: str, tmp_path: Path
) -> None:
    order(suite, account)
    assert "the journal is sound" in suite.run("journal", "verify").stdout
    file = tmp_path / "journal.jsonl"
    assert "written" in suite.run("journal", "export", "--file", str(file)).stdout
    assert account in file.read_text()
    assert "the journal is sound" in suite.run("journal", "verify", "--export", str(file)).stdout
    # Nothing was started or stopped for it.
    assert "ready" in suite.run("health").stdout


def test_health_names_every_service_and_dependency(suite: RunningSuite) -> None:
    shown = suite.run("health").stdout
    for name in ("risk", "marketdata", "ml", "reporting", "database", "redis"):
        assert name in shown
    assert "not ready" not in shown


def test_status_shows_one_plain_frame(suite: RunningSuite, account: str) -> None:
    shown = suite.run("status", "--once").stdout
    assert "\x1b" not in shown
    for name in ("risk", "marketdata", "ml", "reporting", account):
        assert name in shown


def test_migrating_beside_a_running_suite_says_that_it_runs(suite: RunningSuite) -> None:
    assert "already runs" in suite.run("migrate", code=1).stderr
