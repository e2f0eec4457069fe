"""Thresholds, symbols and calendars over the API."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

from services.marketdata.settings import MarketdataSettings
from shared.events import MARKS_STREAM
from shared.roles import Role
from tests.conftest import MakeSettings
from tests.harness import Tokens
from tests.integration.marketdata.client import BASE, START, Client, bar, batch, client_of, state

pytestmark = pytest.mark.integration


@pytest.fixture
async def client(make_settings: MakeSettings, tokens: Tokens) -> AsyncIterator[Client]:
    async with client_of(make_settings(MarketdataSettings), tokens) as found:
        yield found


async def put(client: Client, tokens: Tokens, path: str, body: Any, role: Role = Role.RISK_OFFICER) -> Any:
    said = body if isinstance(body, str) else json.dumps(body)
    headers = {**tokens.auth(role), "Content-Type": "application/json"}
    response = await client.http.put(BASE + path, content=said, headers=headers)
    return response.status_code, response.json()


async def test_thresholds_hold_from_when_they_are_set(client: Client, tokens: Tokens) -> None:
    rows = [bar(n, volume="0" if n else "1") for n in range(3)]
    assert (await client.post("/bars", batch(*rows)))["flagged"] == 0
    change = {
        "thresholds": [
            {"code": "volume_zero", "warning": 1, "critical": 2},
            {"symbol": "Y", "code": "volume_zero", "warning": None, "critical": None},
        ],
        "reason": "a liquid market",
    }
    status, answer = await put(client, tokens, "/quality/thresholds", change)
    assert status == 200, answer
    assert [(each["symbol"], each["set_by"]) for each in answer] == [
        ("*", "test-risk_officer"),
        ("Y", "test-risk_officer"),
    ]
    again = await client.post("/bars", batch(*rows, source="other"))
    assert [verdict["severity"] for verdict in again["verdicts"]] == ["warning", "critical"]
    assert (await client.post("/bars", batch(*(dict(row, symbol="Y") for row in rows))))["flagged"] == 0
    removed = {"remove": [{"code": "volume_zero"}], "reason": "too strict"}
    assert [each["symbol"] for each in (await put(client, tokens, "/quality/thresholds", removed))[1]] == ["Y"]
    assert (await client.post("/bars", batch(*rows, source="third")))["flagged"] == 0


@pytest.mark.parametrize(
    "change",
    [
        {"reason": "nothing"},
        {"thresholds": [{"code": "no_such_check", "warning": 1}], "reason": "unknown"},
        {"thresholds": [{"code": "gap", "warning": 2, "critical": 1}], "reason": "upside down"},
        {"thresholds": [{"code": "gap", "warning": 1}, {"code": "gap", "warning": 2}], "reason": "twice"},
        {"thresholds": [{"code": "spot_below_band", "warning": 1, "critical": 2}], "reason": "falls"},
        {"thresholds": [{"code": "gap", "warning": True}], "reason": "a boolean"},
        {"thresholds": [{"code": "gap", "warning": -0.1}], "reason": "below zero"},
        {"thresholds": [{"code": "gap", "critical": 0}], "reason": "reached by everything"},
        {"thresholds": [{"code": "spot_below_band", "critical": -1}], "reason": "falls below zero"},
        {"remove": [{"code": "no_such_check"}], "reason": "unknown"},
        '{"thresholds": [{"code": "gap", "warning": NaN}], "reason": "no number"}',
        '{"thresholds": [{"code": "gap", "critical": Infinity}], "reason": "null says that it is never reached"}',
        '{"thresholds": [{"code": "gap", "critical": 1e999}], "reason": "infinite too"}',
        {"thresholds": [{"code": "gap", "warning": 1}]},
    ],
)
async def test_thresholds_that_cannot_be(client: Client, tokens: Tokens, change: Any) -> None:
    status, answer = await put(client, tokens, "/quality/thresholds", change)
    assert status == 422
    assert answer["errors"]
    assert await client.get("/quality/thresholds") == []


async def test_who_may_set_what(client: Client, tokens: Tokens) -> None:
    change = {"thresholds": [{"code": "gap", "warning": 0.5}], "reason": "a test"}
    profile = {"calendar": "XNSE"}
    for role in Role:
        expected = 200 if role in (Role.RISK_OFFICER, Role.ADMIN) else 403
        assert (await put(client, tokens, "/quality/thresholds", change, role))[0] == expected
        expected = 200 if role in (Role.RISK_OFFICER, Role.ADMIN, Role.SERVICE) else 403
        assert (await put(client, tokens, "/symbols/X", profile, role))[0] == expected


async def test_every_check_is_listed(client: Client) -> None:
    checks = await client.get("/quality/checks")
    assert len(checks) > 35
    assert next(check for check in checks if check["code"] == "stale_age")["warning"] == 300


async def test_a_symbol_is_judged_by_its_markets_hours(client: Client, tokens: Tokens) -> None:
    # START is a Tuesday; Mumbai is open from 3:45 UTC.
    rows = [bar(3 * 60 + 44), bar(3 * 60 + 45), bar(10 * 60 - 1), bar(10 * 60)]
    assert (await client.post("/bars", batch(*rows)))["flagged"] == 0
    assert (await client.get("/symbols/X"))["calendar"] == "24x7"
    assert (await put(client, tokens, "/symbols/X", {"calendar": "XNSE", "price_limit": 0.2}))[0] == 200
    judged = await client.post("/bars", batch(*rows, source="two"))
    assert [(v["index"], v["issues"][0]["code"]) for v in judged["verdicts"]] == [
        (0, "outside_session"),
        (3, "outside_session"),
    ]
    midnight = (START - timedelta(hours=5, minutes=30)).isoformat()
    day = await client.post("/bars", batch(bar(0, interval="1d", ts=midnight)))
    assert day["flagged"] == 0
    assert (await put(client, tokens, "/symbols/A/B", {"calendar": "NOWHERE"}))[0] == 422
    assert (await put(client, tokens, "/symbols/A/B", {"calendar": "XSHG"}))[1]["symbol"] == "A/B"


async def test_hours_of_a_market_are_those_of_its_calendar(client: Client, tokens: Tokens) -> None:
    await put(client, tokens, "/symbols/X", {"calendar": "XNSE"})
    minutes = [bar(60 * 4 + n, f"{100 + n}") for n in range(100)]
    await client.post("/bars", batch(*minutes))
    hours = await client.all("/bars?symbol=X&interval=1h&simulation_id=s1")
    assert [(item["ts"][11:16], item["bars"]) for item in hours] == [("03:45", 45), ("04:45", 55)]
    days = await client.all("/bars?symbol=X&interval=1d&simulation_id=s1")
    assert [item["ts"] for item in days] == ["2024-01-01T18:30:00Z"]


async def test_a_markets_hours_can_be_set_for_a_day(client: Client, tokens: Tokens) -> None:
    await put(client, tokens, "/symbols/X", {"calendar": "XNSE"})
    path = "/calendars/XNSE/overrides/2024-01-02"
    evening = {"kind": "extra", "hours": "18:00-19:00", "reason": "an evening session"}
    status, answer = await put(client, tokens, path, evening, Role.ADMIN)
    assert (status, answer["set_by"]) == (200, "test-admin")
    (session,) = await client.get("/calendars/XNSE/sessions?start=2024-01-02&end=2024-01-03")
    assert [(each["open"][11:16], each["close"][11:16]) for each in session["hours"]] == [
        ("03:45", "10:00"),
        ("12:30", "13:30"),
    ]
    assert (await client.post("/bars", batch(bar(12 * 60 + 30))))["flagged"] == 0
    assert len(await client.get("/calendars/XNSE/overrides")) == 1
    for _ in range(2):
        response = await client.http.delete(BASE + path, headers=tokens.auth(Role.ADMIN))
    assert response.status_code == 404
    assert (await client.post("/bars", batch(bar(12 * 60 + 31))))["flagged"] == 1
    for hours, kind in (
        ("18:00-19:00", "closed"),
        ("", "open"),
        ("19:00-18:00", "open"),
        ("09:00-10:00", "extra"),
        ("x", "open"),
    ):
        body = {"kind": kind, "hours": hours, "reason": "cannot be"}
        assert (await put(client, tokens, path, body))[0] == 422
    assert (await put(client, tokens, "/calendars/NOPE/overrides/2024-01-02", evening))[0] == 404
    assert (await client.http.get(f"{BASE}/calendars/NOPE/sessions?start=2024-01-02&end=2024-01-03")).status_code == 404


@pytest.mark.parametrize("broken", [{"spot_price": None}, {"spot_price": "0"}, {"spot_price": "-3"}])
async def test_risk_hears_of_a_state_without_a_price(client: Client, redis_url: str, broken: dict[str, Any]) -> None:
    body = {"source": "test", "states": [state(0)]}
    await client.post("/market-states", body)
    await client.post("/market-states", {**body, "states": [state(1, **broken)]})
    await client.post("/market-states", {**body, "states": [state(2, spot_price="101")]})
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        async with asyncio.timeout(10):
            while await redis.xlen(MARKS_STREAM) < 3:
                await asyncio.sleep(0.02)
        marks = [json.loads(fields["data"]) for _, fields in await redis.xrange(MARKS_STREAM)]
    assert [(mark["price"], mark["severity"]) for mark in marks] == [("100", "ok"), ("100", "critical"), ("101", "ok")]
    latest = await client.get("/market-states/X/latest")
    assert latest["spot_price"] == "101"


async def test_a_state_that_does_not_say_when_it_was(client: Client) -> None:
    body = {"source": "test", "simulation_id": "s1"}
    first = await client.post("/market-states", {**body, "states": [state(None)]})
    again = await client.post("/market-states", {**body, "states": [state(None)]})
    assert (first["stored"], again["stored"], again["unchanged"]) == (1, 0, 1)
    other = await client.post("/market-states", {**body, "states": [state(None, spot_price="102")]})
    assert (other["stored"], other["revised"]) == (1, 0)
    identifier = first["verdicts"][0]["market_state_id"]
    stored = await client.get(f"/market-states/{identifier}")
    assert (stored["timestamp"], stored["severity"], stored["revision"]) == (None, "critical", 1)
    assert await client.all("/market-states?symbol=X&simulation_id=s1") == []
    assert (await client.http.get(f"{BASE}/market-states/X/latest?simulation_id=s1")).status_code == 404


async def test_a_state_said_anew_is_a_revision_and_both_are_found(client: Client) -> None:
    body = {"source": "test", "simulation_id": "s1"}
    first = await client.post("/market-states", {**body, "states": [state(0)]})
    second = await client.post("/market-states", {**body, "states": [state(0, spot_price="101")]})
    assert (second["stored"], second["revised"]) == (1, 1)
    ids = [answer["verdicts"][0]["market_state_id"] for answer in (first, second)]
    stored = [await client.get(f"/market-states/{identifier}") for identifier in ids]
    assert [(each["spot_price"], each["revision"]) for each in stored] == [("100", 1), ("101", 2)]
    (current,) = await client.all("/market-states?symbol=X&simulation_id=s1")
    assert current["spot_price"] == "101"
    (known,) = await client.all(f"/market-states?symbol=X&simulation_id=s1&known_at={stored[0]['ts_init']}")
    assert known["spot_price"] == "100"
