"""Services as processes of their own that start at once: forked from one that has imported everything.

Importing takes two seconds, and many tests end and start services again and again. What is forked runs what
`python -m cli.supervisor.serve` runs, under its own settings.
"""

import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any, Self

from cli.paths import ROOT

_MOST = 1 << 16
_MODULES = ("cli.supervisor.serve", "services.risk.main", "gateway.front")


class Forked:
    """A service process, by a handle that stays its own after its end."""

    def __init__(self, pid: int, handle: int) -> None:
        self.pid = pid
        self._handle = handle

    def send_signal(self, number: int) -> None:
        signal.pidfd_send_signal(self._handle, number)

    def kill(self) -> None:
        """End it at once, and wait until it has ended."""
        with suppress(ProcessLookupError):
            self.send_signal(signal.SIGKILL)
        select.select([self._handle], [], [], 10)
        os.close(self._handle)


class Warm:
    """The process that forks; it ends with the one that made it."""

    _made: Self | None = None

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "tests.warm", str(theirs.fileno())]
        self._process = subprocess.Popen(command, cwd=ROOT, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL)
        theirs.close()

    @classmethod
    def made(cls) -> Self:
        """Return the one of this process."""
        if cls._made is None:
            cls._made = cls()
        return cls._made

    def start(self, service: str, environment: dict[str, str], listener: int, lifeline: int, errors: int) -> Forked:
        """Serve on a listening socket, until the other end of the lifeline is closed."""
        asked = json.dumps({"service": service, "environment": environment}).encode()
        socket.send_fds(self._control, [asked], [listener, lifeline, errors])
        pid, (handle,), _, _ = socket.recv_fds(self._control, _MOST, 1)
        return Forked(int(pid), handle)


def _fork_as_asked(control: socket.socket) -> int:
    """Fork a service for each request; return, in a service, its exit code."""
    for name in _MODULES:
        import_module(name)
    gc.freeze()
    while True:
        asked, files, _, _ = socket.recv_fds(control, _MOST, 3)
        if not asked:
            return 0
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        pid = os.fork()
        if pid == 0:
            control.close()
            return _serve(json.loads(asked), *files)
        handle = os.pidfd_open(pid)
        socket.send_fds(control, [str(pid).encode()], [handle])
        for each in (handle, *files):
            os.close(each)


def _serve(asked: dict[str, Any], listener: int, lifeline: int, errors: int) -> int:
    os.environ.clear()
    os.environ.update(asked["environment"])
    nothing = os.open(os.devnull, os.O_RDWR)
    for source, target in ((nothing, 0), (nothing, 1), (errors, 2)):
        os.dup2(source, target)
    code: int = import_module("cli.supervisor.serve").serve(asked["service"], listener, lifeline)
    return code


if __name__ == "__main__":
    sys.exit(_fork_as_asked(socket.socket(fileno=int(sys.argv[1]))))
