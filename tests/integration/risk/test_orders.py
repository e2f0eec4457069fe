import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from shared.api_keys import create_key
from shared.roles import Role
from tests.harness import Tokens
from tests.integration.risk.client import BASE, RiskClient, order
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
        ({"ts_event": "0"}, "timestamp_number"),
        ({"ts_event": "101.255"}, "timestamp_number"),
        ({"ts_event": "1767225600000"}, "timestamp_number"),
        ({"ts_event": "2026-03-02"}, "timestamp_number"),
    ],
)
async def test_bad_orders_are_named_and_leave_no_trace(risk: RiskClient, change: dict[str, Any], code: str) -> None:
    before = (await risk.ok("GET", "/journal?limit=1"))["last_seq"]
    response = await risk.call("POST", "/accounts/main/orders", {**order("o1"), **change})
    assert response.status_code == 422
    assert [error["code"] for error in response.json()["errors"]] == [code]
    assert (await risk.ok("GET", "/journal?limit=1"))["last_seq"] == before


async def test_times_a_live_account_cannot_live_at_are_refused(risk: RiskClient) -> None:
    await risk.order("o1")
    last = (await risk.ok("GET", "/journal?limit=1"))["last_seq"]
    fill = {"trade_id": "t1", "client_order_id": "o1", "quantity": "1", "price": "100"}
    ahead = (datetime.now(UTC) + timedelta(days=1, minutes=1)).isoformat()
    for when in ("1999-12-31T23:59:59Z", ahead, "9999-12-31T23:59:59Z"):
        for path, body in (("orders", order("o2")), ("orders/check", order("o2")), ("fills", fill)):
            response = await risk.call("POST", f"/accounts/main/{path}", {**body, "ts_event": when})
            assert (response.status_code, "the account is live" in response.text) == (422, True), (path, when)
    today = datetime.now(UTC).date()
    for days, status in ((11, 422), (10, 200)):
        roll = {"next_session_date": (today + timedelta(days=days)).isoformat()}
        if status != 200:
            assert (await risk.ok("GET", "/journal?limit=1"))["last_seq"] == last
        assert (await risk.call("POST", "/accounts/main/day-roll", roll)).status_code == status, days
    for number in ("86400", 86400, "99999999999"):
        response = await risk.call("POST", "/accounts/main/day-roll", {"next_session_date": number})
        assert (response.status_code, response.json()["errors"][0]["code"]) == (422, "date_number")
    far = {"account_id": "far", "base_currency": "USD", "initial_cash": "5", "session_date": "9999-12-31"}
    assert (await risk.call("POST", "/accounts", far)).status_code == 422
    simulated = {**far, "simulation_id": "s", "ts_event": "9999-12-31T00:00:00Z"}
    assert (await risk.call("POST", "/accounts", simulated)).status_code == 201


async def test_an_overfill_is_booked_told_and_counted(risk: RiskClient) -> None:
    def overfills() -> float:
        return REGISTRY.get_sample_value("trading_overfills_total") or 0

    await risk.order("o1", "10")
    await risk.fill("o1", "t1", "4")
    before = overfills()
    told = await risk.fill("o1", "t2", "7")
    assert (told["order_status"], told["leaves_quantity"], told["overfilled_quantity"]) == ("FILLED", "0", "1")
    assert overfills() == before + 1
    assert (await risk.fill("o1", "t2", "7"))["duplicate"] is True
    (position,) = (await risk.ok("GET", "/accounts/main"))["positions"]
    assert (position["quantity"], position["open_buy_quantity"]) == ("11", "0")


async def test_what_does_not_exist_is_a_404(risk: RiskClient) -> None:
    for method, path, body in [
        ("GET", "/accounts/none", None),
        ("GET", "/accounts/none/limits", None),
        ("GET", "/accounts/main/orders/none", None),
        ("POST", "/accounts/none/orders", order("o1")),
        ("POST", "/accounts/main/orders/none/cancel", {"reason": "as told"}),
    ]:
        assert (await risk.call(method, path, body)).status_code == 404, path
    for scope, target in (("ACCOUNT", "none"), ("SYMBOL", "NONE")):
        stop = {"scope": scope, "target": target, "reason": "mistyped"}
        assert (await risk.call("POST", "/kill-switches", stop, Role.ADMIN)).status_code == 404, scope
    assert (await risk.ok("GET", "/kill-switches"))["items"] == []


