"""The journal's texts: canonical JSON of each event, and back.

The frequent kinds are written by hand, keys in order and no spaces, as `shared.journal.canonical` writes them:
that is several times as fast as building and dumping a model. `shared.schemas.events` is the contract; the tests
hold the two together.
"""

from collections.abc import Callable
from datetime import date
from json.encoder import encode_basestring
from typing import Any

from pydantic_core import from_json

from services.risk.core.bodies import Broken, Closed, Decided, Filled, Marked, OrderTerms, Quote, Verdict
from services.risk.core.outcome import Body, Event
from services.risk.core.units import SCALE, parse, parse_stamp, stamp, text
from shared.journal import canonical
from shared.schemas.base import Severity
from shared.schemas.decisions import RiskLevel, Unit
from shared.schemas.denials import DenialCode
from shared.schemas.events import BODIES
from shared.schemas.journal import EventKind
from shared.schemas.orders import OrderStatus

_string: Callable[[str], str] = encode_basestring


def encode(body: Body) -> str:
    """Return the canonical text of a body."""
    writer = _WRITERS.get(type(body))
    return writer(body) if writer else canonical(body.model_dump(mode="json"))  # type: ignore[union-attr]


def decode(kind: EventKind, account_id: str | None, body: str) -> Event:
    """Return what a row says. Raises ValueError where it does not say it."""
    reader = _READERS.get(kind)
    if reader is not None:
        try:
            return Event(kind, account_id, reader(from_json(body)))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not the body of a {kind}: {error!r}") from error
    return Event(kind, account_id, BODIES[kind].model_validate_json(body))


def order_text(order: OrderTerms) -> str:
    """Return the canonical text of an order."""
    limit, parent = order.limit, order.parent_order_id
    return (
        f'{{"client_order_id":"{order.client_order_id}",'
        f'"limit_price":{_amount(limit) if limit else "null"},'
        f'"order_type":"{"LIMIT" if limit else "MARKET"}",'
        f'"parent_order_id":{_name(parent)},'
        f'"parent_quantity":{_amount(order.parent_quantity) if parent else "null"},'
        f'"quantity":"{text(order.quantity)}",'
        f'"reduce_only":{"true" if order.reduce_only else "false"},'
        f'"side":"{"BUY" if order.buy else "SELL"}",'
        f'"strategy_id":"{order.strategy_id}","symbol":"{order.symbol}",'
        f'"telemetry":{order.telemetry or "null"},'
        f'"time_in_force":"{order.time_in_force}",'
        f'"ts_event":{_time(order.ts)}}}'
    )


def verdict_text(verdict: Verdict, account_id: str, client_order_id: str) -> str:
    """Return the canonical text of a decision's content."""
    most = verdict.max_quantity
    reasons = canonical([reason(each) for each in verdict.broken]) if verdict.broken else "[]"
    return (
        f'{{"account_id":"{account_id}","client_order_id":"{client_order_id}",'
        f'"decision":"{"APPROVED" if verdict.approved else "DENIED"}",'
        f'"kill_epoch":{verdict.kill_epoch},"max_quantity":{"null" if most is None else _amount(most)},'
        f'"policy_version":{verdict.policy_version},"reasons":{reasons},"risk_level":"{verdict.level.value}",'
        f'"risk_score":{verdict.risk_score!r},"ts_event":"{stamp(verdict.ts)}"}}'
    )


def reason(broken: Broken) -> dict[str, Any]:
    """Return a broken rule as a decision shows it."""
    measured, value, limit = broken.measured, broken.value, broken.limit
    usable = limit is not None and value is not None and limit > 0
    return {
        "code": broken.code.value,
        "message": broken.message,
        "unit": None if broken.unit is None else broken.unit.value,
        "measured": measured,
        "value": value,
        "limit": limit,
        "headroom": None if limit is None or measured is None else max(limit - measured, 0.0),
        "utilisation": min(value / limit, 1e9) if usable and value is not None and limit is not None else None,
    }


def _decided(body: Decided) -> str:
    mark = (
        f'{{"price":"{text(body.mark_price)}","symbol":"{body.order.symbol}","ts_event":"{stamp(body.mark_ts)}"}}'
        if body.mark_price
        else "null"
    )
    return (
        f'{{"account_id":"{body.account_id}","by":{_string(body.by)},"correlation_id":{_name(body.correlation_id)},'
        f'"decision":{verdict_text(body.verdict, body.account_id, body.order.client_order_id)},"mark":{mark},'
        f'"order":{order_text(body.order)},"session_date":"{body.session_date.isoformat()}",'
        f'"simulation_id":{_name(body.simulation_id)},"ts_event":"{stamp(body.verdict.ts)}"}}'
    )


