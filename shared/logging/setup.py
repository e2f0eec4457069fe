"""Configure logging for one process: what is logged, and where it goes."""

import atexit
import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from shared.logging.elasticsearch import ElasticsearchHandler
from shared.logging.files import GzipRotatingFileHandler
from shared.logging.formatter import EcsFormatter
from shared.logging.queueing import BoundedQueueHandler, LineFormatter, SinkListener, StdoutHandler, tell_stderr

# Configured by uvicorn to print by themselves; they are to go the way of all other lines.
_ROUTED = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")
# One line for each request they make is theirs to debug, and no business of ours.
_QUIET = ("httpx", "httpcore")
_CLOSE_SECONDS = 5.0


class LogSettings(BaseModel):
    """What is logged, and where it goes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    service: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    environment: str = "development"
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    stdout: bool = True
    file: Path | None = Field(default=None, description="The service's name is put into it: logs/app-risk.json.")
    file_max_bytes: int = Field(default=20_000_000, ge=1)
    file_backups: int = Field(default=10, ge=1)
    elasticsearch_url: str | None = None
    elasticsearch_api_key: SecretStr | None = None
    elasticsearch_index: str = "keelson-logs"
    fallback_file: Path = Path("logs/elasticsearch-fallback.json")
    queue_lines: int = Field(default=20_000, ge=1, description="Lines that wait to be written; more are dropped.")


class _Installation:
    """Logging as configured once; undone by `close`."""

    def __init__(self, settings: LogSettings) -> None:
        self.settings = settings
        self.users = 0
        self._sinks = _sinks(settings)
        self._handler = BoundedQueueHandler(EcsFormatter(settings.service, settings.environment), settings.queue_lines)
        self._listener = SinkListener(self._handler, *self._sinks)
        self._level = logging.root.level
        self._printing = [handler for handler in logging.root.handlers if type(handler) is logging.StreamHandler]
        self._quiet = {name: logging.getLogger(name).level for name in _QUIET}
        self._listener.start()
        for handler in self._printing:
            logging.root.removeHandler(handler)
        logging.root.addHandler(self._handler)
        logging.root.setLevel(settings.level)
        self.route()
        logging.captureWarnings(True)
        atexit.register(self.close)

    def route(self) -> None:
        """Send uvicorn's lines the common way; it may have configured its loggers anew since the last call."""
        for name in _ROUTED:
            logger = logging.getLogger(name)
            if not logger.handlers and not logger.propagate:
                continue  # switched off, as by --no-access-log
            logger.handlers.clear()
            logger.propagate = True
            if name != "uvicorn.access":
                logger.setLevel(logging.NOTSET)
        for name in _QUIET:
            logging.getLogger(name).setLevel(logging.WARNING)

    def close(self) -> None:
        """Write what is queued to every sink and put back what was changed."""
        atexit.unregister(self.close)
        logging.captureWarnings(False)
        logging.root.removeHandler(self._handler)
        logging.root.setLevel(self._level)
        for handler in self._printing:
            logging.root.addHandler(handler)
        for name, level in self._quiet.items():
            logging.getLogger(name).setLevel(level)
        if not self._listener.close(_CLOSE_SECONDS):
            tell_stderr("a sink does not take its lines; the last ones may be missing")
        for sink in self._sinks:
            sink.close()
        self._handler.close()

    def after_fork(self) -> None:
        """Let a forked child, which has none of the threads, write straight to standard output."""
        logging.root.removeHandler(self._handler)
        atexit.unregister(self.close)
        if self.settings.stdout:
            direct = StdoutHandler()
            direct.setFormatter(EcsFormatter(self.settings.service, self.settings.environment))
            logging.root.addHandler(direct)


_lock = threading.RLock()
_current: _Installation | None = None


def configure_logging(settings: LogSettings) -> Callable[[], None]:
    """Log as the settings say, from now on and in the whole process; return what flushes and ends it.

    Called again with the same settings it changes nothing, and logging ends with the last of the closers; called with
    other settings it flushes the former sinks and replaces them. Raises OSError if the log file cannot be written.
    """
    global _current  # noqa: PLW0603 - logging is the process's own
    with _lock:
        if _current is None or _current.settings != settings:
            if _current is not None:
                _current.close()
                _current = None
            _current = _Installation(settings)
        _current.route()
        _current.users += 1
        return _closer(_current)


def _closer(installation: _Installation) -> Callable[[], None]:
    open_ = True

    def close() -> None:
        global _current  # noqa: PLW0603
        nonlocal open_
        with _lock:
            if not open_:
                return
            open_ = False
            installation.users -= 1
            if _current is installation and installation.users == 0:
                _current = None
                installation.close()

    return close


def _sinks(settings: LogSettings) -> list[logging.Handler]:
    sinks: list[logging.Handler] = []
    # The file first: it is the one that can refuse.
    if settings.file is not None:
        path = settings.file.with_name(f"{settings.file.stem}-{settings.service}{settings.file.suffix}")
        sinks.append(GzipRotatingFileHandler(path, settings.file_max_bytes, settings.file_backups))
    if settings.stdout:
        sinks.append(StdoutHandler())
    if settings.elasticsearch_url is not None:
        key = settings.elasticsearch_api_key
        sinks.append(
            ElasticsearchHandler(
                settings.elasticsearch_url,
                key.get_secret_value() if key else None,
                settings.elasticsearch_index,
                settings.fallback_file,
            )
        )
    for sink in sinks:
        sink.setFormatter(LineFormatter())
    return sinks


def _after_fork() -> None:
    global _current, _lock
    installation, _current, _lock = _current, None, threading.RLock()
    if installation is not None and sys.stdout is not None:
        installation.after_fork()


os.register_at_fork(after_in_child=_after_fork)