async def test_roles_are_kept_apart(risk: RiskClient) -> None:
    limits = {"limits": {"max_position_fraction": 0.2}, "reason": "more room"}
    stop = {"reason": "testing roles"}
    refused = [
        ("POST", "/accounts/main/orders", order("o1"), (Role.VIEWER, Role.ADMIN, Role.RISK_OFFICER)),
        ("PUT", "/accounts/main/limits", limits, (Role.VIEWER, Role.TRADER, Role.SERVICE)),
        (
            "PUT",
            "/accounts/main/high-water-mark",
            {"high_water_mark": "200000", "reason": "testing roles"},
            (Role.VIEWER, Role.TRADER, Role.SERVICE, Role.RISK_OFFICER),
        ),
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


async def test_the_status_shows_the_tail_by_every_method(risk: RiskClient) -> None:
    returns = [((number * 37) % 101 - 50) / 2_500 for number in range(200)]
    await risk.ok("PUT", "/scenarios", {"name": "made", "returns": {"STOCK": returns}}, Role.RISK_OFFICER)
    assert (await risk.ok("GET", "/scenarios"))["scenarios"] == 200
    await risk.order("o1", "50")
    assert (await risk.ok("GET", "/accounts/main/status"))["tail_risk"] == []
    await risk.fill("o1", "t1", "50")
    tail = (await risk.ok("GET", "/accounts/main/status"))["tail_risk"]
    assert [each["method"] for each in tail] == ["historical", "normal", "ewma", "cornish_fisher", "monte_carlo"]
    assert all(0 < each["value_at_risk"] <= each["expected_shortfall"] for each in tail)
    plan = await risk.ok("GET", "/accounts/main/liquidation-plan")
    assert [(step["symbol"], step["side"], step["quantity"]) for step in plan["steps"]] == [("STOCK", "SELL", "50")]


async def test_what_would_be_decided_is_told_and_nothing_is_kept(risk: RiskClient) -> None:
    asked = await risk.ok("POST", "/accounts/main/orders/check", order("o1", "101"))
    assert (asked["decision"], asked["max_quantity"]) == ("DENIED", "100")
    assert (await risk.call("GET", "/accounts/main/orders/o1")).status_code == 404
    assert (await risk.ok("GET", "/accounts/main/orders"))["items"] == []


async def test_a_service_describes_instruments_and_lifts_no_restriction(risk: RiskClient) -> None:
    stock = (await risk.ok("GET", "/instruments"))["items"][0]
    restricted = {**stock, "restricted": True}
    assert (await risk.call("PUT", "/instruments", {"instruments": [restricted]})).status_code == 403
    assert await risk.ok("PUT", "/instruments", {"instruments": [restricted]}, Role.RISK_OFFICER) == {"count": 1}
    assert (await risk.call("PUT", "/instruments", {"instruments": [stock]})).status_code == 403
    volume = {**restricted, "average_daily_volume": "123456"}
    new = {**stock, "symbol": "NEWCOMER"}
    assert await risk.ok("PUT", "/instruments", {"instruments": [volume, new]}) == {"count": 2}
    assert await risk.ok("PUT", "/instruments", {"instruments": [volume, new]}) == {"count": 0}
    assert await risk.ok("PUT", "/instruments", {"instruments": [stock]}, Role.ADMIN) == {"count": 1}


async def test_a_batch_is_decided_order_by_order_or_as_one(risk: RiskClient) -> None:
    await risk.order("used", "1")
    orders = [order("b1", "50"), order("used", "2"), order("b2", "60")]
    each = await risk.ok("POST", "/accounts/main/orders/batch", {"orders": orders})
    assert [decision and decision["decision"] for decision in each["decisions"]] == ["APPROVED", None, "DENIED"]
    assert [(one["index"], one["client_order_id"]) for one in each["refused"]] == [(1, "used")]
    whole = {"orders": [order("c1", "40"), order("c2", "20")], "all_or_none": True}
    together = await risk.ok("POST", "/accounts/main/orders/batch", whole)
    assert together["approved"] == 0
    codes = [decision["reasons"][0]["code"] for decision in together["decisions"]]
    assert codes == ["BATCH_DENIED", "POSITION_LIMIT"]
    for name, code in (("c1", "BATCH_DENIED"), ("c2", "POSITION_LIMIT")):
        shown = await risk.ok("GET", f"/accounts/main/decisions/{name}/explain")
        assert shown["agrees"]
        assert [check["code"] for check in shown["checks"] if not check["passed"]] == [code]


async def test_a_batch_does_not_go_out_beside_a_leg_that_has_ended(risk: RiskClient) -> None:
    await risk.order("d1", "10")
    await risk.ok("POST", "/accounts/main/orders/d1/cancel", {"reason": "no longer"})
    whole = {"orders": [order("d1", "10"), order("d2", "20")], "all_or_none": True}
    together = await risk.ok("POST", "/accounts/main/orders/batch", whole)
    assert together["approved"] == 0
    codes = [decision["reasons"][0]["code"] for decision in together["decisions"]]
    assert codes == ["ORDER_ENDED", "BATCH_DENIED"]
    assert (await risk.ok("GET", "/accounts/main/orders"))["items"] == []


async def test_an_instrument_on_itself_is_refused(risk: RiskClient) -> None:
    itself = {"symbol": "ITSELF", "currency": "USD", "asset_class": "OPTION", "tick_size": "0.01"}
    body = {"instruments": [{**itself, "underlying": "ITSELF"}]}
    refused = await risk.call("PUT", "/instruments", body, Role.ADMIN)
    assert refused.status_code == 422
    assert "own underlying" in refused.json()["detail"]


async def test_a_decision_is_explained_from_the_journal(risk: RiskClient) -> None:
    await risk.order("o1", "60")
    await risk.order("o2", "50")
    shown = await risk.ok("GET", "/accounts/main/decisions/o2/explain")
    assert shown["agrees"]
    assert [check["code"] for check in shown["checks"] if not check["passed"]] == ["POSITION_LIMIT"]
    assert shown["account"]["positions"][0]["open_buy_quantity"] == "60"
    assert (await risk.call("GET", "/accounts/main/decisions/none/explain")).status_code == 404


async def test_limits_have_a_history_and_come_back(risk: RiskClient) -> None:
    update = {"limits": {"max_position_fraction": 0.01}, "reason": "tighter"}
    await risk.ok("PUT", "/accounts/main/limits", update, Role.RISK_OFFICER)
    back = {"version": 1, "reason": "too tight"}
    assert (await risk.ok("POST", "/accounts/main/limits/rollback", back, Role.RISK_OFFICER))["version"] == 3
    history = (await risk.ok("GET", "/accounts/main/limits/history"))["items"]
    assert [each["version"] for each in history] == [3, 2, 1]


async def test_only_an_admin_adopts_what_the_broker_says(risk: RiskClient) -> None:
    request = {"positions": [{"symbol": "STOCK", "quantity": "7"}], "adopt": True, "reason": "their books"}
    assert (await risk.call("POST", "/accounts/main/reconcile", request, Role.RISK_OFFICER)).status_code == 403
    found = await risk.ok("POST", "/accounts/main/reconcile", request, Role.ADMIN)
    assert (found["adopted"], found["reconciled"], len(found["breaks"])) == (True, True, 1)
    assert (await risk.ok("GET", "/accounts/main"))["positions"][0]["quantity"] == "7"


async def test_no_tolerance_hides_a_difference(risk: RiskClient) -> None:
    wrong: dict[str, Any] = {"positions": [], "cash": "7", "tolerance": "999999999999"}
    for role in (Role.SERVICE, Role.RISK_OFFICER, Role.ADMIN):
        refused = await risk.call("POST", "/accounts/main/reconcile", wrong, role)
        assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json")
        assert "an admin adopts it" in refused.json()["detail"]
    told = await risk.ok("POST", "/accounts/main/reconcile", {**wrong, "tolerance": "1"}, Role.SERVICE)
    assert (told["reconciled"], [each["kind"] for each in told["breaks"]]) == (False, ["CASH"])
    (row,) = (await risk.ok("GET", f"/journal?after={told['seq'] - 1}&limit=1"))["items"]
    assert (row["body"]["broker_cash"], row["body"]["tolerance"]) == ("7", "1")


async def test_a_promised_heartbeat_that_stops_stops_the_strategy(risk: RiskClient) -> None:
    assert (await risk.call("POST", "/strategies/trend/heartbeat", {"timeout_seconds": 1})).status_code == 204
    assert (await risk.order("o1"))["decision"] == "APPROVED"
    async with asyncio.timeout(10):
        while not (await risk.ok("GET", "/kill-switches?active=true"))["items"]:
            await asyncio.sleep(0.1)
    assert (await risk.order("o2"))["reasons"][0]["code"] == "KILL_SWITCH_ACTIVE"
    assert (await risk.order("o3", strategy_id="other"))["decision"] == "APPROVED"


async def test_with_four_eyes_two_admins_release(run_risk: Running, tokens: Tokens) -> None:
    second = create_key(tokens.file, "second-admin", Role.ADMIN)
    async with run_risk(four_eyes=True) as risk:
        await risk.set_up()
        stop = await risk.ok("POST", "/emergency-stop", {"reason": "fire drill"}, Role.ADMIN)
        path = f"/kill-switches/{stop['kill_switch_id']}/release"
        asked = await risk.ok("POST", path, {"reason": "drill over"}, Role.ADMIN)
        assert asked["released_at"] is None
        assert (await risk.call("POST", path, {"reason": "drill over"}, Role.ADMIN)).status_code == 409
        headers = {"Authorization": f"Bearer {second}"}
        done = await risk.http.post(f"/api/v1/risk{path}", json={"reason": "seen"}, headers=headers)
        assert done.json()["released_by"] == "second-admin"
        acknowledged = await risk.ok(
            "POST",
            f"/kill-switches/{stop['kill_switch_id']}/acknowledgements",
            {"execution_id": "gateway-1", "cancelled_orders": 0},
        )
        assert acknowledged["acknowledged_by"] == ["gateway-1"]


@pytest.mark.parametrize("way", ["", "?&"])
async def test_of_a_field_that_is_named_twice_the_last_counts_on_either_way(risk: RiskClient, way: str) -> None:
    """README says so; the two ways of reading a body must not differ."""
    text = json.dumps(order("o1", "5")).replace('"quantity": "5"', '"quantity": "7", "quantity": "5"')
    assert text.count('"quantity"') == 2
    await risk.ok("GET", "/accounts")
    headers = {**risk.auth(Role.SERVICE), "Content-Type": "application/json"}
    answer = await risk.http.post(f"{BASE}/accounts/main/orders{way}", content=text, headers=headers)
    assert answer.json()["decision"] == "APPROVED", answer.text
    [held] = (await risk.ok("GET", "/accounts/main/orders"))["items"]
    assert held["leaves_quantity"] == "5"
