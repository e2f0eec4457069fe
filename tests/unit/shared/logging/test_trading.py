import json
import logging
from decimal import Decimal
from typing import Any

import pytest

from shared.logging import Category, TradingLogger, get_trading_logger
from shared.logging.formatter import EcsFormatter

pytestmark = pytest.mark.unit


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(EcsFormatter("risk", "test"))
        self.lines: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))


@pytest.fixture
def lines(request: pytest.FixtureRequest) -> Any:
    handler = Lines()
    logger = logging.getLogger(request.node.name)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    return handler.lines


@pytest.fixture
def logger(request: pytest.FixtureRequest) -> TradingLogger:
    return get_trading_logger(request.node.name, Category.SYSTEM)


ORDER = {"account_id": "a-1", "client_order_id": "c-1"}
FILL = {"trade_id": "t-1", "symbol": "BTCUSDT", "side": "BUY", "quantity": Decimal("0.01"), "price": Decimal("67000.5")}
SWITCH = {"kill_switch_id": "k-1", "scope": "FIRM", "target": None, "reason": "test", "by": "alice"}


@pytest.mark.parametrize(
    ("method", "fields", "category", "level", "action", "outcome"),
    [
        ("log_order_created", ORDER | {"symbol": "X", "side": "BUY", "quantity": Decimal(1)}, "TRADING", "info",
         "order-created", None),
        ("log_order_decided", ORDER | {"approved": True}, "TRADING", "info", "order-approved", "success"),
        ("log_order_decided", ORDER | {"approved": False, "reasons": ["MARK_STALE"]}, "TRADING", "info",
         "order-denied", "failure"),
        ("log_orders_approved", {"account_id": "a-1", "client_order_ids": ["c-1", "c-2"]}, "TRADING", "info",
         "orders-approved", "success"),
        ("log_orders_denied", {"account_id": "a-1", "client_order_ids": ["c-1", "c-2"], "rules": {"MARK_STALE": 2}},
         "TRADING", "info", "orders-denied", "failure"),
        ("log_order_filled", ORDER | FILL, "TRADING", "info", "order-filled", "success"),
        ("log_order_cancelled", ORDER | {"reason": "user"}, "TRADING", "info", "order-cancelled", "success"),
        ("log_risk_violation", {"rule": "LEVERAGE_LIMIT", "limit": 5.0, "value": 5.5}, "RISK", "warning",
         "risk-violation", "failure"),
        ("log_kill_switch", SWITCH | {"active": True}, "RISK", "error", "kill-switch-activated", "success"),
        ("log_kill_switch", SWITCH | {"active": False}, "RISK", "warning", "kill-switch-released", "success"),
        ("log_limit_changed", {"account_id": "a-1", "before": {"x": 1}, "after": {"x": 2}, "reason": "r", "by": "bob"},
         "AUDIT", "warning", "limit-changed", "success"),
        ("log_model_scored", {"model_name": "m", "model_version": "1.0.0", "prediction_id": "p", "confidence": 0.7},
         "ML", "info", "model-scored", "success"),
        ("log_data_quality", {"symbol": "X", "severity": "critical", "findings": ["gap"]}, "MARKET_DATA", "error",
         "data-quality", "failure"),
        ("log_data_quality", {"symbol": "X", "severity": "ok", "findings": []}, "MARKET_DATA", "info", "data-quality",
         "success"),
        ("log_access_denied", {"method": "GET", "path": "/x", "status": 403, "reason": "role"}, "SECURITY", "warning",
         "access-denied", "failure"),
        ("log_audit", {"actor": "bob", "action": "account-open", "target": "a-1", "after": {"cash": Decimal(5)}},
         "AUDIT", "info", "account-open", "success"),
        ("log_audit", {"actor": "bob", "action": "account-open", "target": "a-1", "success": False}, "AUDIT", "info",
         "account-open", "failure"),
    ],
)  # fmt: skip
def test_each_event_says_what_it_is(
    logger: TradingLogger, lines: Any, method: str, fields: dict[str, Any], category: str, level: str, action: str,
    outcome: str | None,
) -> None:  # fmt: skip
    getattr(logger, method)(**fields, note="more")
    [line] = lines
    assert line["labels"]["category"] == line["keelson"]["category"] == category
    assert line["log.level"] == level
    assert line["event"]["action"] == action
    assert line["event"].get("outcome") == outcome
    assert line["event"]["dataset"] == f"risk.{category.lower()}"
    assert line["keelson"]["note"] == "more"
    assert line["log"]["origin"]["file"]["name"] == "test_trading.py"
    for name, value in fields.items():
        if name not in {"approved", "success"}:
            assert line["keelson"][name] == (str(value) if isinstance(value, Decimal) else
                                             json.loads(json.dumps(value, default=str)))  # fmt: skip


def test_plain_messages_have_the_loggers_category_and_the_callers_place(logger: TradingLogger, lines: Any) -> None:
    for method in (logger.debug, logger.info, logger.warning, logger.error):
        method("100% sure of %s", message="a field", self=1, level=2)
    assert [line["log.level"] for line in lines] == ["debug", "info", "warning", "error"]
    for line in lines:
        assert line["message"] == "100% sure of %s"
        assert line["keelson"] == {"category": "SYSTEM", "message": "a field", "self": 1, "level": 2}
        assert line["log"]["origin"]["function"].startswith("test_plain_messages")


def test_an_exception_is_logged_with_the_one_being_handled(logger: TradingLogger, lines: Any) -> None:
    try:
        raise ValueError("bad")
    except ValueError:
        logger.exception("could not", account_id="a-1")
    assert lines[0]["error"]["type"] == "ValueError"
    assert lines[0]["log.level"] == "error"


def test_what_is_below_the_level_costs_no_formatting(logger: TradingLogger, lines: Any) -> None:
    logging.getLogger(logger._logger.name).setLevel(logging.WARNING)
    logger.info("quiet")
    logger.log_order_decided(**ORDER, approved=True)
    assert lines == []
