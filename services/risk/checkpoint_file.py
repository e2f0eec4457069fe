"""The file of checkpoints: one on each line, added and never changed. Everything here blocks."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Lock

from services.risk.core.checkpoints import (
    Checkpoint,
    DurableTip,
    Finding,
    FindingKind,
    Verifier,
    read_checkpoint,
    sign_next,
)
from services.risk.signing import load_signing_key
from shared.logging import Category, get_trading_logger

_LOG = get_trading_logger("keelson.risk.checkpoints", Category.AUDIT)

# A checkpoint has about 500 bytes; a longer line is none, and is not read into memory whole.
LONGEST_LINE = 4096


class BrokenError(Exception):
    """The file, or the journal, is not what was signed."""


def read_lines(descriptor: int, offset: int) -> Iterator[tuple[bytes, bool]]:
    """Yield each line after an offset without its end, and whether it had one: only the last may not."""
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(offset)
        while line := file.readline(LONGEST_LINE):
            yield line.removesuffix(b"\n"), line.endswith(b"\n")


def read_checkpoints(
    descriptor: int, keys: Mapping[str, Verifier], last: Checkpoint | None = None, offset: int = 0
) -> Iterator[Checkpoint | Finding | None]:
    """Yield the checkpoints after one; at most one Finding, or None for a torn last line, ends them.

    A whole checkpoint that lacks nothing but its line's end counts: a crash may cost just that byte.
    """
    for line, whole in read_lines(descriptor, offset):
        found = read_checkpoint(last, line, keys)
        if isinstance(found, Finding):
            yield found if whole or len(line) == LONGEST_LINE else None
            return
        yield found
        last = found


class CheckpointFile:
    """One file and the key that signs for it; what was read of it is not read again while it only grows."""

    def __init__(self, path: Path, key_file: Path) -> None:
        self.path = path
        self._key_file = key_file
        self._guard = Lock()
        self._identity = (0, 0)
        self._end = 0
        self._last: Checkpoint | None = None
        self._newest: Checkpoint | None = None

    def read(self) -> Checkpoint | None:
        """Check what was added and return the newest checkpoint. Raises BrokenError, SigningKeyError or OSError."""
        with self._guard, self._open() as descriptor:
            return self._catch_up(descriptor)

    def append(self, last: Checkpoint | None, tip: DurableTip, ts: datetime) -> Checkpoint:
        """Add a checkpoint that follows the last one; it is on the disk once this returns.

        Raises BrokenError, where another process wrote meanwhile too, SigningKeyError or OSError.
        """
        with self._guard, self._open() as descriptor:
            if self._catch_up(descriptor) != last:
                raise BrokenError(f"another process writes {self.path} too")
            key = load_signing_key(self._key_file)
            if last is not None and last.key_id != key.key_id:
                raise BrokenError(f"{self.path} was signed with key {last.key_id}, and the key is {key.key_id} now")
            made = sign_next(last, tip, ts, key)
            self._drop_torn(descriptor)
            line = made.line() + b"\n"
            try:
                if os.write(descriptor, line) != len(line):
                    raise OSError(f"{self.path} was written in part only")
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, self._end)
                raise
            self._end += len(line)
            self._last = self._newest = made
            return made

    @contextmanager
    def _open(self) -> Iterator[int]:
        new = not self.path.exists()
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            # Nobody holds it longer than one write takes; whoever does must not hold this thread too.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if new:
                os.fchmod(descriptor, 0o600)
                _sync_folder(self.path.parent)
            yield descriptor
        finally:
            os.close(descriptor)

    def _catch_up(self, descriptor: int) -> Checkpoint | None:
        state = os.fstat(descriptor)
        if (state.st_dev, state.st_ino) != self._identity or state.st_size < self._end:
            self._identity, self._end, self._last = (state.st_dev, state.st_ino), 0, None
        if state.st_size > self._end:
            key = load_signing_key(self._key_file).public
            for found in read_checkpoints(descriptor, {key.key_id: key}, self._last, self._end):
                if found is None:
                    break
                if isinstance(found, Finding):
                    raise BrokenError(f"{self.path}: {found}")
                self._take(found)
            self._end_last_line(descriptor)
        newest = self._newest
        if newest is not None and (self._last is None or self._last.number < newest.number):
            gone = (self._last.number if self._last else 0) + 1
            problem = f"checkpoints {gone} to {newest.number} were there and are gone"
            raise BrokenError(f"{self.path}: {Finding(FindingKind.MISSING_CHECKPOINT, gone, problem)}")
        self._newest = self._last
        return self._last

    def _take(self, found: Checkpoint) -> None:
        newest = self._newest
        if newest is not None and newest.number == found.number and newest != found:
            problem = "another one stood in its place"
            raise BrokenError(f"{self.path}: {Finding(FindingKind.ALTERED_CHECKPOINT, found.number, problem)}")
        self._last = found
        self._end += len(found.line()) + 1

    def _drop_torn(self, descriptor: int) -> None:
        """Remove what a crash or a full disk left behind the last whole line: it never was a checkpoint."""
        torn = os.fstat(descriptor).st_size - self._end
        if torn:
            _LOG.warning("the last line was torn, and is dropped", file=str(self.path), torn_bytes=torn)
            os.ftruncate(descriptor, self._end)

    def _end_last_line(self, descriptor: int) -> None:
        """Give the last checkpoint the line's end that a crash cost it."""
        if os.fstat(descriptor).st_size == self._end - 1:
            os.write(descriptor, b"\n")
            os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
