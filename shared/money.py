"""Money, prices and quantities: exact decimals, strings on the wire."""

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

# numeric(28, 10) in every table: 18 digits before the point, 10 after it.
MAX_DIGITS = 28
DECIMAL_PLACES = 10
_INTEGER_DIGITS = MAX_DIGITS - DECIMAL_PLACES
# A longer text cannot be a valid amount, and a huge one must not reach Decimal().
_LONGEST_TEXT = 64

ZERO = Decimal(0)
_PLAIN = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_FITS = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,10})?")
_QUANTUM = Decimal(1).scaleb(-DECIMAL_PLACES)


def parse_decimal(value: Any) -> Decimal:
    """Return the exact decimal of a string, an integer or a Decimal.

    Raises PydanticCustomError for floats (they have lost digits already), booleans, NaN, infinities and
    amounts that do not fit numeric(28, 10).
    """
    # What nearly all of them are, in every order and every row.
    if type(value) is str and _FITS.fullmatch(value):
        return Decimal(value) or ZERO
    if type(value) is Decimal:
        return _fitting(value)
    if isinstance(value, float):
        raise PydanticCustomError(
            "decimal_from_float",
            'A JSON number with a fraction is not exact; send the amount as a string, such as "101.25"',
        )
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise PydanticCustomError("decimal_type", "An amount is a string or an integer")
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        raise PydanticCustomError("decimal_too_long", "An amount has at most 64 characters")
    if isinstance(value, int) and abs(value) >= 10**_INTEGER_DIGITS:
        raise PydanticCustomError("decimal_out_of_range", "An amount has at most 18 digits before the point")
    if isinstance(value, str) and not _PLAIN.fullmatch(value):
        # Decimal() also reads spaces, underscores, exponents and the digits of other scripts.
        raise PydanticCustomError("decimal_syntax", 'Not a plain decimal number, such as "101.25"')
    return _fitting(Decimal(value))


def _fitting(amount: Decimal) -> Decimal:
    if not amount.is_finite():
        raise PydanticCustomError("decimal_not_finite", "NaN and infinity are not amounts")
    if amount == 0:
        return ZERO
    if amount.adjusted() >= _INTEGER_DIGITS:
        raise PydanticCustomError("decimal_out_of_range", "An amount has at most 18 digits before the point")
    if amount != round(amount, DECIMAL_PLACES):
        raise PydanticCustomError("decimal_places", "An amount has at most 10 digits after the point")
    return amount


def round_amount(value: Decimal) -> Decimal:
    """Return an amount with at most ten digits after the point, halves to even."""
    return value.quantize(_QUANTUM)


def format_decimal(value: Decimal) -> str:
    """Return the shortest plain text of a decimal: no exponent, no trailing zeros."""
    if not value:
        return "0"
    text = str(value)
    if "E" in text:
        text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _schema(description: str) -> WithJsonSchema:
    return WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^[+-]?\d{1,18}(\.\d{1,10})?$",
            "description": description,
            "examples": ["101.25"],
        }
    )


Amount = Annotated[
    Decimal,
    BeforeValidator(parse_decimal),
    PlainSerializer(format_decimal, return_type=str),
    _schema("An exact decimal as a string; a JSON number with a fraction is refused."),
]
PositiveAmount = Annotated[Amount, Field(gt=0)]
NonNegativeAmount = Annotated[Amount, Field(ge=0)]
# Worked out here from amounts: as many digits as it needs.
Sum = Annotated[
    Decimal,
    PlainSerializer(format_decimal, return_type=str),
    WithJsonSchema({"type": "string", "description": "An exact decimal as a string.", "examples": ["101.25"]}),
]
