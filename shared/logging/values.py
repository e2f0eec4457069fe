"""Turn any value into JSON-safe, masked and bounded data, whatever it is and however it misbehaves."""

import dataclasses
import math
import numbers
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from itertools import islice
from typing import Any, TypeAlias

from pydantic import BaseModel, SecretBytes, SecretStr

from shared.logging.masking import MASK, is_card_number, is_measure_name, is_secret_name, mask_text

JsonValue: TypeAlias = str | int | float | bool | list["JsonValue"] | dict[str, "JsonValue"] | None

MAX_TEXT = 8_192
MAX_ITEMS = 100
MAX_DEPTH = 8
MAX_KEY = 128
# Of one log line: what is over is left out, so that no line can fill the memory or a bulk request.
MAX_NODES = 2_000
MAX_CHARACTERS = 65_536
CUT = "…[cut]"
# Text is masked before it is cut; a secret that starts inside the limit is seen whole unless it is longer than this.
_MARGIN = 2_048
_LARGEST_INTEGER = 2**63
_SHORTEST_CARD = 10**12
# In all lists of simple fields: as many fit the budgets of a line in any case.
_MOST_TEXTS = 200
_NAME_FIELDS = frozenset({"name", "key", "field", "loc", "header"})
_VALUE_FIELDS = frozenset({"value", "input", "input_value", "values"})


def clean(value: Any) -> JsonValue:
    """Return the value as JSON data with its secrets masked; never raises.

    Decimals and other exact numbers become strings, datetimes ISO 8601 in UTC, models and dataclasses objects,
    bytes text, and whatever is left `str(value)`. Text over MAX_TEXT, collections over MAX_ITEMS, nesting over
    MAX_DEPTH and cycles are cut, and say so.
    """
    return _Cleaner().clean(value, 0)


def clean_fields(fields: Mapping[str, Any]) -> dict[str, JsonValue]:
    """Return the named fields of a log line as `clean` does, within one budget for all of them."""
    plain = _plain(fields)
    if plain is not None:
        return plain
    cleaned = _Cleaner().clean(fields, 0)
    return cleaned if isinstance(cleaned, dict) else {"fields": cleaned}


def _plain(fields: Mapping[str, Any]) -> dict[str, JsonValue] | None:
    """Return fields that are short and simple, as nearly all are; None for any other, which are walked."""
    cleaned: dict[str, JsonValue] = {}
    count = 0
    for name, value in fields.items():
        kind = type(value)
        if not _is_plain_name(name):
            return None
        if kind is str and len(value) <= MAX_KEY and value.isascii():
            cleaned[name] = mask_text(value)
        elif (
            value is None
            or kind is bool
            or (kind is int and 0 <= value < _SHORTEST_CARD)
            or (kind is float and math.isfinite(value))
        ):
            cleaned[name] = value
        elif (kind is list or kind is tuple) and (texts := _plain_texts(value)) is not None:
            cleaned[name] = texts
            count += len(texts)
        else:
            return None
    return cleaned if len(cleaned) <= MAX_ITEMS and count <= _MOST_TEXTS else None


def _plain_texts(values: Sequence[Any]) -> list[JsonValue] | None:
    """Return a list of short texts, such as ids; None for any other, and for two, of which one may name the other."""
    if len(values) == 2:
        return None
    first = values[:MAX_ITEMS]
    for each in first:
        if type(each) is not str or len(each) > MAX_KEY or not each.isascii():
            return None
    texts: list[JsonValue] = [mask_text(each) for each in first]
    return [*texts, CUT] if len(values) > MAX_ITEMS else texts


@lru_cache(maxsize=4096)
def _is_plain_name(name: str) -> bool:
    # Fields such as "name" may tell that another one is a secret.
    return name not in _NAME_FIELDS and len(name) <= MAX_KEY and _clean_name(name) == name and not is_secret_name(name)


def clean_text(text: str, limit: int = MAX_TEXT) -> str:
    """Return text masked, cut to a limit and free of lone surrogates, which are no valid JSON."""
    if len(text) > limit + _MARGIN:
        text = text[: limit + _MARGIN]
    if type(text) is not str:
        text = str.__str__(text)
    if not text.isascii():
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    text = mask_text(text)
    return text if len(text) <= limit else text[:limit] + CUT


def safe_str(value: Any) -> str:
    """Return `str(value)`, or the type's name if that raises."""
    try:
        return str(value)
    except Exception as error:
        return f"<{type(value).__name__}: str() raised {type(error).__name__}>"


