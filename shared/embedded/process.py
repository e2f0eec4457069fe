"""What the embedded servers have in common: start, watch, stop, and what a killed run left behind."""

import os
import secrets
import signal
import socket
import subprocess
import time
from pathlib import Path

from shared.embedded.privileges import PrivilegeError, owner, wrap

_POLL_SECONDS = 0.02
_LOG_TAIL = 15


class EmbeddedServerError(Exception):
    """An embedded server cannot be started, with the end of its log."""


class ServerProcess:
    """One server process and its log.

    Start it from a thread that lives as long as the server shall: the kernel ends it with that thread.
    """

    def __init__(self, name: str, folder: Path, log_file: Path, death_signal: str) -> None:
        self._name = name
        self._folder = folder
        self._log_file = log_file
        self._death_signal = death_signal
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Tell whether the server runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def ended_with(self) -> int | None:
        """Return the exit code of a server that ended and was not stopped, negative for a signal."""
        return self._process.poll() if self._process is not None else None

    def spawn(self, command: list[str], read: Path = Path(os.devnull)) -> None:
        """Start the server, a file as its standard input."""
        wrapped = self._wrapped(command, self._death_signal)
        with self._log_file.open("ab") as log, read.open("rb") as given:
            # Ctrl-C goes to the whole terminal group; the servers end last, and when told to.
            self._process = subprocess.Popen(
                wrapped, stdin=given, stdout=log, stderr=log, cwd=self._folder, start_new_session=True
            )

    def run(self, command: list[str], seconds: float) -> None:
        """Run a command to its end as the server's user. Raises EmbeddedServerError."""
        wrapped = self._wrapped(command, "KILL")
        try:
            with self._log_file.open("ab") as log:
                subprocess.run(
                    wrapped,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self._folder,
                    timeout=seconds,
                    check=True,
                )
        except subprocess.SubprocessError:
            raise self.error(f"{Path(command[0]).name} failed") from None

    def stop(self, how: signal.Signals, seconds: float, harder: signal.Signals) -> None:
        """End the server: `how`, and `harder` if it is still there after `seconds`."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(how)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(harder)
            process.wait()

    def error(self, what: str) -> EmbeddedServerError:
        """Return an error that quotes the end of the log."""
        lines = self._log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_TAIL:]
        return EmbeddedServerError(f"{what}; see {self._log_file}:\n" + "\n".join(f"  {line}" for line in lines))

    def log_since(self, position: int) -> str:
        """Return what the log says after a position in bytes."""
        with self._log_file.open("rb") as log:
            log.seek(position)
            return log.read().decode("utf-8", errors="replace")

    def log_size(self) -> int:
        """Return the size of the log in bytes."""
        return self._log_file.stat().st_size if self._log_file.exists() else 0

    def _wrapped(self, command: list[str], death_signal: str) -> list[str]:
        try:
            return wrap(command, [self._folder, Path(command[0])], death_signal)
        except PrivilegeError as error:
            raise EmbeddedServerError(str(error)) from None

    def stop_leftovers(self, how: signal.Signals) -> None:
        """End servers of an earlier run that still use the folder; no other process is touched.

        Raises EmbeddedServerError if one does not end.
        """
        for sent in (how, signal.SIGKILL):
            for pid in leftovers(self._name, self._folder):
                # PostgreSQL's workers end with their server. A signal of their own means something else to them:
                # SIGINT makes its checkpointer shut the log down under the others.
                if sent is signal.SIGKILL or not _is_worker(pid, self._name):
                    send(pid, sent)
            for _ in range(500):
                if not leftovers(self._name, self._folder):
                    return
                time.sleep(_POLL_SECONDS)
        raise EmbeddedServerError(f"{self._name} of an earlier run still uses {self._folder}")


def leftovers(name: str, folder: Path) -> list[int]:
    """Return the processes of a program whose working folder is within `folder`: nobody else's can be."""
    found = []
    inside = folder.resolve()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            program = str((entry / "exe").readlink()).removesuffix(" (deleted)")
            where = Path(str((entry / "cwd").readlink()).removesuffix(" (deleted)"))
        except OSError:
            continue
        if Path(program).name == name and (where == inside or inside in where.parents):
            found.append(int(entry.name))
    return found


def _is_worker(pid: int, name: str) -> bool:
    """Tell whether a process is one that a server made, by the title it gives itself."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(f"{name}: ".encode())
    except OSError:
        return False


def send(pid: int, what: signal.Signals) -> None:
    """Signal a process that may have ended already."""
    try:
        os.kill(pid, what)
    except ProcessLookupError:
        return


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def private_folder(folder: Path) -> Path:
    """Make a folder that only the server's user may enter, and return its real path. Raises EmbeddedServerError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        own(folder, 0o700)
    except OSError as error:
        raise EmbeddedServerError(f"{folder} cannot be made or taken over ({error.strerror})") from None
    return folder.resolve()


def own(path: Path, mode: int) -> None:
    """Give a path to the server's user."""
    os.chown(path, *owner())
    path.chmod(mode)


def password(file: Path) -> str:
    """Return the password kept in a file of mode 0600, made at first use."""
    if not file.exists():
        temporary = file.with_suffix(".new")
        temporary.touch(mode=0o600)
        temporary.write_text(secrets.token_urlsafe(24), encoding="ascii")
        own(temporary, 0o600)
        temporary.rename(file)
    return file.read_text(encoding="ascii").strip()
