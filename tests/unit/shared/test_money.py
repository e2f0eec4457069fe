from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from shared.money import Amount, NonNegativeAmount, PositiveAmount, format_decimal, parse_decimal

pytestmark = pytest.mark.unit
AMOUNT = TypeAdapter(Amount)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (1.5, "decimal_from_float"),
        (1.0, "decimal_from_float"),
        (True, "decimal_type"),
        (None, "decimal_type"),
        ([], "decimal_type"),
        ("abc", "decimal_syntax"),
        ("", "decimal_syntax"),
        ("NaN", "decimal_syntax"),
        ("Infinity", "decimal_syntax"),
        ("1e5", "decimal_syntax"),
        (" 5", "decimal_syntax"),
        ("5\n", "decimal_syntax"),
        ("1_000", "decimal_syntax"),
        ("1.", "decimal_syntax"),
        (".5", "decimal_syntax"),
        ("٥", "decimal_syntax"),
        (Decimal("NaN"), "decimal_not_finite"),
        (Decimal("-inf"), "decimal_not_finite"),
        (Decimal("1e999999"), "decimal_out_of_range"),
        ("1000000000000000000", "decimal_out_of_range"),
        (10**18, "decimal_out_of_range"),
        (10**4000, "decimal_out_of_range"),
        ("0.00000000001", "decimal_places"),
        ("1" * 65, "decimal_too_long"),
    ],
)
def test_refuses_what_is_not_an_exact_amount(value: Any, code: str) -> None:
    with pytest.raises(ValidationError) as caught:
        AMOUNT.validate_python(value)
    assert caught.value.errors()[0]["type"] == code


def test_a_json_number_with_a_fraction_is_refused_and_an_integer_is_taken() -> None:
    assert AMOUNT.validate_json("7") == Decimal(7)
    with pytest.raises(ValidationError, match="send the amount as a string"):
        AMOUNT.validate_json("7.5")


def test_bounds_of_signed_kinds() -> None:
    assert TypeAdapter(NonNegativeAmount).validate_python("0") == 0
    with pytest.raises(ValidationError):
        TypeAdapter(PositiveAmount).validate_python("0")
    with pytest.raises(ValidationError):
        TypeAdapter(NonNegativeAmount).validate_python("-0.01")


def test_trailing_zeros_beyond_ten_places_are_no_digits() -> None:
    assert parse_decimal("1.500000000000000") == Decimal("1.5")


def test_negative_zero_is_zero() -> None:
    assert str(parse_decimal("-0.0")) == "0"


@given(st.decimals(min_value=-(10**18) + 1, max_value=10**18 - 1, places=10))
def test_every_amount_survives_the_wire(value: Decimal) -> None:
    text = AMOUNT.dump_json(value).decode()
    assert AMOUNT.validate_json(text) == value
    assert "E" not in text


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=4))
def test_format_is_the_shortest_plain_text(value: Decimal) -> None:
    text = format_decimal(value)
    assert Decimal(text) == value
    assert not ("." in text and text.endswith(("0", ".")))
