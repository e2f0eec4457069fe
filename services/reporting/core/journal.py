"""The journal as reporting reads it."""

from typing import Any

from shared.schemas.base import Contract, UtcDatetime


class JournalRow(Contract):
    """A row of risk's journal; unlike risk's own contract, of any kind: a newer risk may write kinds unknown here."""

    seq: int
    ts: UtcDatetime
    epoch: int
    account_id: str | None
    kind: str
    body: dict[str, Any]
    prev_hash: str
    hash: str


class JournalRows(Contract):
    """A page of the journal, oldest first; `last_seq` is the newest durable row."""

    items: list[JournalRow]
    next_after: int
    last_seq: int
