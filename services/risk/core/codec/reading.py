"""Bodies of the frequent events, read by hand; older ones too.

Names that many rows share are interned: each row would keep a copy of its own otherwise.
"""

from collections.abc import Callable
from datetime import date
from functools import lru_cache
from sys import intern
from typing import Any, Final

from services.risk.core.bodies import Broken, Closed, Decided, Filled, Marked, OrderTerms, Quote, Verdict
from services.risk.core.units import SCALE, parse, parse_stamp
from shared.journal import canonical
from shared.schemas.base import Severity
from shared.schemas.decisions import RiskLevel, Unit
from shared.schemas.denials import DenialCode
from shared.schemas.journal import EventKind
from shared.schemas.orders import OrderStatus


@lru_cache(maxsize=64)
def _day(shown: str) -> date:
    return date.fromisoformat(shown)


def read_order(found: dict[str, Any]) -> OrderTerms:
    """Return an order from its JSON object."""
    limit, parent, telemetry, ts = (
        found["limit_price"],
        found.get("parent_quantity"),
        found["telemetry"],
        found["ts_event"],
    )
    return OrderTerms(
        found["client_order_id"],
        intern(found["strategy_id"]),
        intern(found["symbol"]),
        found["side"] == "BUY",
        parse(found["quantity"]),
        parse(limit) if limit else 0,
        intern(found["time_in_force"]),
        found["reduce_only"],
        found.get("parent_order_id"),
        parse(parent) if parent else 0,
        canonical(telemetry) if telemetry else None,
        parse_stamp(ts) if ts else None,
    )


def read_verdict(found: dict[str, Any]) -> Verdict:
    """Return a decision's content from its JSON object; an older one has no policy version and no kill epoch."""
    most = found.get("max_quantity")
    return Verdict(
        found["decision"] == "APPROVED",
        [_read_broken(each) for each in found["reasons"]],
        found["risk_score"],
        RiskLevel(found["risk_level"]),
        None if most is None else parse(most),
        found.get("policy_version", 1),
        found.get("kill_epoch", 0),
        parse_stamp(found["ts_event"]),
    )


def _read_broken(found: dict[str, Any]) -> Broken:
    unit = found.get("unit")
    return Broken(
        DenialCode[found["code"]],
        found["message"],
        Unit(unit) if unit else None,
        found.get("measured"),
        found["value"],
        found["limit"],
    )


def _read_decided(found: dict[str, Any]) -> Decided:
    mark = found["mark"]
    return Decided(
        intern(found["account_id"]),
        found["simulation_id"],
        _day(found["session_date"]),
        read_order(found["order"]),
        read_verdict(found["decision"]),
        parse(mark["price"]) if mark else 0,
        parse_stamp(mark["ts_event"]) if mark else 0,
        intern(found["by"]),
        found["correlation_id"],
    )


def _read_closed(found: dict[str, Any]) -> Closed:
    return Closed(
        intern(found["account_id"]),
        found["client_order_id"],
        OrderStatus(found["status"]),
        found["reason"],
        parse(found["leaves_quantity"]),
        intern(found["by"]),
        parse_stamp(found["ts_event"]),
    )


def _read_filled(found: dict[str, Any]) -> Filled:
    rate, telemetry = found.get("fx_rate"), found["telemetry"]
    return Filled(
        intern(found["account_id"]),
        found["simulation_id"],
        _day(found["session_date"]),
        found["trade_id"],
        found["client_order_id"],
        intern(found["strategy_id"]),
        intern(found["symbol"]),
        found["side"] == "BUY",
        parse(found["price"]),
        parse(found["quantity"]),
        parse(found["fee"]),
        intern(found["currency"]),
        parse(found["multiplier"]),
        parse(rate) if rate else SCALE,
        parse(found["realised_pnl"]),
        parse(found["position_quantity"]),
        OrderStatus(found["order_status"]),
        parse(found["leaves_quantity"]),
        canonical(telemetry) if telemetry else None,
        intern(found["by"]),
        parse_stamp(found["ts_event"]),
        parse(found.get("overfilled_quantity", "0")),
        found.get("doubted", False),
    )


def _read_marked(found: dict[str, Any]) -> Marked:
    return Marked(
        found["simulation_id"],
        [_read_quote(each) for each in found["marks"]],
        [_read_quote(each) for each in found.get("doubted", ())],
        parse_stamp(found["ts_event"]),
    )


def _read_quote(found: dict[str, Any]) -> Quote:
    delta = found.get("delta")
    return Quote(
        intern(found["symbol"]),
        parse(found["price"]),
        parse_stamp(found["ts_event"]),
        None if delta is None else parse(delta),
        Severity(found.get("quality", "ok")),
    )


READERS: Final[dict[EventKind, Callable[[dict[str, Any]], Any]]] = {
    EventKind.ORDER_APPROVED: _read_decided,
    EventKind.ORDER_DENIED: _read_decided,
    EventKind.ORDER_CLOSED: _read_closed,
    EventKind.FILL_APPLIED: _read_filled,
    EventKind.MARKS_SET: _read_marked,
}
