"""Processes of the suite: started on sockets that stay open, watched, started again, stopped."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from cli.paths import ROOT
from shared.settings import BAD_SETTINGS

_BACKOFF_SECONDS = (0.5, 1, 2, 5, 10)
# A process that ran this long was well: its next crash is a first one.
_HEALTHY_SECONDS = 60
_STOP_SECONDS = 10
_TAIL = 20


class ChildFailedError(Exception):
    """A process that cannot be helped by starting it again, with what it said."""


class Child:
    """One service process on a listening socket the supervisor holds.

    The socket outlives the process: while it is started again, callers wait instead of being refused.
    """

    def __init__(self, name: str, listener: socket.socket, environment: Mapping[str, str], log_folder: Path) -> None:
        self.name = name
        self._listener = listener
        self._environment = {**environment, "TRADING_LOG_FILE": str(log_folder / f"{name}.json")}
        self._errors = log_folder / f"{name}.err"
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline: int | None = None
        self._started = 0.0
        self._crashes = 0
        self._again_at = 0.0

    @property
    def pid(self) -> int | None:
        """Return the process id, or None where it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start the process."""
        read_end, self._lifeline = os.pipe()
        descriptor = self._listener.fileno()
        command = [sys.executable, "-m", "cli.supervisor.serve", self.name]
        with self._errors.open("ab") as errors:
            self._process = subprocess.Popen(
                [*command, "--fd", str(descriptor), "--lifeline", str(read_end)],
                cwd=ROOT,
                env=dict(self._environment),
                stdin=subprocess.DEVNULL,
                # The same lines go to the rotated log file.
                stdout=subprocess.DEVNULL,
                stderr=errors,
                pass_fds=(descriptor, read_end),
                # Ctrl-C reaches the supervisor alone, which stops the others in order.
                start_new_session=True,
            )
        os.close(read_end)
        self._started = time.monotonic()

    def watch(self) -> str | None:
        """Start the process again if it ended, after a pause that grows; return what to tell.

        Raises ChildFailedError where its settings are bad.
        """
        if self._process is None:
            if time.monotonic() < self._again_at:
                return None
            self.start()
            return f"{self.name} started again"
        code = self._process.poll()
        if code is None:
            return None
        if code == BAD_SETTINGS:
            raise ChildFailedError(f"{self.name} does not start: {self.last_words()}")
        self._forget()
        self._crashes = 0 if time.monotonic() - self._started > _HEALTHY_SECONDS else self._crashes + 1
        pause = _BACKOFF_SECONDS[min(self._crashes, len(_BACKOFF_SECONDS) - 1)]
        self._again_at = time.monotonic() + pause
        return f"{self.name} ended with {meaning(code)}; it starts again in {pause:g} s (see {self._errors})"

    def move(self, environment: Mapping[str, str]) -> None:
        """Have the process started again with other settings."""
        self._environment.update(environment)
        self.ask_to_stop()

    def ask_to_stop(self) -> None:
        """Ask the process to finish what it is doing and end."""
        if self.pid and self._process:
            self._process.send_signal(signal.SIGTERM)

    def stop(self, *, at_once: bool) -> None:
        """Wait for the process to end, and end it where it does not."""
        if self._process is not None:
            try:
                self._process.wait(0 if at_once else _STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._forget()

    def last_words(self) -> str:
        """Return the end of what the process wrote to its error output."""
        lines = self._errors.read_text(encoding="utf-8", errors="replace").splitlines() if self._errors.exists() else []
        return "\n".join(lines[-_TAIL:])

    def _forget(self) -> None:
        self._process = None
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None


def meaning(code: int) -> str:
    """Return an exit code in words: the name of the signal that ended a process, or the code."""
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 takes a free one. Raises OSError where the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    listener.listen(1024)
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the URL a listening socket is reached at from this machine."""
    host, port = listener.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
