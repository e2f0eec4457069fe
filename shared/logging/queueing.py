"""Hand formatted lines to a thread that writes them: the caller never waits for a disk, a pipe or a network."""

import logging
import queue
import sys
import threading
from contextvars import ContextVar
from logging.handlers import QueueHandler, QueueListener
from typing import Any

from shared.logging.formatter import EVENT_ATTRIBUTE

# Set in the threads that deliver log lines, whose HTTP client must not log about delivering log lines.
delivering: ContextVar[bool] = ContextVar("delivering", default=False)

_IMPORTANT_CATEGORIES = frozenset({"AUDIT", "SECURITY"})


class LineFormatter(logging.Formatter):
    """Pass on a line that was formatted when it was logged."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return str(record.msg)


class BoundedQueueHandler(QueueHandler):
    """Format in the caller's thread and context, queue the line, drop and count it when the queue is full.

    Warnings, errors, AUDIT and SECURITY lines may use a reserve beyond the bound that other lines may not.
    """

    def __init__(self, formatter: logging.Formatter, bound: int) -> None:
        self._lines: queue.SimpleQueue[Any] = queue.SimpleQueue()
        super().__init__(self._lines)
        self.setFormatter(formatter)
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

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """Return a record of the finished line, with no reference to the caller's objects."""
        prepared = logging.LogRecord.__new__(logging.LogRecord)
        prepared.__dict__.update(
            _EMPTY, name=record.name, levelno=record.levelno, levelname=record.levelname, msg=self.format(record)
        )
        return prepared

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the record's line, or count it as dropped."""
        try:
            if self._lines.qsize() >= (self._reserve if _is_important(record) else self._bound):
                with self._dropped_lock:
                    self._dropped += 1
                return
            self._lines.put_nowait(self.prepare(record))
        except Exception:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Tell of the first failure without showing the record, which is not masked yet."""
        if not self._failed:
            self._failed = True
            tell_stderr(f"a line of {record.name} could not be queued: {type(sys.exc_info()[1]).__name__}")

    def take_dropped(self) -> int:
        """Return how many lines were dropped since the last call."""
        if not self._dropped:
            return 0
        with self._dropped_lock:
            dropped, self._dropped = self._dropped, 0
        return dropped


class SinkListener(QueueListener):
    """Give each queued line to every sink; one sink's fault is not another's."""

    def __init__(self, source: BoundedQueueHandler, *sinks: logging.Handler) -> None:
        super().__init__(source.queue, *sinks)
        self._source = source
        self._thread: threading.Thread | None = None

    def handle(self, record: logging.LogRecord) -> None:
        """Write one line to every sink, and tell how many were dropped before it."""
        if dropped := self._source.take_dropped():
            self._write(self._source.prepare(_dropped_record(dropped)))
        self._write(record)

    def _write(self, record: logging.LogRecord) -> None:
        for sink in self.handlers:
            try:
                sink.handle(record)
            except Exception:
                sink.handleError(record)

    def close(self, timeout: float) -> bool:
        """Write what is queued and stop; False if a sink kept the thread busy beyond the timeout in seconds."""
        thread, self._thread = self._thread, None
        if thread is None:
            return True
        self.enqueue_sentinel()
        thread.join(timeout)
        if thread.is_alive():
            return False
        if dropped := self._source.take_dropped():
            self._write(self._source.prepare(_dropped_record(dropped)))
        return True


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


_EMPTY = vars(logging.makeLogRecord({}))


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
