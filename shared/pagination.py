"""Keyset pagination: a cursor is the sort key of the last row, opaque to callers."""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Annotated

from fastapi import Query

from shared.problems import BadRequest

PageLimit = Annotated[int, Query(ge=1, le=1000, description="Most rows of one page.")]
DEFAULT_LIMIT = 100
_LONGEST = 1_000


class BadCursor(BadRequest):
    """The cursor was not made by this listing."""

    type_, title = "bad-cursor", "Bad cursor"


def encode_cursor(values: Mapping[str, str | int]) -> str:
    """Return an opaque cursor of a row's sort key."""
    text = json.dumps(values, separators=(",", ":"), sort_keys=True)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str, **kinds: type[str] | type[int]) -> dict[str, str | int]:
    """Return the sort key a cursor holds; `kinds` names its parts and their types. Raises BadCursor."""
    try:
        if len(cursor) > _LONGEST:
            raise ValueError
        values = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        if not isinstance(values, dict) or values.keys() != kinds.keys():
            raise ValueError
        for name, kind in kinds.items():
            if type(values[name]) is not kind or (kind is int and abs(values[name]) >= 2**63):
                raise ValueError
            if kind is str:
                # Half a surrogate pair is valid JSON, and no text PostgreSQL could compare with.
                values[name].encode()
    except (ValueError, binascii.Error, RecursionError):
        raise BadCursor("Use next_cursor as an earlier page gave it") from None
    return values
