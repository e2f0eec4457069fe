"""The text of one journal row in an export."""

import json
from datetime import datetime

from services.risk.core.chain import Row
from shared.journal import canonical
from shared.schemas.base import format_utc

_FIELDS = frozenset(Row._fields)


def encode(row: Row) -> bytes:
    """Return the one line of a row; `body` stays the text its hash covers."""
    return canonical({**row._asdict(), "ts": format_utc(row.ts)}).encode() + b"\n"


def decode(line: bytes) -> Row:
    """Return the row of a line. Raises ValueError where it is not the line of a row."""
    try:
        content = json.loads(line)
        if not isinstance(content, dict) or content.keys() != _FIELDS:
            raise ValueError("the line is not a row")
        row = Row(**{**content, "ts": datetime.fromisoformat(content["ts"])})
    except (ValueError, TypeError, RecursionError):
        raise ValueError("the line is not the text of a row") from None
    problem = row_problem(row)
    if problem:
        raise ValueError(problem)
    # Another spelling of the same values is not what was exported.
    if encode(row) != line:
        raise ValueError("the line is not the one text of its row")
    return row


def row_problem(row: Row) -> str | None:
    """Tell why a hash cannot be made of a row: whoever changes a table can change its types too."""
    numbers, texts = (row.seq, row.epoch), (row.kind, row.body, row.prev_hash, row.hash)
    if (
        all(type(value) is int for value in numbers)
        and all(isinstance(value, str) for value in texts)
        and isinstance(row.ts, datetime)
        and row.ts.tzinfo is not None
        and isinstance(row.account_id, str | None)
    ):
        return None
    return "a value is missing, or of another type"
