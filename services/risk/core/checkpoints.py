"""Signed checkpoints of the journal: what it was, kept where whoever owns the database cannot rewrite it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Protocol

from pydantic import Field, StringConstraints, ValidationError

from services.risk.core.chain import Row, Tip, follow
from shared.journal import GENESIS_HASH, canonical
from shared.schemas.base import Contract, UtcDatetime, format_utc

# What is signed begins with this, so that no signature of the same key for another purpose can stand for a checkpoint.
_PURPOSE = b"keelson journal checkpoint 1\n"
_Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_Seq = Annotated[int, Field(ge=1, lt=2**63)]


class Signer(Protocol):
    """A private key."""

    @property
    def key_id(self) -> str:
        """Return the name of the key, the same as of its public half."""

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message."""


class Verifier(Protocol):
    """A public key."""

    @property
    def key_id(self) -> str:
        """Return the name of the key."""

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Tell whether a signature of a message was made with the private half."""


class Checkpoint(Contract):
    """What the journal's newest row was at a moment, linked to the checkpoint before and signed."""

    number: _Seq
    journal_seq: _Seq
    journal_hash: _Sha256
    epoch: int
    ts: UtcDatetime
    previous: _Sha256
    key_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    signature: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{128}$")]

    def line(self) -> bytes:
        """Return the one text of it, without a line's end."""
        return canonical(self.model_dump(mode="json")).encode()

    def digest(self) -> str:
        """Return the hash the next checkpoint names, as hex."""
        return sha256(self.line()).hexdigest()


class FindingKind(StrEnum):
    """What a bad record means."""

    ALTERED_CHECKPOINT = "altered checkpoint"
    MISSING_CHECKPOINT = "missing checkpoint"
    UNKNOWN_KEY = "unknown key"
    JOURNAL_BROKEN = "journal broken"
    JOURNAL_CUT = "journal cut"
    JOURNAL_REWRITTEN = "journal rewritten"
    OLD_BACKUP = "old backup"


@dataclass(frozen=True, slots=True)
class Finding:
    """The first bad record, by its number in the file of checkpoints or in the journal, and what it means."""

    kind: FindingKind
    number: int
    detail: str

    def __str__(self) -> str:
        """Return one line for people."""
        of_file = {FindingKind.ALTERED_CHECKPOINT, FindingKind.MISSING_CHECKPOINT, FindingKind.UNKNOWN_KEY}
        record = "checkpoint" if self.kind in of_file else "journal row"
        return f"{self.kind}: {record} {self.number}: {self.detail}"


@dataclass(frozen=True, slots=True)
class DurableTip:
    """The newest row that is committed, and the epoch of whoever leads; `seq` is 0 while there is none."""

    seq: int
    hash: str
    epoch: int


def sign_next(last: Checkpoint | None, tip: DurableTip, ts: datetime, signer: Signer) -> Checkpoint:
    """Return the checkpoint of a tip that follows the last one."""
    unsigned = {
        "number": last.number + 1 if last else 1,
        "journal_seq": tip.seq,
        "journal_hash": tip.hash,
        "epoch": tip.epoch,
        "ts": format_utc(ts),
        "previous": last.digest() if last else GENESIS_HASH,
        "key_id": signer.key_id,
    }
    signature = signer.sign(_PURPOSE + canonical(unsigned).encode())
    return Checkpoint.model_validate({**unsigned, "signature": signature.hex()})


def is_due(last: Checkpoint | None, tip: DurableTip, now: datetime, rows: int, every: timedelta) -> bool:
    """Tell whether a tip is to be signed: enough rows, or any row and enough time, after the last checkpoint."""
    behind = tip.seq - (last.journal_seq if last else 0)
    # A clock that was set back must not put off what is due.
    return behind >= rows or (behind > 0 and (last is None or abs(now - last.ts) >= every))


def read_checkpoint(last: Checkpoint | None, line: bytes, keys: Mapping[str, Verifier]) -> Checkpoint | Finding:
    """Return the checkpoint of a line that follows the last one, or what is wrong with it."""
    number = last.number + 1 if last else 1
    found = _parse(line)
    if found is None:
        return Finding(FindingKind.ALTERED_CHECKPOINT, number, "the line is not the text of a checkpoint")
    key = keys.get(found.key_id)
    if key is None:
        return Finding(FindingKind.UNKNOWN_KEY, number, f"it names key {found.key_id}, which is none of those given")
    unsigned = canonical(found.model_dump(mode="json", exclude={"signature"})).encode()
    if not key.verify(bytes.fromhex(found.signature), _PURPOSE + unsigned):
        return Finding(FindingKind.ALTERED_CHECKPOINT, number, "the signature does not match the content")
    if found.number > number:
        missing = f"checkpoints {number} to {found.number - 1} are missing"
        return Finding(FindingKind.MISSING_CHECKPOINT, number, missing)
    problem = _out_of_place(last, found)
    return Finding(FindingKind.ALTERED_CHECKPOINT, number, problem) if problem else found


