"""Does a page of the journal follow what was read before."""

from collections.abc import Sequence

from services.reporting.core.journal import JournalRow
from shared.journal import canonical, row_hash


def chain_problem(seq: int, digest: str, entries: Sequence[JournalRow]) -> str | None:
    """Return what is wrong with rows that should follow row `seq` of hash `digest`, None where nothing is."""
    for entry in entries:
        if entry.seq != seq + 1:
            return f"row {entry.seq} follows row {seq}"
        if entry.prev_hash != digest:
            return f"row {entry.seq} does not continue the chain"
        text = canonical(entry.body)
        expected = row_hash(entry.seq, entry.ts, entry.epoch, entry.account_id, entry.kind, text, entry.prev_hash)
        if entry.hash != expected:
            return f"row {entry.seq} does not match its hash"
        seq, digest = entry.seq, entry.hash
    return None
