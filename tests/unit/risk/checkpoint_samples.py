"""Journals and checkpoints to damage."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.risk.core.chain import Row, Tip
from services.risk.core.checkpoints import Checkpoint, DurableTip, Finding, Verifier, Walk, read_checkpoint, sign_next
from services.risk.signing import SigningKey
from shared.journal import canonical, row_hash

START = datetime(2026, 3, 2, 9, 30, 0, 123456, tzinfo=UTC)
KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER_KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33))))
KEYS: dict[str, Verifier] = {KEY.key_id: KEY.public}


def journal(count: int, flavour: str = "as it was", after: Sequence[Row] = ()) -> list[Row]:
    """Return rows that follow others, each with a sound hash."""
    tip = Tip(after[-1].seq, after[-1].hash) if after else Tip()
    rows = []
    for seq in range(tip.seq + 1, tip.seq + count + 1):
        account = None if seq % 3 == 0 else "main"
        body = canonical({"flavour": flavour, "text": "naïve 漢字", "seq": seq})
        ts = START + timedelta(seconds=seq)
        digest = row_hash(seq, ts, 1 + seq // 10, account, "ORDER_APPROVED", body, tip.hash)
        rows.append(Row(seq, ts, 1 + seq // 10, account, "ORDER_APPROVED", body, tip.hash, digest))
        tip = Tip(seq, digest)
    return [*after, *rows]


def rehashed(rows: Sequence[Row], seq: int, **change: object) -> list[Row]:
    """Return the journal with a row changed, and every hash from there on made to fit."""
    found, tip = list(rows[: seq - 1]), Tip(seq - 1, rows[seq - 1].prev_hash)
    for row in rows[seq - 1 :]:
        new = row._replace(**change) if row.seq == seq else row  # type: ignore[arg-type]
        digest = row_hash(new.seq, new.ts, new.epoch, new.account_id, new.kind, new.body, tip.hash)
        found.append(new._replace(prev_hash=tip.hash, hash=digest))
        tip = Tip(row.seq, digest)
    return found


def tip_of(row: Row) -> DurableTip:
    return DurableTip(row.seq, row.hash, row.epoch)


def checkpoints(rows: Sequence[Row], seqs: Sequence[int], key: SigningKey = KEY) -> list[Checkpoint]:
    found: list[Checkpoint] = []
    for seq in seqs:
        last = found[-1] if found else None
        found.append(sign_next(last, tip_of(rows[seq - 1]), START + timedelta(minutes=seq), key))
    return found


def read_all(lines: Sequence[bytes], keys: dict[str, Verifier] = KEYS) -> list[Checkpoint] | Finding:
    found: list[Checkpoint] = []
    for line in lines:
        read = read_checkpoint(found[-1] if found else None, line, keys)
        if isinstance(read, Finding):
            return read
        found.append(read)
    return found


def walk(
    rows: Sequence[Row], signed: Sequence[Checkpoint], recorded: int | None = None, page: int = 4
) -> Finding | None:
    walked = Walk(iter(signed))
    for begin in range(0, len(rows), page):
        found = walked.take(rows[begin : begin + page])
        if found:
            return found
    return walked.end(recorded)


def write_file(path: Path, signed: Sequence[Checkpoint]) -> Path:
    path.write_bytes(b"".join(each.line() + b"\n" for each in signed))
    path.chmod(0o600)
    return path
