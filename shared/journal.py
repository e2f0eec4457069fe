"""The hash chain of risk's journal, for whoever writes, verifies or reads it."""

import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from json.encoder import encode_basestring_ascii as _string
from typing import Any

from shared.schemas.base import format_utc

# The rows of one commit have one time.
_text = lru_cache(maxsize=8)(format_utc)
GENESIS_HASH = "0" * 64


def canonical(body: Mapping[str, Any] | list[Any]) -> str:
    """Return the one JSON text of a body or a list: sorted keys, no spaces. Raises ValueError on NaN and infinity."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def row_hash(
    seq: int, ts: datetime, epoch: int, account_id: str | None, kind: str, body_text: str, prev_hash: str
) -> str:
    """Return the SHA-256 of a row and of the hash before it, as hex; `body_text` is canonical."""
    # As JSON writes the list of them.
    account = "null" if account_id is None else _string(account_id)
    head = f'[{seq},"{_text(ts)}",{epoch},{account},{_string(kind)},{_string(prev_hash)}]'
    return sha256(f"{head}\n{body_text}".encode()).hexdigest()