def _closed(body: Closed) -> str:
    return (
        f'{{"account_id":"{body.account_id}","by":{_string(body.by)},"client_order_id":"{body.client_order_id}",'
        f'"leaves_quantity":"{text(body.leaves)}","reason":{_string(body.reason)},"status":"{body.status.value}",'
        f'"ts_event":"{stamp(body.ts)}"}}'
    )


def _filled(body: Filled) -> str:
    return (
        f'{{"account_id":"{body.account_id}","by":{_string(body.by)},"client_order_id":"{body.client_order_id}",'
        f'"currency":"{body.currency}","fee":"{text(body.fee)}","fx_rate":"{text(body.fx_rate)}",'
        f'"leaves_quantity":"{text(body.leaves)}","multiplier":"{text(body.multiplier)}",'
        f'"order_status":"{body.order_status.value}","overfilled_quantity":"{text(body.overfilled)}",'
        f'"position_quantity":"{text(body.position_quantity)}",'
        f'"price":"{text(body.price)}","quantity":"{text(body.quantity)}",'
        f'"realised_pnl":"{text(body.realised_pnl)}","session_date":"{body.session_date.isoformat()}",'
        f'"side":"{"BUY" if body.buy else "SELL"}","simulation_id":{_name(body.simulation_id)},'
        f'"strategy_id":"{body.strategy_id}","symbol":"{body.symbol}","telemetry":{body.telemetry or "null"},'
        f'"trade_id":"{body.trade_id}","ts_event":"{stamp(body.ts)}"}}'
    )


def _marked(body: Marked) -> str:
    doubted = ",".join(map(_quote, body.doubted))
    return (
        f'{{"doubted":[{doubted}],"marks":[{",".join(map(_quote, body.marks))}],'
        f'"simulation_id":{_name(body.simulation_id)},"ts_event":"{stamp(body.ts)}"}}'
    )


def _quote(quote: Quote) -> str:
    delta = "null" if quote.delta is None else _amount(quote.delta)
    return (
        f'{{"delta":{delta},"price":"{text(quote.price)}","quality":"{quote.quality.value}",'
        f'"symbol":"{quote.symbol}","ts_event":"{stamp(quote.ts)}"}}'
    )


def _amount(value: int) -> str:
    return f'"{text(value)}"'


def _name(value: str | None) -> str:
    return "null" if value is None else f'"{value}"'


def _time(value: int | None) -> str:
    return "null" if value is None else f'"{stamp(value)}"'


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
        found["strategy_id"],
        found["symbol"],
        found["side"] == "BUY",
        parse(found["quantity"]),
        parse(limit) if limit else 0,
        found["time_in_force"],
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
        found["account_id"],
        found["simulation_id"],
        date.fromisoformat(found["session_date"]),
        read_order(found["order"]),
        read_verdict(found["decision"]),
        parse(mark["price"]) if mark else 0,
        parse_stamp(mark["ts_event"]) if mark else 0,
        found["by"],
        found["correlation_id"],
    )


def _read_closed(found: dict[str, Any]) -> Closed:
    return Closed(
        found["account_id"],
        found["client_order_id"],
        OrderStatus(found["status"]),
        found["reason"],
        parse(found["leaves_quantity"]),
        found["by"],
        parse_stamp(found["ts_event"]),
    )


def _read_filled(found: dict[str, Any]) -> Filled:
    rate, telemetry = found.get("fx_rate"), found["telemetry"]
    return Filled(
        found["account_id"],
        found["simulation_id"],
        date.fromisoformat(found["session_date"]),
        found["trade_id"],
        found["client_order_id"],
        found["strategy_id"],
        found["symbol"],
        found["side"] == "BUY",
        parse(found["price"]),
        parse(found["quantity"]),
        parse(found["fee"]),
        found["currency"],
        parse(found["multiplier"]),
        parse(rate) if rate else SCALE,
        parse(found["realised_pnl"]),
        parse(found["position_quantity"]),
        OrderStatus(found["order_status"]),
        parse(found["leaves_quantity"]),
        canonical(telemetry) if telemetry else None,
        found["by"],
        parse_stamp(found["ts_event"]),
        parse(found.get("overfilled_quantity", "0")),
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
        found["symbol"],
        parse(found["price"]),
        parse_stamp(found["ts_event"]),
        None if delta is None else parse(delta),
        Severity(found.get("quality", "ok")),
    )


_WRITERS: dict[type, Callable[[Any], str]] = {
    Decided: _decided,
    Closed: _closed,
    Filled: _filled,
    Marked: _marked,
}
_READERS: dict[EventKind, Callable[[dict[str, Any]], Any]] = {
    EventKind.ORDER_APPROVED: _read_decided,
    EventKind.ORDER_DENIED: _read_decided,
    EventKind.ORDER_CLOSED: _read_closed,
    EventKind.FILL_APPLIED: _read_filled,
    EventKind.MARKS_SET: _read_marked,
}
