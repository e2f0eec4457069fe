"""Whatever one caller sends, the engine goes on deciding for all the others."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from redis.asyncio import Redis

from services.risk.core.state import FirmState
from services.risk.engine import Engine
from shared.events import MARKS_STREAM, publish
from shared.roles import Role
from shared.schemas.marketdata import MarkMessage
from tests.integration.risk.client import RiskClient, order, until

pytestmark = pytest.mark.integration
HUGE = "9" * 18
NOBODY_STOPPED = {
    "max_position_fraction": 10,
    "max_sector_fraction": 1000,
    "max_asset_class_fraction": 1000,
    "max_gross_exposure": 1000,
    "max_daily_loss_fraction": 1,
    "max_drawdown_fraction": 1,
    "price_collar_bps": 0,
    "fill_doubt_fraction": None,
}
BEYOND_ALL = ["POSITION_LIMIT", "ASSET_CLASS_LIMIT", "GROSS_EXPOSURE_LIMIT", "BUYING_POWER"]


@pytest.fixture(autouse=True)
async def undisturbed(risk: RiskClient) -> AsyncIterator[None]:
    """The engine is the same one before and after: it never fell over and never rebuilt."""
    limits = {"limits": NOBODY_STOPPED, "reason": "room for large orders"}
    await risk.ok("PUT", "/accounts/main/limits", limits, Role.RISK_OFFICER)
    yield
    assert await risk.engine_state() is None
    # A price in doubt stops its symbol alone.
    await risk.mark("100")
    assert (await risk.order("the-last-one"))["decision"] == "APPROVED"
    rows = (await risk.ok("GET", "/journal?limit=5000"))["items"]
    assert {row["epoch"] for row in rows} == {1}
    assert (await risk.ok("GET", "/journal/verify"))["ok"]


def fill(order_id: str, trade_id: str, **fields: str) -> dict[str, str]:
    values = {"quantity": "1", "price": "100", "ts_event": datetime.now(UTC).isoformat()}
    return {"trade_id": trade_id, "client_order_id": order_id, **values, **fields}


async def test_a_mark_that_makes_a_position_priceless_is_no_mark(risk: RiskClient) -> None:
    await risk.order("o1", "1000")
    await risk.fill("o1", "t1", "1000")
    await risk.confirmed_mark(HUGE)
    account = await risk.ok("GET", "/accounts/main")
    assert (account["equity"], account["high_water_mark"]) == ("100000", "100000")


async def test_nor_one_that_would_once_the_open_orders_are_filled(risk: RiskClient) -> None:
    await risk.order("o1", "1000")
    await risk.confirmed_mark(HUGE)
    await risk.fill("o1", "t1", "500")
    assert (await risk.ok("GET", "/accounts/main"))["equity"] == "100000"


async def test_such_a_mark_in_the_stream_stops_neither_the_engine_nor_the_marks_after_it(
    risk: RiskClient, redis_url: str
) -> None:
    await risk.order("o1", "1000")
    await risk.fill("o1", "t1", "1000")
    now = datetime.now(UTC).isoformat()
    marks = [
        MarkMessage.model_validate({"symbol": "STOCK", "price": price, "ts_event": now, "source": "test"})
        for price in (HUGE, "101")
    ]
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        for mark in marks:
            await publish(redis, MARKS_STREAM, [mark])

    async def taken() -> bool:
        return bool((await risk.ok("GET", "/marks?symbol=STOCK"))["items"][0]["price"] == "101")

    await until(taken)


async def test_fees_cannot_make_an_account_unreadable(risk: RiskClient) -> None:
    await risk.order("o1", "200")
    answers = [
        await risk.call("POST", "/accounts/main/fills", fill("o1", f"t{n}", fee="-" + "1" + "0" * 16))
        for n in range(12)
    ]
    assert [answer.status_code for answer in answers] == [200] * 9 + [422] * 3
    assert (await risk.call("GET", "/accounts")).status_code == 200


async def test_a_question_that_fails_concerns_whoever_asked_alone(risk: RiskClient) -> None:
    engine: Engine = risk.app.state.engine

    def broken(_: FirmState) -> int:
        raise ZeroDivisionError

    async def ask() -> str:
        with pytest.raises(ZeroDivisionError):
            await engine.read(broken)
        return "failed"

    work = [risk.order(f"o{n}") if n % 2 else ask() for n in range(20)]
    answers: list[Any] = await asyncio.gather(*work)
    assert [answer["decision"] if n % 2 else answer for n, answer in enumerate(answers)] == ["failed", "APPROVED"] * 10


@pytest.mark.parametrize(
    ("features", "code"),
    [
        ('{"a": NaN}', "finite_number"),
        ('{"a": 1e400}', "finite_number"),
        ('{"a": -Infinity}', "finite_number"),
        ('{"a": true}', "float_type"),
        ('{"a": "1"}', "float_type"),
        ('{"": 1}', "string_pattern_mismatch"),
        (json.dumps({"a" * 65: 1}), "string_pattern_mismatch"),
        (json.dumps({"a\n": 1}), "string_pattern_mismatch"),
        (json.dumps({f"f{number}": 1 for number in range(101)}), "too_long"),
    ],
)
async def test_features_that_are_no_numbers_or_have_no_names_are_refused(
    risk: RiskClient, features: str, code: str
) -> None:
    telemetry = {
        "prediction_id": "p",
        "model_name": "m",
        "model_version": "1.0.0",
        "model_hash": "0" * 16,
        "features": "@",
        "raw_confidence": 0.1,
        "calibrated_confidence": 0.5,
        "uncertainty": 0.9,
        "regime": "calm",
    }
    text = json.dumps(order("o1", telemetry=telemetry)).replace('"@"', features)
    headers = {"content-type": "application/json"}
    answer = await risk.http.post("/api/v1/risk/accounts/main/orders", content=text, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] == code


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        ({"quantity": HUGE}, BEYOND_ALL),
        ({"quantity": HUGE, "order_type": "LIMIT", "limit_price": HUGE}, ["PRICE_COLLAR", *BEYOND_ALL]),
        ({"quantity": "0.0000000001"}, ["LOT_SIZE"]),
        ({"order_type": "LIMIT", "limit_price": "0.0000000001"}, ["TICK_SIZE"]),
    ],
)
async def test_orders_at_the_ends_of_what_an_amount_can_be_are_decided(
    risk: RiskClient, change: dict[str, str], codes: list[str]
) -> None:
    answer = await risk.ok("POST", "/accounts/main/orders", {**order("o1"), **change})
    assert [reason["code"] for reason in answer["reasons"]] == codes


async def test_so_are_orders_in_instruments_and_under_limits_at_the_ends(risk: RiskClient) -> None:
    least = "0.0000000001"
    units = {"tick_size": least, "lot_size": least, "multiplier": HUGE, "margined": True}
    await risk.ok("PUT", "/instruments", {"instruments": [_instrument("ENDS", units)]})
    await risk.mark(HUGE, "ENDS")
    fractions = [name for name in NOBODY_STOPPED if name.startswith("max_")]
    limits = {"price_collar_bps": 0, **dict.fromkeys((*fractions, "max_leverage"), 5e-324)}
    for number, profile in enumerate((NOBODY_STOPPED, limits, NOBODY_STOPPED)):
        update = {"limits": profile, "reason": "from one end to the other"}
        await risk.ok("PUT", "/accounts/main/limits", update, Role.RISK_OFFICER)
        change = {"symbol": "ENDS", "order_type": "LIMIT", "limit_price": HUGE}
        answer = await risk.order(f"o{number}", HUGE, **change)
        found = [reason["code"] for reason in answer["reasons"]]
        assert found == [*BEYOND_ALL[:-1], "LEVERAGE_LIMIT", "BUYING_POWER"]
        assert (await risk.call("GET", "/accounts/main")).status_code == 200


def _instrument(symbol: str, units: dict[str, Any]) -> dict[str, Any]:
    return {"symbol": symbol, "currency": "USD", "asset_class": "FUTURE", **units}


async def test_a_simulation_may_lie_at_the_end_of_time(risk: RiskClient) -> None:
    end = "9999-12-31T23:59:59.999999Z"
    account = {"account_id": "edge", "base_currency": "USD", "initial_cash": "100000", "simulation_id": "ends"}
    await risk.ok("POST", "/accounts", {**account, "session_date": "1900-01-01", "ts_event": end})
    mark = {"symbol": "STOCK", "price": "100", "ts_event": end}
    await risk.ok("POST", "/marks", {"simulation_id": "ends", "marks": [mark]})
    for order_id in ("o1", "o2"):
        decided = await risk.order(order_id, account="edge", ts_event=end)
        assert (decided["decision"], decided["ts_event"]) == ("APPROVED", end)
    await risk.ok("POST", "/accounts/edge/fills", fill("o1", "t1", ts_event=end))
    await risk.ok("POST", "/accounts/edge/orders/o2/cancel", {"reason": "the end", "ts_event": end})
    await risk.ok("POST", "/accounts/edge/day-roll", {"next_session_date": "9999-12-31", "ts_event": end})
    assert (await risk.ok("GET", "/accounts/edge"))["ts_event"] == end
    for order_id in ("o1", "o2"):
        await risk.ok("GET", f"/accounts/edge/orders/{order_id}")
        await risk.ok("GET", f"/accounts/edge/decisions/{order_id}/explain")
