"""All SQL of risk: the journal and its lease, and the history kept beside it."""

from services.risk.store.history import list_portfolios, list_risks, put_history, session_ends
from services.risk.store.journal import (
    DeposedError,
    Lease,
    find_decision,
    follow_pages,
    hash_at,
    is_opened,
    last_seq,
    newest_of,
    read_page,
    try_lease,
)

__all__ = [
    "DeposedError",
    "Lease",
    "find_decision",
    "follow_pages",
    "hash_at",
    "is_opened",
    "last_seq",
    "list_portfolios",
    "list_risks",
    "newest_of",
    "put_history",
    "read_page",
    "session_ends",
    "try_lease",
]
