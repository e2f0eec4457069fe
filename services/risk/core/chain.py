"""The journal's chain: is every row what it was, and where it was."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from services.risk.core.codec import decode, encode
from services.risk.core.outcome import Event
from shared.journal import GENESIS_HASH, row_hash
from shared.schemas.journal import EventKind


class Row(NamedTuple):
    """A row as it is stored; `body` is the canonical text its hash covers."""

    seq: int
    ts: datetime
    epoch: int
    account_id: str | None
    kind: str
    body: str
    prev_hash: str
    hash: str


class Tip(NamedTuple):
    """The newest row: where the next one is linked."""

    seq: int = 0
    hash: str = GENESIS_HASH


@dataclass(frozen=True, slots=True)
class Break:
    """The first row that is not what it should be."""

    seq: int
    problem: str


def link(tip: Tip, event: Event, ts: datetime, epoch: int) -> Row:
    """Return the row that follows the tip."""
    body = encode(event.body)
    seq = tip.seq + 1
    digest = row_hash(seq, ts, epoch, event.account_id, event.kind, body, tip.hash)
    return Row(seq, ts, epoch, event.account_id, event.kind, body, tip.hash, digest)


def follow(tip: Tip, rows: Sequence[Row]) -> tuple[Tip, Break | None]:
    """Check rows in their order after a tip; return the new tip, or the last good one and the first bad row."""
    for row in rows:
        problem = _problem(tip, row)
        if problem is not None:
            return tip, Break(row.seq, problem)
        tip = Tip(row.seq, row.hash)
    return tip, None


def event_of(row: Row) -> Event:
    """Return what a row says."""
    return decode(EventKind(row.kind), row.account_id, row.body)


def _problem(tip: Tip, row: Row) -> str | None:
    if row.seq != tip.seq + 1:
        return f"rows {tip.seq + 1} to {row.seq - 1} are missing"
    if row.prev_hash != tip.hash:
        return "prev_hash is not the hash of the row before"
    if row_hash(row.seq, row.ts, row.epoch, row.account_id, row.kind, row.body, row.prev_hash) != row.hash:
        return "the content does not match the hash"
    return None
