"""The PostgreSQL and Redis of a run: out of their wheels, unless others are named."""

import os
from pathlib import Path

from shared.embedded import EmbeddedPostgres, EmbeddedValkey

DATABASE = "TRADING_DATABASE_URL"
REDIS = "TRADING_REDIS_URL"


def _with_driver(url: str) -> str:
    """Return a URL as settings take it, naming the driver; another is theirs to refuse."""
    scheme, separator, rest = url.partition("://")
    return f"postgresql+psycopg://{rest}" if separator and scheme in {"postgresql", "postgres"} else url


class Storage:
    """Servers of a run; those named by the environment are used and never stopped."""

    def __init__(self, var: Path) -> None:
        self._logs = logs = var / "logs"
        self._postgres = (
            None if DATABASE in os.environ else EmbeddedPostgres(var / "postgres", log_file=logs / "postgres.log")
        )
        self._valkey = None if REDIS in os.environ else EmbeddedValkey(var / "valkey", log_file=logs / "valkey.log")

    def start(self) -> dict[str, str]:
        """Start what does not run, and return the settings that lead to it. Raises EmbeddedServerError."""
        return {
            DATABASE: self._postgres.start() if self._postgres else _with_driver(os.environ[DATABASE]),
            REDIS: self._valkey.start() if self._valkey else os.environ[REDIS],
        }

    def ended(self) -> list[tuple[str, int, Path]]:
        """Return the servers that have ended by themselves: name, exit code and log."""
        servers = (("postgres", self._postgres), ("valkey", self._valkey))
        return [
            (name, server.ended_with, self._logs / f"{name}.log")
            for name, server in servers
            if server is not None and server.ended_with is not None
        ]

    def stop(self) -> None:
        """Stop what was started here."""
        if self._valkey:
            self._valkey.stop()
        if self._postgres:
            self._postgres.stop()
