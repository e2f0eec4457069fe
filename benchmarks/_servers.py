"""What the benchmarks run on: PostgreSQL and Valkey, durable as in production, keys, and services as processes."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from shared.api_keys import create_key
from shared.embedded import EmbeddedPostgres, EmbeddedValkey
from shared.migrations import upgrade
from shared.roles import Role


@dataclass(frozen=True)
class Servers:
    """Where the servers are, and a folder that goes when they do."""

    folder: Path
    database_url: str
    redis_url: str

    @property
    def keys(self) -> Path:
        """The file of API keys."""
        return self.folder / "keys.json"

    def token(self, role: Role) -> str:
        """Return a new API key."""
        return create_key(self.keys, f"bench-{role}", role)

    def settings(self, **more: object) -> dict[str, object]:
        """Return the settings of a service in this process."""
        return {
            "database_url": self.database_url,
            "redis_url": self.redis_url,
            "api_keys_file": self.keys,
            "log_level": "ERROR",
            **more,
        }

    def environment(self, **more: str) -> dict[str, str]:
        """Return the settings of a service that is a process of its own; it logs into a file."""
        return {
            "TRADING_DATABASE_URL": self.database_url,
            "TRADING_REDIS_URL": self.redis_url,
            "TRADING_API_KEYS_FILE": str(self.keys),
            "TRADING_LOG_STDOUT": "false",
            "TRADING_LOG_FILE": str(self.folder / "service.json"),
            **more,
        }


@contextmanager
def servers(service: str) -> Iterator[Servers]:
    """Run PostgreSQL, with the tables of a service, and Valkey."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # The servers drop to another user when started by root.
        folder.chmod(0o755)
        postgres = EmbeddedPostgres(folder / "postgres", log_file=folder / "postgres.log")
        valkey = EmbeddedValkey(folder / "valkey", log_file=folder / "valkey.log")
        try:
            url = postgres.start()
            upgrade(service, url)
            yield Servers(folder, url, valkey.start())
        finally:
            valkey.stop()
            postgres.stop()


@contextmanager
def process(arguments: Sequence[str], environment: Mapping[str, str]) -> Iterator[str]:
    """Run a module that serves on the socket it is given; yield its URL, which may not answer yet."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    lifeline, keep = os.pipe()
    descriptors = (listener.fileno(), lifeline)
    command = [sys.executable, "-m", *arguments, "--fd", str(descriptors[0]), "--lifeline", str(lifeline)]
    child = subprocess.Popen(command, env={**os.environ, **environment}, pass_fds=descriptors)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        child.kill()
        child.wait()
        os.close(lifeline)
        os.close(keep)
        listener.close()


def answering(urls: Sequence[str], path: str) -> str:
    """Return the first URL to answer a path with 200. Raises SystemExit where none does within a minute."""
    for _ in range(600):
        for url in urls:
            try:
                if httpx.get(url + path, timeout=1).status_code == 200:
                    return url
            except httpx.HTTPError:
                pass
        time.sleep(0.05)
    raise SystemExit(f"nobody answers {path}")
