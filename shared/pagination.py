"""Keyset pagination: a cursor is the sort key of the last row, opaque to callers."""

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Query

from shared.problems import BadRequest
from shared.schemas.base import format_utc

PageLimit = Annotated[int, Query(ge=1, le=1000, description="Most rows of one page.")]
DEFAULT_LIMIT = 100
_LONGEST = 1_000


class BadCursor(BadRequest):
    """The cursor was not made by this listing."""

    type_, title = "bad-cursor", "Bad cursor"


def encode_cursor(values: Mapping[str, str | int | datetime]) -> str:
    """Return an opaque cursor of a row's sort key."""
    text = json.dumps(values, separators=(",", ":"), sort_keys=True, default=format_utc)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str, **kinds: type[str] | type[int] | type[datetime]) -> dict[str, Any]:
    """Return the sort key a cursor holds; `kinds` names its parts and their types. Raises BadCursor.

    A moment is text in the cursor and comes back in UTC.
    """
    try:
        if len(cursor) > _LONGEST:
            raise ValueError
        values = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        if not isinstance(values, dict) or values.keys() != kinds.keys():
            raise ValueError
        return {name: _part(values[name], kind) for name, kind in kinds.items()}
    except (ValueError, OverflowError, binascii.Error, RecursionError):
        raise BadCursor("Use next_cursor as an earlier page gave it") from None


def _part(value: object, kind: type) -> str | int | datetime:
    if type(value) is int and kind is int and abs(value) < 2**63:
        return value
    if type(value) is str and kind is not int:
        # Half a surrogate pair is valid JSON, and no text PostgreSQL could compare with.
        value.encode()
        return datetime.fromisoformat(value).astimezone(UTC) if kind is datetime else value
    raise ValueError
