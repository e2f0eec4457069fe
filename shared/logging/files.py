"""The rotating log file: old parts gzip-compressed, safe against a crash at any moment."""

import contextlib
import fcntl
import gzip
import logging
import os
import shutil
import time
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

from shared.logging.queueing import tell_stderr

_MODE = 0o640
_MOST_PROCESSES = 64
_RETRY_SECONDS = 60.0


class GzipRotatingFileHandler(RotatingFileHandler):
    """Rotate by size into `<file>.1.gz` (the newest) to `<file>.<backups>.gz`.

    A rotation renames the file to `<file>.rotating`, compresses that into `<file>.gz.partial`, renames the finished
    result to `<file>.gz.ready`, and moves it to `.1.gz`; whatever a crash or a full disk left undone is finished by
    the next start or the next rotation. While it cannot be, the file grows beyond its size and no backup is lost.
    """

    def __init__(self, path: Path, max_bytes: int, backups: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock_file: IO[str] | None = None
        path, self._lock_file = _claim(path)
        self.path = path
        self._pending = path.with_name(f"{path.name}.rotating")
        self._partial = path.with_name(f"{path.name}.gz.partial")
        self._ready = path.with_name(f"{path.name}.gz.ready")
        self._rotate_after = 0.0
        self._tell_after = 0.0
        _end_torn_line(path)
        super().__init__(path, maxBytes=max_bytes, backupCount=backups, encoding="utf-8", errors="replace")
        self.namer = lambda name: f"{name}.gz"
        try:
            self._finish()
        except OSError as error:
            self._tell(f"cannot be rotated ({error.strerror or error})")

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, _MODE)
        self._size = os.fstat(descriptor).st_size
        return os.fdopen(descriptor, "a", encoding="utf-8", errors="replace")

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: N802 - logging's name
        """Tell whether the line no longer fits; not while a failed rotation waits for its next try."""
        # Counted, as the standard library asks the file system three things for every line. Lines are ASCII.
        full = 0 < self.maxBytes <= self._size + len(self.format(record)) + 1
        return full and time.monotonic() >= self._rotate_after

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, after a rotation where it no longer fits."""
        super().emit(record)
        self._size += len(self.format(record)) + 1

    def doRollover(self) -> None:  # noqa: N802 - logging's name
        """Start a new file and compress the old one."""
        if self.stream:
            self.stream.close()
            self.stream = None
        try:
            self._finish()
            self.path.replace(self._pending)
            self._finish()
        except OSError as error:
            self._rotate_after = time.monotonic() + _RETRY_SECONDS
            self._tell(f"cannot be rotated ({error.strerror or error})")
        self.stream = self._open()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Tell of failures, no more than once a minute."""
        self._tell("cannot be written; log lines are missing there")

    def close(self) -> None:
        """Close the file and give up the claim to its name."""
        super().close()
        if self._lock_file is not None:
            self._lock_file.close()
            self._lock_file = None

    def _finish(self) -> None:
        if not self._ready.exists() and self._pending.exists():
            descriptor = os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE)
            with os.fdopen(descriptor, "wb") as target, self._pending.open("rb") as source:
                with gzip.GzipFile(self.path.name, "wb", fileobj=target) as compressed:
                    shutil.copyfileobj(source, compressed, 1024 * 1024)
                target.flush()
                os.fsync(target.fileno())
            self._partial.replace(self._ready)
        if self._ready.exists():
            # The pending file first: where it and a ready one are both there, the ready one is all of it.
            self._pending.unlink(missing_ok=True)
            self._shift()
            self._ready.replace(self._backup(1))

    def _shift(self) -> None:
        """Move each backup up by one to free the first place, no further than the first gap."""
        free = 1
        while free <= self.backupCount and self._backup(free).exists():
            free += 1
        for number in range(min(free, self.backupCount), 1, -1):
            self._backup(number - 1).replace(self._backup(number))

    def _backup(self, number: int) -> Path:
        return Path(self.rotation_filename(f"{self.baseFilename}.{number}"))

    def _tell(self, what: str) -> None:
        if time.monotonic() >= self._tell_after:
            self._tell_after = time.monotonic() + _RETRY_SECONDS
            tell_stderr(f"{self.baseFilename} {what}")


def _claim(path: Path) -> tuple[Path, IO[str]]:
    """Return the first of `name`, `name-2`, … that no other process writes, and the lock that keeps it so."""
    for number in range(1, _MOST_PROCESSES + 1):
        candidate = path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
        lock = candidate.with_name(f".{candidate.name}.lock").open("a")
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return candidate, lock
        lock.close()
    raise OSError(f"{_MOST_PROCESSES} processes log to {path} already")


def _end_torn_line(path: Path) -> None:
    """End a last line that a killed process left without its line break."""
    with contextlib.suppress(FileNotFoundError), path.open("rb+") as file:
        if file.seek(0, os.SEEK_END) and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n":
            file.write(b"\n")
