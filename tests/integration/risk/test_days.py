"""What README and the glossary say of days: what is remembered, and what ends by itself."""

from datetime import UTC, date, datetime, timedelta

import pytest

from shared.roles import Role
from shared.schemas.denials import DenialCode
from tests.integration.risk.client import RiskClient, order

pytestmark = pytest.mark.integration


def fill(order_id: str, trade_id: str, quantity: str) -> dict[str, str]:
    seen = datetime.now(UTC).isoformat()
    return {
        "trade_id": trade_id,
        "client_order_id": order_id,
        "quantity": quantity,
        "price": "100",
        "ts_event": seen,
    }


async def roll(risk: RiskClient, days: int) -> None:
    following = datetime.now(UTC).date() + timedelta(days=days)
    await risk.ok("POST", "/accounts/main/day-roll", {"next_session_date": following.isoformat()})


async def test_names_are_remembered_for_two_sessions_and_free_after_them(risk: RiskClient) -> None:
    await risk.order("o1", "50")
    await risk.fill("o1", "t1", "50")
    await roll(risk, 1)
    # One that reduces: it passes in a session that was rolled early too.
    other = order("o1", quantity="10", side="SELL")
    assert (await risk.call("POST", "/accounts/main/orders", other)).status_code == 409
    assert (await risk.call("POST", "/accounts/main/fills", fill("o1", "t1", "50"))).status_code == 200
    assert (await risk.ok("GET", "/accounts/main"))["positions"][0]["quantity"] == "50"
    await roll(risk, 2)
    late = await risk.call("POST", "/accounts/main/fills", fill("o1", "t2", "1"))
    assert (late.status_code, "has no order o1" in late.json()["detail"]) == (404, True)
    assert (await risk.call("POST", "/accounts/main/orders", other)).json()["decision"] == "APPROVED"
    await risk.ok("POST", "/accounts/main/fills", fill("o1", "t1", "10"))
    assert (await risk.ok("GET", "/accounts/main"))["positions"][0]["quantity"] == "40"


async def test_a_day_order_is_open_until_its_end_is_reported(risk: RiskClient) -> None:
    await risk.order("o1", "50", time_in_force="DAY")
    for days in (1, 2, 3):
        await roll(risk, days)
    listed = (await risk.ok("GET", "/accounts/main/orders"))["items"]
    assert [(each["client_order_id"], each["leaves_quantity"]) for each in listed] == [("o1", "50")]
    await risk.ok("POST", "/accounts/main/orders/o1/expire", {"reason": "the venue says so"})
    assert (await risk.ok("GET", "/accounts/main/orders"))["items"] == []


async def test_a_strategy_that_the_throttle_disabled_is_enabled_as_the_denials_text_says(risk: RiskClient) -> None:
    limits = {"price_collar_bps": 0, "max_repeated_executions": 1}
    await risk.ok("PUT", "/accounts/main/limits", {"limits": limits, "reason": "one is enough"}, Role.RISK_OFFICER)
    await risk.order("o1", "1")
    await risk.fill("o1", "t1", "1")
    denied = await risk.order("o2", "1")
    assert [each["code"] for each in denied["reasons"]] == ["REPEATED_EXECUTION"]
    _, _, said = DenialCode.REPEATED_EXECUTION.text.partition("`POST ")
    path = said.rstrip("`.").replace("{account_id}", "main").replace("STRATEGY", "trend")
    await risk.ok("POST", path, {"reason": "it was a test"}, Role.RISK_OFFICER)
    assert (await risk.order("o3", "1"))["decision"] == "APPROVED"


@pytest.mark.parametrize(
    ("fields", "earliest"),
    [({}, "2000-01-01"), ({"simulation_id": "s", "ts_event": "2026-03-02T12:00:00Z"}, "1900-01-01")],
)
async def test_no_session_lies_before_there_was_a_market(
    risk: RiskClient, fields: dict[str, str], earliest: str
) -> None:
    first = date.fromisoformat(earliest)
    opened = {"account_id": "early", "base_currency": "USD", "initial_cash": "5", **fields}
    for before in ("0001-01-01", str(first - timedelta(days=1))):
        refused = await risk.call("POST", "/accounts", {**opened, "session_date": before})
        assert (refused.status_code, f"before {earliest}" in refused.json()["detail"]) == (422, True)
    await risk.ok("POST", "/accounts", {**opened, "session_date": earliest})
    roll = {"next_session_date": str(first + timedelta(days=1)), **{k: v for k, v in fields.items() if k == "ts_event"}}
    await risk.ok("POST", "/accounts/early/day-roll", roll)
    # Nor does the day of a simulation's own time.
    ancient = {**opened, "account_id": "ancient", "simulation_id": "s", "ts_event": "0001-01-01T00:00:00Z"}
    assert (await risk.call("POST", "/accounts", ancient)).status_code == 422
