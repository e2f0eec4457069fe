"""Prove a journal by its chain and by its signed checkpoints."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from cli.journal.sources import Source, UnreadableRowError
from services.risk.checkpoint_file import read_checkpoints
from services.risk.core.chain import Tip
from services.risk.core.checkpoints import Checkpoint, Finding, FindingKind, Verifier, Walk


@dataclass(frozen=True, slots=True)
class Signed:
    """What a file of checkpoints holds up to its first bad one."""

    newest: Checkpoint | None
    finding: Finding | None
    torn: bool

    @property
    def count(self) -> int:
        """Return how many are sound."""
        return self.newest.number if self.newest else 0


@dataclass(frozen=True, slots=True)
class Proof:
    """What was found; the journal is sound up to `tip`, and signed up to `agreed`."""

    findings: list[Finding]
    tip: Tip
    agreed: Checkpoint | None


def read_signed(path: Path, keys: Mapping[str, Verifier], known: int) -> Signed:
    """Check a file of checkpoints by itself; `known` is the newest number known from elsewhere. Raises OSError."""
    newest: Checkpoint | None = None
    for found in _read(path, keys):
        if not isinstance(found, Checkpoint):
            return Signed(newest, found or _missing(newest, known), torn=found is None)
        newest = found
    return Signed(newest, _missing(newest, known), torn=False)


async def prove(
    source: Source, path: Path, keys: Mapping[str, Verifier], signed: Signed, moved: Callable[[int], None]
) -> Proof:
    """Follow the journal from its first row beside the sound checkpoints. Raises what the source raises."""
    recorded = await source.recorded()
    sound = (found for found in islice(_read(path, keys), signed.count) if isinstance(found, Checkpoint))
    walk = Walk(sound)
    found = await _walk(walk, source, recorded, moved)
    findings = [each for each in (signed.finding, found) if each]
    if not findings and signed.newest is None and walk.tip.seq:
        none = f"the file holds no checkpoint, and the journal {walk.tip.seq} rows"
        findings.append(Finding(FindingKind.MISSING_CHECKPOINT, 1, none))
    return Proof(findings, walk.tip, walk.agreed)


async def _walk(walk: Walk, source: Source, recorded: int | None, moved: Callable[[int], None]) -> Finding | None:
    try:
        async for rows in source.pages(0):
            found = walk.take(rows)
            if found is not None:
                return found
            moved(walk.tip.seq)
    except UnreadableRowError as error:
        return Finding(FindingKind.JOURNAL_BROKEN, error.after + 1, error.problem)
    return walk.end(recorded)


def _read(path: Path, keys: Mapping[str, Verifier]) -> Iterator[Checkpoint | Finding | None]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield from read_checkpoints(descriptor, keys)
    finally:
        os.close(descriptor)


def _missing(newest: Checkpoint | None, known: int) -> Finding | None:
    number = newest.number if newest else 0
    if number >= known:
        return None
    missing = f"checkpoints {number + 1} to {known} were written and are missing"
    return Finding(FindingKind.MISSING_CHECKPOINT, number + 1, missing)