class _Cleaner:
    """One walk over one value; holds the budget and the path, for cycles."""

    def __init__(self) -> None:
        self._nodes = MAX_NODES
        self._characters = MAX_CHARACTERS
        self._path: set[int] = set()

    def clean(self, value: Any, depth: int) -> JsonValue:
        self._nodes -= 1
        if self._nodes < 0 or self._characters <= 0:
            return CUT
        if value is None or value is True or value is False:
            return value
        try:
            # The plain types first: nearly everything that is logged is one of them.
            kind = type(value)
            if kind is str:
                return self._text(value)
            if kind is dict or kind is list:
                return self._nested(value, depth)
            if isinstance(value, Enum):
                return self.clean(value.value, depth)
            if isinstance(value, str):
                return self._text(value)
            if isinstance(value, int | float):
                return _number(value)
            return self._other(value, depth)
        except Exception as error:
            return f"<{type(value).__name__}: {type(error).__name__} while logging>"

    def _text(self, text: str) -> str:
        cleaned = clean_text(text, min(MAX_TEXT, self._characters))
        self._characters -= len(cleaned)
        return cleaned

    def _other(self, value: Any, depth: int) -> JsonValue:
        scalar = _scalar(value)
        if scalar is not None:
            return self._text(scalar)
        if isinstance(value, bytes | bytearray | memoryview):
            return self._text(bytes(value[: MAX_TEXT + _MARGIN]).decode("utf-8", "replace"))
        if isinstance(value, numbers.Integral):
            return _number(int(value))
        if isinstance(value, numbers.Real):
            return _number(float(value))
        if isinstance(value, BaseException):
            return self._text(f"{type(value).__name__}: {safe_str(value)}")
        return self._nested(value, depth)

    def _nested(self, value: Any, depth: int) -> JsonValue:
        walk = self._mapping_of(value)
        items = value if isinstance(value, list | tuple | set | frozenset | deque) else None
        if walk is None and items is None:
            return self._text(safe_str(value))
        if id(value) in self._path:
            return "[cycle]"
        if depth >= MAX_DEPTH:
            return CUT
        self._path.add(id(value))
        try:
            return self._object(walk, depth) if walk is not None else self._array(items or (), depth)
        finally:
            self._path.discard(id(value))

    def _mapping_of(self, value: Any) -> Mapping[Any, Any] | None:
        if isinstance(value, Mapping):
            return value
        if isinstance(value, BaseModel):
            # Field by field, as a model made without validation may not dump at all.
            return {**value.__dict__, **(value.__pydantic_extra__ or {})}
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
        if isinstance(value, tuple) and hasattr(value, "_asdict"):
            return dict(value._asdict())
        return None

    def _array(self, items: Iterable[Any], depth: int) -> JsonValue:
        values = list(islice(items, MAX_ITEMS + 1))
        if len(values) == 2 and _names_secret(values[0]) and _may_hide(values[0], values[1]):
            return [self.clean(values[0], depth + 1), MASK]
        cleaned = [self.clean(item, depth + 1) for item in values[:MAX_ITEMS]]
        return [*cleaned, CUT] if len(values) > MAX_ITEMS else cleaned

    def _object(self, mapping: Mapping[Any, Any], depth: int) -> JsonValue:
        hidden = frozenset[str]()
        if not _NAME_FIELDS.isdisjoint(mapping) and any(_names_secret(mapping.get(field)) for field in _NAME_FIELDS):
            hidden = _VALUE_FIELDS
        cleaned: dict[str, JsonValue] = {}
        for index, (key, value) in enumerate(mapping.items()):
            if index >= MAX_ITEMS:
                cleaned["_cut"] = CUT
                break
            text = key if type(key) is str else _decoded(key)
            name = self._name(text, cleaned)
            if text in hidden or (_names_secret(text) and _may_hide(text, value)):
                cleaned[name] = MASK
            else:
                cleaned[name] = self.clean(value, depth + 1)
        return cleaned

    def _name(self, key: str, taken: Mapping[str, JsonValue]) -> str:
        name = _clean_name(key) if len(key) <= MAX_KEY else _clean_name(key[: MAX_KEY + _MARGIN])
        self._characters -= len(name)
        unique, number = name, 2
        while unique in taken:
            unique, number = f"{name}_{number}", number + 1
        return unique


@lru_cache(maxsize=4096)
def _clean_name(key: str) -> str:
    # Elasticsearch reads a dot in a name as nesting and refuses a name that is empty.
    return clean_text(key, MAX_KEY).replace(".", "_").strip() or "_"


def _decoded(key: Any) -> str:
    if isinstance(key, Enum):
        key = key.value
    return bytes(key).decode("utf-8", "replace") if isinstance(key, bytes | bytearray) else safe_str(key)


def _names_secret(name: Any) -> bool:
    if type(name) is str:
        return len(name) <= MAX_TEXT and is_secret_name(name)
    if isinstance(name, str | bytes):
        return len(name) <= MAX_TEXT and is_secret_name(_decoded(name))
    if isinstance(name, list | tuple):
        return any(isinstance(part, str) and _names_secret(part) for part in islice(name, MAX_ITEMS))
    return False


def _may_hide(name: Any, value: Any) -> bool:
    """Tell whether a value under a secret's name can be one: not if it is absent, or a count, or a flag."""
    if value is None or isinstance(value, bool):
        return False
    return not (isinstance(value, numbers.Number) and is_measure_name(_decoded(name)))


def _number(value: float) -> JsonValue:
    if isinstance(value, float):
        # JSON has no NaN and no infinity.
        return float(value) if math.isfinite(value) else str(float(value))
    number = int(value)
    if not -_LARGEST_INTEGER <= number < _LARGEST_INTEGER:
        return hex(number)[:MAX_KEY] if number.bit_length() > 1_024 else str(number)
    if number >= _SHORTEST_CARD and is_card_number(str(number)):
        return MASK
    return number


def _scalar(value: Any) -> str | None:
    """Return the text of a value that has one form only; None for any other."""
    if isinstance(value, Decimal):
        return str(value) if not value.is_finite() or abs(value.adjusted()) > 40 else format(value, "f")
    if isinstance(value, datetime):
        moment = value.astimezone(UTC) if value.tzinfo else value
        return moment.isoformat().replace("+00:00", "Z")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return f"{value.total_seconds()}s"
    if isinstance(value, SecretStr | SecretBytes):
        return MASK
    return None
