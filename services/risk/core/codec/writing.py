"""Texts of the frequent events, written by hand: keys in order and no spaces."""

from collections.abc import Callable
from json.encoder import encode_basestring
from typing import Any, Final

from services.risk.core.bodies import Broken, Closed, Decided, Filled, Marked, OrderTerms, Quote, Verdict
from services.risk.core.units import stamp, text
from shared.journal import canonical

_string: Callable[[str], str] = encode_basestring


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
        f'"currency":"{body.currency}","doubted":{"true" if body.doubted else "false"},'
        f'"fee":"{text(body.fee)}","fx_rate":"{text(body.fx_rate)}",'
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


WRITERS: Final[dict[type, Callable[[Any], str]]] = {
    Decided: _decided,
    Closed: _closed,
    Filled: _filled,
    Marked: _marked,
}
