"""All SQL of risk: the journal and its lease, snapshots of its state, and the history kept beside it."""

from services.risk.store.history import list_portfolios, list_risks, put_history, session_ends
from services.risk.store.journal import (
    DeposedError,
    Lease,
    find_decision,
    follow_pages,
    hash_at,
    is_opened,
    journal_shard,
    last_seq,
    newest_of,
    read_page,
    try_lease,
)
from services.risk.store.snapshots import find_snapshot, newest_snapshot_seq, put_snapshot

__all__ = [
    "DeposedError",
    "Lease",
    "find_decision",
    "find_snapshot",
    "follow_pages",
    "hash_at",
    "is_opened",
    "journal_shard",
    "last_seq",
    "list_portfolios",
    "list_risks",
    "newest_of",
    "newest_snapshot_seq",
    "put_history",
    "put_snapshot",
    "read_page",
    "session_ends",
    "try_lease",
]
