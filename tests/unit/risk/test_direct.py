"""What is taken directly is exactly what the general way takes: no door beside the door."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from shared.schemas.orders import Order, OrderBatch

pytestmark = pytest.mark.unit

# Tokens as they may stand for a value in a body, JSON or nearly so.
TOKENS = [
    *("1", "0", "-1", "1.0", "1.5", "1e2", "1E400", "-0", "NaN", "Infinity", "-Infinity", "01", "+1", ".5", "1_000"),
    *("true", "false", "null", "[]", "{}", '""', '" 1"', '"1"', '"1.50"', '"1e3"', '"NaN"', '"-0"', '"+1"', '"1_000"'),
    *('"\\ud800"', '"\\u0000"', '"\x00"', '"\uff11"', '"0x1"', '"1,5"', "1" * 400, '"' + "1" * 400 + '"'),
    *('"BUY"', '"buy"', '"LIMIT"', '"DAY"', '"X"', '"x"', '"true"', '"yes"', '"on"', "[1]", '["1"]', '{"a":1}'),
    *('"2026-01-01"', '"2026-01-01T00:00:00Z"', '"2026-01-01T00:00:00"', '"2026-01-01 00:00:00+05:30"', "1700000000"),
    *('"1700000000"', "1e20", '"2026-02-30T00:00:00Z"', '"2026-01-01T24:00:00Z"', '"2026-01-01T00:00:60Z"'),
]
FIELDS = [
    *("client_order_id", "strategy_id", "symbol", "side", "order_type", "quantity", "limit_price", "time_in_force"),
    *("reduce_only", "parent_order_id", "parent_quantity", "telemetry", "ts_event", "unknown"),
]
GOOD = {"client_order_id": '"o"', "strategy_id": '"s"', "symbol": '"X"', "side": '"BUY"', "quantity": '"1"'}


def taken_generally(model: type[BaseModel], text: bytes) -> BaseModel | None:
    try:
        return model.model_validate(json.loads(text))
    except (ValueError, RecursionError):  # pydantic's ValidationError is a ValueError
        return None


def taken_directly(model: type[BaseModel], text: bytes) -> BaseModel | None:
    try:
        return model.model_validate_json(text)
    except ValidationError:
        return None


def assert_no_wider(model: type[BaseModel], text: bytes) -> None:
    direct = taken_directly(model, text)
    if direct is not None:
        assert direct == taken_generally(model, text), text


@pytest.mark.parametrize("field", FIELDS)
def test_no_value_is_taken_directly_that_the_general_way_refuses_or_reads_otherwise(field: str) -> None:
    for token in TOKENS:
        members = ",".join(f'"{name}":{value}' for name, value in {**GOOD, field: token}.items())
        assert_no_wider(Order, f"{{{members}}}".encode())
        assert_no_wider(OrderBatch, f'{{"orders":[{{{members}}}]}}'.encode())


@given(st.data())
@settings(max_examples=500, deadline=None)
def test_no_text_is_taken_directly_that_the_general_way_refuses_or_reads_otherwise(data: st.DataObject) -> None:
    fields = {**GOOD, **data.draw(st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(TOKENS), max_size=4))}
    names = data.draw(st.permutations([*fields, *data.draw(st.lists(st.sampled_from(list(fields)), max_size=1))]))
    text = bytearray(("{" + ",".join(f'"{name}":{fields[name]}' for name in names) + "}").encode())
    for _ in range(data.draw(st.integers(0, 2))):
        place = data.draw(st.integers(0, len(text)))
        text[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    assert_no_wider(Order, bytes(text))


def test_the_ordinary_order_is_taken_directly() -> None:
    text = json.dumps({name: json.loads(value) for name, value in GOOD.items()}).encode()
    assert isinstance(taken_directly(Order, text), Order)
