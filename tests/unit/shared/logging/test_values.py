import json
from collections import namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from shared.logging.masking import MASK
from shared.logging.values import MAX_CHARACTERS, MAX_DEPTH, MAX_ITEMS, MAX_TEXT, clean, clean_fields
from shared.schemas.orders import Order

pytestmark = pytest.mark.unit

SECRET = "hunter2-S3cr3t"


class Colour(Enum):
    RED = "red"


class Number(IntEnum):
    ONE = 1


@dataclass
class Login:
    user: str
    password: str


Pair = namedtuple("Pair", "user token")


class Settings(BaseModel):
    user: str
    password: str
    api: SecretStr


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal("101.250"), "101.250"),
        (Decimal("1E+3"), "1000"),
        (Decimal("NaN"), "NaN"),
        (datetime(2024, 1, 5, 9, 15, tzinfo=timezone(timedelta(hours=5, minutes=30))), "2024-01-05T03:45:00Z"),
        (date(2024, 1, 5), "2024-01-05"),
        (timedelta(seconds=1.5), "1.5s"),
        (Colour.RED, "red"),
        (Path("/a/b"), "/a/b"),
        (b"abc", "abc"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (2**70, str(2**70)),
        (True, True),
        (None, None),
        ((1, "a"), [1, "a"]),
        ({"x": {1}}, {"x": [1]}),
        ({1: 2, None: 3, "a.b": 4, "": 5}, {"1": 2, "None": 3, "a_b": 4, "_": 5}),
        ({"a.b": 1, "a_b": 2}, {"a_b": 1, "a_b_2": 2}),
        ("\ud800x", "\ufffdx"),
        (ValueError("bad"), "ValueError: bad"),
        (4111111111111111, MASK),
        (1732147200123456789, 1732147200123456789),
        (Number.ONE, 1),
    ],
)
def test_each_kind_of_value_has_its_form(value: Any, expected: Any) -> None:
    assert clean(value) == expected


def test_contracts_are_written_field_by_field_with_exact_amounts() -> None:
    order = Order(client_order_id="c-1", strategy_id="ma", symbol="BTCUSDT", side="BUY", quantity="0.010")
    cleaned = clean(order)
    assert isinstance(cleaned, dict)
    assert cleaned["quantity"] == "0.010"
    assert cleaned["side"] == "BUY"


@pytest.mark.parametrize(
    "value",
    [
        {"password": SECRET},
        {"Api-Key": [SECRET, {"x": SECRET}]},
        {b"cookie": SECRET.encode()},
        [("authorization", SECRET)],
        [[b"x-api-key", SECRET.encode()]],
        {"name": "password", "value": SECRET},
        {"loc": ("body", "password"), "input": SECRET},
        Login("bob", SECRET),
        Pair("bob", SECRET),
        Settings(user="bob", password=SECRET, api=SecretStr(SECRET)),
        {"a": [{"b": ({"token": SECRET},)}]},
        {f"password={SECRET}": 1},
        {"error": RuntimeError(f"token={SECRET}")},
        {f"token={SECRET}"},
        {"pin": 1234, "password": 12345678},
    ],
)
def test_secrets_are_hidden_however_they_are_nested(value: Any) -> None:
    text = json.dumps(clean(value))
    assert SECRET not in text
    assert "1234" not in text
    assert MASK in text


def test_counts_flags_and_absent_values_under_secret_names_stay() -> None:
    fields = {"token_bucket_capacity": 20, "token_count": Decimal(5), "has_token": True, "password": None}
    assert clean(fields) == {"token_bucket_capacity": 20, "token_count": "5", "has_token": True, "password": None}


def test_cycles_and_depth_are_cut() -> None:
    cycle: dict[str, Any] = {}
    cycle["self"] = [cycle]
    assert clean(cycle) == {"self": ["[cycle]"]}
    deep: Any = 1
    for _ in range(5_000):
        deep = [deep]
    assert "cut" in json.dumps(clean(deep))
    shared = {"a": 1}
    assert clean([shared, shared]) == [{"a": 1}, {"a": 1}]
    assert MAX_DEPTH > 4


def test_a_huge_value_cannot_make_a_huge_line() -> None:
    text = "x" * 1_000_000
    huge = {f"key{i}": [text] * 1_000 for i in range(1_000)}
    assert len(json.dumps(clean_fields(huge))) < 4 * MAX_CHARACTERS
    cut = clean(list(range(10_000)))
    assert isinstance(cut, list)
    assert len(cut) == MAX_ITEMS + 1
    shortened = clean("y" * 50_000)
    assert isinstance(shortened, str)
    assert shortened.endswith("…[cut]")
    assert len(shortened) < MAX_TEXT + 10
    assert isinstance(clean(10**5_000), str)


def test_a_secret_at_the_cut_is_not_left_half_visible() -> None:
    for shift in range(0, 40, 3):
        text = "x" * (MAX_TEXT - 20 - shift) + " password=" + SECRET * 20
        assert SECRET[:4] not in str(clean(text))


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")


class HostileMapping(dict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError("no")


def test_hostile_objects_are_named_and_harm_nothing_beside_them() -> None:
    cleaned = clean(
        {"bad": Hostile(), "map": HostileMapping(a=1), Hostile(): 1, "good": 1, "generator": (x for x in "a")}
    )
    assert isinstance(cleaned, dict)
    assert cleaned["good"] == 1
    assert "Hostile" in str(cleaned["bad"])
    assert "HostileMapping" in str(cleaned["map"])
    assert "generator" in str(cleaned["generator"])


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.decimals()
    | st.datetimes(timezones=st.just(UTC))
    | st.uuids()
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
)


@settings(deadline=None)
@given(values)
def test_whatever_goes_in_valid_json_comes_out(value: Any) -> None:
    json.loads(json.dumps(clean(value), allow_nan=False))
