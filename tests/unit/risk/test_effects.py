"""What is logged and counted of what became durable."""

import logging
from typing import Any

import pytest
from prometheus_client import REGISTRY

from services.risk.core.commands import PlaceOrder
from services.risk.core.outcome import Refused
from services.risk.core.translate import order_terms
from services.risk.effects import record
from shared.logging.context import correlation_id
from shared.logging.formatter import EVENT_ATTRIBUTE
from shared.schemas.orders import Order
from tests.unit.risk.desk import Desk

pytestmark = pytest.mark.unit


def send(desk: Desk, name: str, quantity: int = 1) -> Any:
    order = Order.model_validate(
        {"client_order_id": name, "strategy_id": "s", "symbol": "STOCK", "side": "BUY", "quantity": str(quantity)}
    )
    outcome = desk.send(PlaceOrder("main", order_terms(order), "ada", "batch-7"))
    assert not isinstance(outcome, Refused)
    return outcome


def counted() -> dict[str, float]:
    return {
        name: REGISTRY.get_sample_value("trading_orders_total", {"decision": name}) or 0.0
        for name in ("APPROVED", "DENIED")
    }


def test_decisions_that_came_together_leave_a_line_for_each_verdict(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk()
    events = [event for name, size in (("a", 1), ("b", 10**6), ("c", 1)) for event in send(desk, name, size)]
    before = counted()
    with caplog.at_level(logging.INFO, "keelson.risk.orders"):
        record(desk.state, events)
    said = [(each.getMessage(), getattr(each, EVENT_ATTRIBUTE)["fields"]) for each in caplog.records]
    together = [fields for message, fields in said if message == "orders approved"]
    assert [fields["client_order_ids"] for fields in together] == [["a", "c"]]
    assert [fields["client_order_id"] for message, fields in said if message == "order denied"] == ["b"]
    assert any(message.startswith("risk violation") for message, _ in said)
    after = counted()
    assert (after["APPROVED"] - before["APPROVED"], after["DENIED"] - before["DENIED"]) == (2, 1)


def test_denials_that_came_together_leave_one_line_with_what_they_broke(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    events = [event for name in ("a", "b", "c") for event in send(desk, name, 10**6)]
    rejected = REGISTRY.get_sample_value("trading_orders_rejected_total", {"reason": "POSITION_LIMIT"}) or 0.0
    with caplog.at_level(logging.INFO, "keelson.risk.orders"):
        record(desk.state, events)
    (line,) = caplog.records
    assert line.getMessage() == "orders denied"
    fields = getattr(line, EVENT_ATTRIBUTE)["fields"]
    assert fields["client_order_ids"] == ["a", "b", "c"]
    assert fields["rules"]["POSITION_LIMIT"] == 3
    assert REGISTRY.get_sample_value("trading_orders_rejected_total", {"reason": "POSITION_LIMIT"}) == rejected + 3


def test_an_order_by_itself_leaves_its_own_line(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    with caplog.at_level(logging.INFO, "keelson.risk.orders"):
        record(desk.state, send(desk, "a"))
    (line,) = caplog.records
    assert line.getMessage() == "order approved"
    assert getattr(line, EVENT_ATTRIBUTE)["fields"]["client_order_id"] == "a"


def test_lines_carry_the_request_that_caused_them(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "keelson.risk.orders")
    desk, seen = Desk(), []
    events = [*send(desk, "a"), *send(desk, "b")]
    monkeypatch.setattr(logging.Logger, "handle", lambda *_: seen.append(correlation_id.get()))
    record(desk.state, events)
    assert seen == ["batch-7"]
    assert correlation_id.get() is None
