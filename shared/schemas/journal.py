"""The journal as risk serves it and reporting reads it."""

from enum import StrEnum
from typing import Any

from pydantic import Field

from shared.schemas.base import Contract, UtcDatetime


class EventKind(StrEnum):
    """What a journal row records."""

    ACCOUNT_OPENED = "ACCOUNT_OPENED"
    INSTRUMENT_SET = "INSTRUMENT_SET"
    LIMITS_SET = "LIMITS_SET"
    MARKS_SET = "MARKS_SET"
    ORDER_APPROVED = "ORDER_APPROVED"
    ORDER_DENIED = "ORDER_DENIED"
    ORDER_CLOSED = "ORDER_CLOSED"
    FILL_APPLIED = "FILL_APPLIED"
    DAY_ROLLED = "DAY_ROLLED"
    KILL_SWITCH_ACTIVATED = "KILL_SWITCH_ACTIVATED"
    KILL_SWITCH_RELEASED = "KILL_SWITCH_RELEASED"
    KILL_RELEASE_REQUESTED = "KILL_RELEASE_REQUESTED"
    KILL_ACKNOWLEDGED = "KILL_ACKNOWLEDGED"
    ORDER_REPLACED = "ORDER_REPLACED"
    REPLACE_DENIED = "REPLACE_DENIED"
    REPLACE_ACKNOWLEDGED = "REPLACE_ACKNOWLEDGED"
    CASH_MOVED = "CASH_MOVED"
    BREAKER_CHANGED = "BREAKER_CHANGED"
    STRATEGY_ENABLED = "STRATEGY_ENABLED"
    LEVEL_CHANGED = "LEVEL_CHANGED"
    SCENARIOS_SET = "SCENARIOS_SET"
    ENGINE_STARTED = "ENGINE_STARTED"
    ACCOUNT_RECONCILED = "ACCOUNT_RECONCILED"
    HEARTBEAT_SET = "HEARTBEAT_SET"
    HIGH_WATER_MARK_SET = "HIGH_WATER_MARK_SET"


class JournalEntry(Contract):
    """One row: `hash` is SHA-256 over the previous hash and the canonical text of this row."""

    seq: int
    ts: UtcDatetime
    epoch: int
    account_id: str | None
    kind: EventKind
    body: dict[str, Any]
    prev_hash: str
    hash: str


class JournalPage(Contract):
    """Rows after a sequence number, oldest first; ask again with `after=next_after`."""

    items: list[JournalEntry]
    next_after: int
    last_seq: int = Field(description="The newest durable row, so that a reader knows how far behind it is.")


class JournalVerification(Contract):
    """Whether the chain holds; if not, the first bad row and what is wrong with it."""

    ok: bool
    checked: int
    last_seq: int
    last_hash: str
    first_bad_seq: int | None = None
    problem: str | None = None
