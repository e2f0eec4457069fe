"""The file that keeps log lines while Elasticsearch is away."""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_MODE = 0o640

Send = Callable[[list[str]], list[str]]


@dataclass(frozen=True)
class _Batch:
    """Whole lines, lines a kill left torn, and the bytes both take in the file."""

    lines: list[str]
    torn: list[str]
    size: int


class FallbackFile:
    """Keep lines in order, one JSON object on each, until they are accepted.

    The services of one machine may share the file: appends are locked against each other, and one process at a time
    drains. Lines Elasticsearch refuses for good go to `<stem>-rejected<suffix>` beside it. Neither file grows beyond
    `max_bytes`.
    """

    def __init__(self, path: Path, max_bytes: int, batch_lines: int, batch_bytes: int) -> None:
        self.path = path
        self.rejected_path = path.with_name(f"{path.stem}-rejected{path.suffix}")
        self._max_bytes = max_bytes
        self._batch_lines = batch_lines
        self._batch_bytes = batch_bytes

    def is_empty(self) -> bool:
        """Tell whether no line waits."""
        try:
            return self.path.stat().st_size == 0
        except OSError:
            return True

    def append(self, lines: Sequence[str]) -> int:
        """Add lines at the end and return how many did not fit. Raises OSError if the file cannot be written."""
        return self._append(self.path, lines)

    def reject(self, lines: Sequence[str]) -> int:
        """Keep lines that will never be accepted and return how many did not fit. Raises OSError."""
        return self._append(self.rejected_path, lines)

    def drain(self, send: Send) -> bool:
        """Send what waits, oldest first, in batches; `send` returns the lines that were not accepted.

        Stop at the first batch that was not accepted whole, and keep what is left. Return whether nothing is. A
        process killed halfway sends some lines twice, which their ids make harmless. Raises OSError.
        """
        with self._locked("drain", wait=False) as mine:
            if not mine:
                return False
            done = 0
            left: list[str] = []
            try:
                while batch := self._read(done):
                    left = send(batch.lines) if batch.lines else []
                    if left and len(left) == len(batch.lines):
                        left = []  # they still stand in the file
                        break
                    self.reject(batch.torn)
                    done += batch.size
                    if left:
                        break
            finally:
                self._keep(done, left)
        return self.is_empty()

    def _append(self, path: Path, lines: Sequence[str]) -> int:
        if not lines:
            return 0
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._locked("lock"):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, _MODE)
            with os.fdopen(descriptor, "rb+", buffering=0) as file:
                size = file.seek(0, os.SEEK_END)
                chunk = bytearray()
                if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
                    chunk += b"\n"
                for index, line in enumerate(lines):
                    encoded = line.encode("utf-8", "replace") + b"\n"
                    if size + len(chunk) + len(encoded) > self._max_bytes:
                        _write_all(file, chunk)
                        return len(lines) - index
                    chunk += encoded
                _write_all(file, chunk)
        return 0

    def _read(self, offset: int) -> "_Batch | None":
        """Return the next lines of the file; None at its end."""
        lines: list[str] = []
        torn: list[str] = []
        size = 0
        try:
            with self.path.open("rb") as file:
                file.seek(offset)
                while len(lines) < self._batch_lines and size < self._batch_bytes and (raw := file.readline()):
                    size += len(raw)
                    text = raw.decode("utf-8", "replace").strip()
                    if text:
                        (lines if _is_object(text) else torn).append(text)
        except FileNotFoundError:
            return None
        return _Batch(lines, torn, size) if size else None

    def _keep(self, done: int, left: list[str]) -> None:
        """Replace the file at once by the lines that are left and whatever was added meanwhile."""
        if done == 0:
            return
        with self._locked("lock"):
            with contextlib.suppress(FileNotFoundError):
                if not left and self.path.stat().st_size <= done:
                    self.path.unlink()
                    return
            temporary = self.path.with_name(f".{self.path.name}.partial")
            with contextlib.suppress(FileNotFoundError), self.path.open("rb") as source:
                source.seek(done)
                descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE)
                with os.fdopen(descriptor, "wb") as target:
                    target.writelines(line.encode("utf-8", "replace") + b"\n" for line in left)
                    shutil.copyfileobj(source, target, 1024 * 1024)
                    target.flush()
                    os.fsync(target.fileno())
                temporary.replace(self.path)

    @contextlib.contextmanager
    def _locked(self, purpose: str, *, wait: bool = True) -> Iterator[bool]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_name(f".{self.path.name}.{purpose}").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            yield True


def _write_all(file: BinaryIO, chunk: bytearray) -> None:
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
