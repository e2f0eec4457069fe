import asyncio
from typing import Any

import pytest

from shared.roles import Role
from tests.integration.risk.client import RiskClient, order
from tests.integration.risk.conftest import Running

pytestmark = pytest.mark.integration


async def test_an_order_is_approved_filled_and_seen_in_the_account(risk: RiskClient) -> None:
    decision = await risk.order("o1", "50")
    assert (decision["decision"], decision["reasons"]) == ("APPROVED", [])
    assert decision["risk_score"] == pytest.approx(0.5)
    result = await risk.fill("o1", "t1", "50", "101")
    assert result["order_status"] == "FILLED"
    account = await risk.ok("GET", "/accounts/main")
    assert account["positions"][0]["quantity"] == "50"
    assert account["equity"] == "99950"
    assert account["open_orders"] == 0


async def test_a_denial_is_a_200_with_every_reason(risk: RiskClient) -> None:
    decision = await risk.order("o1", "101.5")
    assert decision["decision"] == "DENIED"
    assert [reason["code"] for reason in decision["reasons"]] == ["LOT_SIZE", "POSITION_LIMIT"]
    assert decision == await risk.ok("GET", "/accounts/main/orders/o1")


async def test_the_same_order_again_gets_the_stored_decision_and_another_is_a_409(risk: RiskClient) -> None:
    first = await risk.order("o1")
    assert await risk.order("o1") == first
    response = await risk.call("POST", "/accounts/main/orders", order("o1", "2"))
    assert response.status_code == 409
    assert response.json()["type"] == "urn:keelson:problem:conflict"


async def test_a_hundred_orders_at_once_never_spend_the_same_headroom(risk: RiskClient) -> None:
    answers = await asyncio.gather(*(risk.order(f"o{n}", "10") for n in range(100)))
    assert sum(answer["decision"] == "APPROVED" for answer in answers) == 10
    account = await risk.ok("GET", "/accounts/main")
    assert account["positions"][0]["open_buy_quantity"] == "100"
    assert len({answer["seq"] for answer in answers}) == 100


async def test_the_same_order_from_many_at_once_is_one_order(risk: RiskClient) -> None:
    answers = await asyncio.gather(*(risk.order("o1", "10") for _ in range(50)))
    assert len({answer["seq"] for answer in answers}) == 1


async def test_an_order_can_be_cancelled_rejected_or_expire(risk: RiskClient) -> None:
    for number, (end, status) in enumerate([("cancel", "CANCELLED"), ("reject", "REJECTED"), ("expire", "EXPIRED")]):
        await risk.order(f"o{number}", "100")
        view = await risk.ok("POST", f"/accounts/main/orders/o{number}/{end}", {"reason": "as told"})
        assert view["status"] == status
    assert (await risk.ok("GET", "/accounts/main"))["open_orders"] == 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"quantity": 1.5}, "decimal_from_float"),
        ({"quantity": "NaN"}, "decimal_syntax"),
        ({"quantity": "0"}, "greater_than"),
        ({"quantity": "-1"}, "greater_than"),
        ({"quantity": "1" + "0" * 30}, "decimal_out_of_range"),
        ({"side": "HOLD"}, "enum"),
        ({"extra": 1}, "extra_forbidden"),
        ({"client_order_id": "a b"}, "string_pattern_mismatch"),
        ({"client_order_id": "x" * 65}, "string_pattern_mismatch"),
        ({"limit_price": "5"}, "value_error"),
        ({"order_type": "LIMIT"}, "value_error"),
        ({"ts_event": "2026-01-01T00:00:00"}, "timezone_aware"),
        ({"ts_event": 5}, "timestamp_number"),
    ],
)
async def test_bad_orders_are_named_and_leave_no_trace(risk: RiskClient, change: dict[str, Any], code: str) -> None:
    before = (await risk.ok("GET", "/journal?limit=1"))["last_seq"]
    response = await risk.call("POST", "/accounts/main/orders", {**order("o1"), **change})
    assert response.status_code == 422
    assert [error["code"] for error in response.json()["errors"]] == [code]
    assert (await risk.ok("GET", "/journal?limit=1"))["last_seq"] == before


async def test_what_does_not_exist_is_a_404(risk: RiskClient) -> None:
    for method, path, body in [
        ("GET", "/accounts/none", None),
        ("GET", "/accounts/none/limits", None),
        ("GET", "/accounts/main/orders/none", None),
        ("POST", "/accounts/none/orders", order("o1")),
        ("POST", "/accounts/main/orders/none/cancel", {"reason": "as told"}),
    ]:
        assert (await risk.call(method, path, body)).status_code == 404, path


