"""Send log lines to Elasticsearch from a thread of its own; keep them in a file while it is away."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom

import httpx

from shared.logging.bulk import BulkResult, Unavailable, post_bulk
from shared.logging.fallback import FallbackFile
from shared.logging.formatter import EVENT_ATTRIBUTE
from shared.logging.queueing import delivering, tell_stderr

_LOGGER = logging.getLogger("shared.logging.elasticsearch")
_JITTER = SystemRandom()


@dataclass(frozen=True)
class Pace:
    """How fast and how long the sink tries; times in seconds, sizes in bytes."""

    batch_lines: int = 500
    batch_bytes: int = 4_000_000
    flush_interval: float = 1.0
    attempts: int = 4
    first_wait: float = 0.2
    longest_wait: float = 5.0
    first_probe: float = 1.0
    longest_probe: float = 30.0
    buffer_bytes: int = 16_000_000
    fallback_bytes: int = 256_000_000
    timeout: float = 10.0
    close_timeout: float = 5.0


class ElasticsearchHandler(logging.Handler):
    """Collect lines and deliver them in batches; `emit` never waits for the network.

    Up: a batch is retried with growing, jittered waits; what is still not accepted goes to the fallback file. Down:
    every batch goes to the file, so that order is kept, and the file is sent at growing intervals; once it is empty
    the sink is up again. A file that an earlier run left is sent first. Lines refused for good (a mapping conflict)
    go to the rejected file and are told of once. Only what the full disk refuses is lost, and told of.
    """

    def __init__(
        self, url: str, api_key: str | None, index: str, fallback_file: Path, pace: Pace | None = None
    ) -> None:
        super().__init__()
        self._pace = pace or Pace()
        self._index = index
        headers = {"Authorization": f"ApiKey {api_key}"} if api_key else {}
        timeout = httpx.Timeout(self._pace.timeout, connect=min(3.0, self._pace.timeout))
        self._client = httpx.Client(base_url=url, headers=headers, timeout=timeout)
        self._fallback = FallbackFile(
            fallback_file, self._pace.fallback_bytes, self._pace.batch_lines, self._pace.batch_bytes
        )
        self._buffer: deque[str] = deque()
        self._buffered = 0
        self._in_flight: list[str] = []
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._told: set[str] = set()
        self._probe_wait = self._pace.first_probe
        # When to send the fallback file next; None while there is nothing in it and Elasticsearch takes lines.
        self._probe_at: float | None = None if self._fallback.is_empty() else time.monotonic()
        self._thread = threading.Thread(target=self._run, name="log-elasticsearch", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Buffer lines; beyond the buffer's size they go to the fallback file."""
        for line in self.format(record).split("\n"):
            self._buffer_or_store(line)

    def _buffer_or_store(self, line: str) -> None:
        with self._changed:
            fits = self._buffered + len(line) <= self._pace.buffer_bytes
            if fits and not self._closing.is_set():
                self._buffer.append(line)
                self._buffered += len(line)
                if len(self._buffer) >= self._pace.batch_lines or self._buffered >= self._pace.batch_bytes:
                    self._changed.notify()
                return
            if self._probe_at is None:
                self._probe_at = time.monotonic()
        self._store([line])

    def close(self) -> None:
        """Deliver or keep what is buffered, within `close_timeout` seconds, and stop."""
        if not self._closing.is_set():
            self._closing.set()
            with self._changed:
                self._changed.notify()
            self._thread.join(self._pace.close_timeout)
            if self._thread.is_alive():
                # It waits for an answer. Keep all it holds: what did arrive is recognised by its id.
                with self._changed:
                    kept = [*self._in_flight, *self._buffer]
                    self._buffer.clear()
                self._store(kept)
            self._client.close()
        super().close()

    def _run(self) -> None:
        delivering.set(True)
        while not self._closing.is_set():
            self._turn(self._take(self._pace.flush_interval))
        while lines := self._take(0):
            self._turn(lines)

    def _turn(self, lines: list[str]) -> None:
        try:
            self._deliver(lines)
        except Exception as error:
            # Whatever it was, the thread goes on, and the lines are kept.
            self._tell("failed", logging.ERROR, f"delivery failed: {type(error).__name__}: {error}")
            self._store(lines)
            self._go_down()
        self._in_flight = []

    def _take(self, wait: float) -> list[str]:
        """Return the next batch, once it is full or the wait in seconds is over."""
        with self._changed:
            if wait and not self._closing.is_set():
                self._changed.wait_for(self._is_full, wait)
            lines: list[str] = []
            size = 0
            while self._buffer and len(lines) < self._pace.batch_lines and size < self._pace.batch_bytes:
                line = self._buffer.popleft()
                size += len(line)
                lines.append(line)
            self._buffered -= size
            self._in_flight = lines
        return lines

    def _is_full(self) -> bool:
        full = len(self._buffer) >= self._pace.batch_lines or self._buffered >= self._pace.batch_bytes
        return full or self._closing.is_set()

    def _deliver(self, lines: list[str]) -> None:
        if self._probe_at is None:
            left = self._send(lines, self._pace.attempts) if lines else []
            if left:
                self._store(left)
                self._go_down()
            return
        self._store(lines)
        if time.monotonic() >= self._probe_at and not self._closing.is_set():
            self._probe()

    def _probe(self) -> None:
        """Send the fallback file; go up if all of it was accepted."""
        if self._fallback.drain(lambda lines: self._send(lines, 1)):
            self._probe_at = None
            self._probe_wait = self._pace.first_probe
            if "down" in self._told:
                self._told -= {"down", "full", "failed"}
                self._log(logging.INFO, "Elasticsearch takes log lines again", "elasticsearch-up")
        else:
            self._go_down()

    def _go_down(self) -> None:
        self._probe_at = time.monotonic() + self._probe_wait * _JITTER.uniform(0.8, 1.2)
        self._probe_wait = min(self._probe_wait * 2, self._pace.longest_probe)

    def _send(self, lines: list[str], attempts: int) -> list[str]:
        """Return the lines that were not accepted in so many attempts, and put aside those refused for good."""
        for attempt in range(attempts):
            if attempt:
                wait = min(self._pace.first_wait * 2 ** (attempt - 1), self._pace.longest_wait)
                self._closing.wait(wait * _JITTER.uniform(0.5, 1.0))
            try:
                result = post_bulk(self._client, self._index, lines)
            except Unavailable as error:
                reason = str(error)
            else:
                self._put_aside(result)
                lines, reason = result.retry, "lines not taken"
                if not lines:
                    return []
            if self._closing.is_set():
                break
        self._tell("down", logging.WARNING, f"Elasticsearch is away ({reason}); log lines go to {self._fallback.path}")
        return lines

    def _put_aside(self, result: BulkResult) -> None:
        if not result.rejected:
            return
        self._write(self._fallback.reject, result.rejected)
        path = self._fallback.rejected_path
        self._tell("rejected", logging.ERROR, f"Elasticsearch refused a log line ({result.reasons[0]}); see {path}")

    def _store(self, lines: list[str]) -> None:
        if lines:
            self._write(self._fallback.append, lines)

    def _write(self, write: Callable[[list[str]], int], lines: list[str]) -> None:
        try:
            lost, why = write(lines), "it is full"
        except OSError as error:
            lost, why = len(lines), str(error.strerror or error)
        if lost:
            self._tell("full", logging.ERROR, f"lines are lost to Elasticsearch: {self._fallback.path}: {why}")

    def _tell(self, kind: str, level: int, message: str) -> None:
        """Log something once, until Elasticsearch was back in between."""
        if kind not in self._told:
            self._told.add(kind)
            self._log(level, message, f"elasticsearch-{kind}")

    def _log(self, level: int, message: str, action: str) -> None:
        if self._closing.is_set():
            # The queue is closed already.
            tell_stderr(message)
            return
        _LOGGER.log(level, message, extra={EVENT_ATTRIBUTE: {"action": action}})
