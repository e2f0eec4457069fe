"""What every wire contract is made of."""

import re
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Any, Generic, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
)
from pydantic_core import PydanticCustomError

T = TypeVar("T")


class Contract(BaseModel):
    """Refuse unknown fields, NaN and infinity; never change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, ser_json_inf_nan="null")


# Pydantic checks the rest; it would also take a number, bare or as text, as seconds or milliseconds since 1970.
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DATE_AND_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}", re.ASCII)


def _require_text(value: Any) -> Any:
    # Which unit of a number was meant is a guess nobody should make.
    if isinstance(value, int | float) or (isinstance(value, str) and not _DATE_AND_TIME.match(value)):
        raise PydanticCustomError("timestamp_number", "Send a timestamp as ISO 8601 text with an offset")
    return value


def _require_date_text(value: Any) -> Any:
    if isinstance(value, int | float) or (isinstance(value, str) and not _DATE.fullmatch(value)):
        raise PydanticCustomError("date_number", "Send a date as ISO 8601 text, such as 2026-03-02")
    return value


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("timestamp_range", "A timestamp lies in the years 1 to 9999 of UTC") from None


def format_utc(value: datetime) -> str:
    """Return ISO 8601 text in UTC ending in Z."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


UtcDatetime = Annotated[
    AwareDatetime,
    BeforeValidator(_require_text),
    # Ordinary comparison and storage want one zone.
    AfterValidator(_in_utc),
    Field(description="ISO 8601 with an offset; stored and returned in UTC."),
    PlainSerializer(format_utc, return_type=str, when_used="json"),
]


def _no_boolean(value: Any) -> Any:
    # To Python true is 1, and a caller that sends it has taken one field for another.
    if isinstance(value, bool):
        raise PydanticCustomError("number_boolean", "Send a number, not true or false")
    return value


Whole = Annotated[int, BeforeValidator(_no_boolean)]
Real = Annotated[float, BeforeValidator(_no_boolean)]

# Said of every share that may have nothing to be a share of; JSON has no infinity.
BEYOND_MEASURE = "1000000000 stands for beyond measure, such as a share of equity that is zero or less."

IsoDate = Annotated[date, BeforeValidator(_require_date_text)]

# What every kind of id may be made of, as a pattern without its ends.
IDENTIFIER = r"[A-Za-z0-9][A-Za-z0-9._:\-]{0,63}"
Identifier = Annotated[str, StringConstraints(pattern=rf"^{IDENTIFIER}$")]
Symbol = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9][A-Z0-9._:\-/]{0,31}$")]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3,10}$")]
# What people read in logs and listings: no control characters.
Reason = Annotated[
    str,
    StringConstraints(min_length=3, max_length=500, strip_whitespace=True, pattern=r"^[^\x00-\x1f\x7f]*$"),
]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Page(Contract, Generic[T]):
    """One page of a listing; ask again with `cursor=next_cursor` until it is null."""

    items: list[T]
    next_cursor: str | None = None


class Severity(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"