async def test_roles_are_kept_apart(risk: RiskClient) -> None:
    limits = {"limits": {"max_position_fraction": 0.2}, "reason": "more room"}
    stop = {"reason": "testing roles"}
    refused = [
        ("POST", "/accounts/main/orders", order("o1"), (Role.VIEWER, Role.ADMIN, Role.RISK_OFFICER)),
        ("PUT", "/accounts/main/limits", limits, (Role.VIEWER, Role.TRADER, Role.SERVICE)),
        ("POST", "/emergency-stop", stop, (Role.VIEWER, Role.TRADER, Role.SERVICE, Role.RISK_OFFICER)),
        ("POST", "/kill-switches/x/release", stop, (Role.VIEWER, Role.TRADER, Role.SERVICE, Role.RISK_OFFICER)),
        ("POST", "/marks", {"marks": []}, (Role.VIEWER, Role.TRADER, Role.RISK_OFFICER)),
    ]
    for method, path, body, roles in refused:
        for role in roles:
            assert (await risk.call(method, path, body, role)).status_code == 403, (path, role)
    assert (await risk.call("PUT", "/accounts/main/limits", limits, Role.RISK_OFFICER)).json()["version"] == 2


async def test_listings_are_paged_without_gap_or_repeat(risk: RiskClient) -> None:
    for number in range(7):
        await risk.ok(
            "POST",
            "/accounts",
            {"account_id": f"a{number}", "base_currency": "USD", "initial_cash": "1", "simulation_id": "s"},
        )
    found, cursor = [], ""
    while True:
        page = await risk.ok("GET", f"/accounts?simulation_id=s&limit=3{cursor}")
        found += [account["account_id"] for account in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert found == [f"a{number}" for number in reversed(range(7))]
    assert (await risk.call("GET", "/accounts?cursor=nonsense")).status_code == 400


async def test_an_account_is_opened_once(risk: RiskClient) -> None:
    body = {"account_id": "new", "base_currency": "USD", "initial_cash": "5"}
    assert (await risk.call("POST", "/accounts", body)).status_code == 201
    assert (await risk.call("POST", "/accounts", body)).status_code == 200
    assert (await risk.call("POST", "/accounts", {**body, "initial_cash": "6"})).status_code == 409


async def test_decisions_and_state_survive_a_restart(run_risk: Running) -> None:
    async with run_risk() as risk:
        await risk.set_up()
        decision = await risk.order("o1", "60")
        await risk.fill("o1", "t1", "20", "100")
        account = await risk.ok("GET", "/accounts/main")
    async with run_risk() as risk:
        assert await risk.ok("GET", "/accounts/main") == account
        assert await risk.order("o1", "60") == decision
        assert (await risk.fill("o1", "t2", "40"))["order_status"] == "FILLED"
        assert (await risk.order("o2", "41"))["decision"] == "DENIED"


async def test_kill_switches_stop_at_once_and_survive_a_restart(run_risk: Running) -> None:
    async with run_risk() as risk:
        await risk.set_up()
        await risk.order("o1", "60")
        switch = await risk.ok("POST", "/emergency-stop", {"reason": "fire drill"}, Role.ADMIN)
        assert (switch["scope"], switch["cancelled_orders"]) == ("FIRM", 1)
        assert (await risk.order("o2"))["reasons"][0]["code"] == "KILL_SWITCH_ACTIVE"
    async with run_risk() as risk:
        assert (await risk.order("o3"))["reasons"][0]["code"] == "KILL_SWITCH_ACTIVE"
        assert (await risk.ok("GET", "/accounts/main"))["risk_level"] == "BLACK"
        active = await risk.ok("GET", "/kill-switches?active=true")
        assert [each["kill_switch_id"] for each in active["items"]] == [switch["kill_switch_id"]]
        path = f"/kill-switches/{switch['kill_switch_id']}/release"
        await risk.ok("POST", path, {"reason": "drill over"}, Role.ADMIN)
        assert (await risk.call("POST", path, {"reason": "drill over"}, Role.ADMIN)).status_code == 409
        assert (await risk.order("o4"))["decision"] == "APPROVED"


async def test_orders_racing_a_kill_switch_are_never_approved_after_it(risk: RiskClient) -> None:
    async def stop() -> Any:
        return await risk.ok("POST", "/kill-switches", {"scope": "FIRM", "reason": "racing"}, Role.ADMIN)

    orders = [risk.order(f"o{n}", "1") for n in range(60)]
    found = await asyncio.gather(*orders[:30], stop(), *orders[30:])
    stopped_at = found[30]["seq"]
    for answer in (*found[:30], *found[31:]):
        # What was approved and not yet answered when the switch was pulled is answered as denied.
        if answer["decision"] == "APPROVED":
            assert answer["seq"] < stopped_at
        else:
            assert [reason["code"] for reason in answer["reasons"]] == ["KILL_SWITCH_ACTIVE"]
    assert (await risk.ok("GET", "/accounts/main"))["open_orders"] == 0