def contradiction(last: Checkpoint | None, tip: DurableTip, hash_then: str | None, hash_now: str | None) -> str | None:
    """Tell why a journal is not the one that was signed, None where it is.

    `hash_then` is what the journal holds at the last checkpoint's row, `hash_now` at the tip's.
    """
    if last is not None and tip.seq < last.journal_seq:
        finding = _ends_early(tip.seq, last, recorded=tip.seq)
    elif last is not None and hash_then != last.journal_hash:
        finding = _rewritten(last, None)
    elif tip.seq and hash_now != tip.hash:
        what = "the journal no longer holds what this process wrote"
        finding = Finding(FindingKind.JOURNAL_REWRITTEN, tip.seq, what)
    else:
        return None
    return str(finding)


class Walk:
    """Follow a journal from its first row beside its checkpoints, both in their order."""

    def __init__(self, checkpoints: Iterator[Checkpoint]) -> None:
        self.tip = Tip()
        self.agreed: Checkpoint | None = None
        self._checkpoints = checkpoints
        self._next = next(checkpoints, None)

    def take(self, rows: Sequence[Row]) -> Finding | None:
        """Check the rows that come next; return the first that is not what was written."""
        before = self.tip.seq
        self.tip, broken = follow(self.tip, rows)
        while self._next is not None and self._next.journal_seq <= self.tip.seq:
            if rows[self._next.journal_seq - before - 1].hash != self._next.journal_hash:
                return _rewritten(self._next, self.agreed)
            self.agreed, self._next = self._next, next(self._checkpoints, None)
        return Finding(FindingKind.JOURNAL_BROKEN, broken.seq, broken.problem) if broken else None

    def end(self, recorded: int | None) -> Finding | None:
        """Return what is missing at the end; `recorded` is the last row the database says was written, if it says."""
        newest = self._next
        for newest in self._checkpoints:  # noqa: B007  # the last one is wanted
            pass
        if newest is not None:
            return _ends_early(self.tip.seq, newest, recorded)
        if recorded is not None and self.tip.seq < recorded:
            missing = f"rows {self.tip.seq + 1} to {recorded} were written and are missing"
            return Finding(FindingKind.JOURNAL_CUT, self.tip.seq + 1, missing)
        return None


def _parse(line: bytes) -> Checkpoint | None:
    try:
        found = Checkpoint.model_validate_json(line)
    except ValidationError:
        return None
    # Another spelling of the same values is not what was written.
    return found if found.line() == line else None


def _out_of_place(last: Checkpoint | None, found: Checkpoint) -> str | None:
    if found.number < (last.number + 1 if last else 1):
        return f"it is checkpoint {found.number} once more"
    if found.previous != (last.digest() if last else GENESIS_HASH):
        return "it is signed, and follows another checkpoint than the one before it: two files were put together"
    if last is not None and found.journal_seq <= last.journal_seq:
        return f"it is of row {found.journal_seq}, and the one before of row {last.journal_seq}"
    if last is not None and found.epoch < last.epoch:
        return f"it is of epoch {found.epoch}, and the one before of epoch {last.epoch}"
    return None


def _rewritten(checkpoint: Checkpoint, agreed: Checkpoint | None) -> Finding:
    since = f"; up to row {agreed.journal_seq} the journal is what was signed" if agreed else ""
    return Finding(
        FindingKind.JOURNAL_REWRITTEN,
        checkpoint.journal_seq,
        f"it is not the row that checkpoint {checkpoint.number} of {format_utc(checkpoint.ts)} signed: "
        f"the journal was rewritten, or an old backup of it was written on{since}",
    )


def _ends_early(end: int, newest: Checkpoint, recorded: int | None) -> Finding:
    signed = f"checkpoint {newest.number} of {format_utc(newest.ts)} signed row {newest.journal_seq}"
    if recorded == end:
        old = (
            f"the journal ends after row {end} and says that this is all, but {signed}: "
            "an old backup was put back, or the tail was cut together with its count"
        )
        return Finding(FindingKind.OLD_BACKUP, end + 1, old)
    return Finding(FindingKind.JOURNAL_CUT, end + 1, f"the journal was cut after row {end}: {signed}")
