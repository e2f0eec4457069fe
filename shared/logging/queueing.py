"""Hand formatted lines to a thread that writes them: the caller never waits for a disk, a pipe or a network."""

import logging
import sys
import threading
from collections import deque
from contextvars import ContextVar
from typing import Any

from shared.logging.formatter import EVENT_ATTRIBUTE

# Set in the threads that deliver log lines, whose HTTP client must not log about delivering log lines.
delivering: ContextVar[bool] = ContextVar("delivering", default=False)

_GATHER_SECONDS = 0.02
# Of one write.
_MOST_CHARACTERS = 65_536
_IMPORTANT_CATEGORIES = frozenset({"AUDIT", "SECURITY"})


class LineFormatter(logging.Formatter):
    """Pass on lines that were formatted when they were logged."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines, with a line break between two."""
        return str(record.msg)


class BoundedQueueHandler(logging.Handler):
    """Format in the caller's thread and context, queue the line, drop and count it when the queue is full.

    Warnings, errors, AUDIT and SECURITY lines may use a reserve beyond the bound that other lines may not.
    """

    def __init__(self, formatter: logging.Formatter, bound: int) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self._lines: deque[str] = deque()
        # Set while lines wait.
        self.waiting = threading.Event()
        self._bound = bound
        self._reserve = bound + bound // 4
        self._failed = False
        self._dropped = 0
        self._dropped_lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Refuse what the delivering threads' libraries say about the delivery."""
        if delivering.get() and not record.name.startswith("shared.logging"):
            return False
        return bool(super().filter(record))

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the record's line, or count it as dropped."""
        try:
            if len(self._lines) >= (self._reserve if _is_important(record) else self._bound):
                with self._dropped_lock:
                    self._dropped += 1
                return
            self._lines.append(self.format(record))
            if not self.waiting.is_set():
                self.waiting.set()
        except Exception:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Tell of the first failure without showing the record, which is not masked yet."""
        if not self._failed:
            self._failed = True
            tell_stderr(f"a line of {record.name} could not be queued: {type(sys.exc_info()[1]).__name__}")

    def take(self) -> str:
        """Return the oldest lines, as many as make one write, and how many were dropped; empty when none are left."""
        lines, size = [], 0
        if self._dropped:
            with self._dropped_lock:
                dropped, self._dropped = self._dropped, 0
            lines.append(self.format(_dropped_record(dropped)))
        while self._lines and size < _MOST_CHARACTERS:
            line = self._lines.popleft()
            size += len(line)
            lines.append(line)
        return "\n".join(lines)


class SinkListener:
    """Give the queued lines to every sink, many at a time; one sink's fault is not another's."""

    def __init__(self, source: BoundedQueueHandler, *sinks: logging.Handler) -> None:
        self._source = source
        self._sinks = sinks
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)

    def start(self) -> None:
        """Write from now on, in a thread of its own."""
        self._thread.start()

    def close(self, timeout: float) -> bool:
        """Write what is queued and stop; False if a sink kept the thread busy beyond the timeout in seconds."""
        self._closing.set()
        self._source.waiting.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._source.waiting.wait()
            # Lines come in bunches: one write for many, and the callers' threads are not woken up against.
            self._closing.wait(_GATHER_SECONDS)
            self._source.waiting.clear()
            self._write()
        self._write()

    def _write(self) -> None:
        while lines := self._source.take():
            record = logging.LogRecord("shared.logging", logging.INFO, __file__, 0, lines, None, None)
            for sink in self._sinks:
                try:
                    sink.handle(record)
                except Exception:
                    sink.handleError(record)


class StdoutHandler(logging.StreamHandler[Any]):
    """Write lines to whatever `sys.stdout` is now; a closed or broken one is told of once, on stderr."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self._broken = False

    @property
    def stream(self) -> Any:
        """The present standard output."""
        return sys.stdout

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Tell of the first failure alone."""
        if not self._broken:
            self._broken = True
            tell_stderr("standard output cannot be written; log lines are missing there")


def tell_stderr(text: str) -> None:
    """Say on standard error what cannot be logged, if that still can be done."""
    try:
        sys.stderr.write(f"keelson logging: {text}\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        return


def _is_important(record: logging.LogRecord) -> bool:
    if record.levelno >= logging.WARNING:
        return True
    event = record.__dict__.get(EVENT_ATTRIBUTE) or {}
    return str(event.get("category")) in _IMPORTANT_CATEGORIES


def _dropped_record(count: int) -> logging.LogRecord:
    record = logging.LogRecord(
        "shared.logging", logging.WARNING, __file__, 0, "log lines were dropped: the queue was full", None, None
    )
    setattr(record, EVENT_ATTRIBUTE, {"action": "log-lines-dropped", "fields": {"dropped": count}})
    return record
