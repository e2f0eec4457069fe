"""`keelson ingest` as a process of its own against a service served over HTTP, and what the database then has."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from cli.paths import ROOT
from services.marketdata.store import TABLES
from tests.harness import plain

_SECONDS = 240


@dataclass
class Told:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


class Running:
    """A command that runs."""

    def __init__(self, process: asyncio.subprocess.Process, state: Path) -> None:
        self._process = process
        self._state = state

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    def sent(self) -> int:
        """Return how many rows are known to be taken in."""
        files = list(self._state.glob("*.json"))
        if not files:
            return 0
        return sum(each["sent"] for each in json.loads(files[0].read_text())["positions"].values())

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a moment in the middle of it."""
        async with asyncio.timeout(60):
            while not condition():
                assert self.running, "it ended too soon"
                await asyncio.sleep(0.005)

    async def said(self, text: str) -> None:
        """Wait until it has said something on its error output."""
        assert self._process.stderr is not None
        async with asyncio.timeout(60):
            while text not in (line := (await self._process.stderr.readline()).decode()):
                assert line, f"it ended without saying {text!r}"

    def send_signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def end(self) -> Told:
        async with asyncio.timeout(_SECONDS):
            out, err = await self._process.communicate()
        assert self._process.returncode is not None
        return Told(self._process.returncode, out.decode(), err.decode())


class Desk:
    """Somebody who takes data in, with a folder of their own."""

    def __init__(self, url: str, token: str, var: Path) -> None:
        self.url = url
        self.state = var / "ingest"
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("TRADING_", "KEELSON_"))}
        self._environment = {**kept, "KEELSON_VAR": str(var), "KEELSON_URL": url, "KEELSON_TOKEN": token}

    async def start(self, folder: Path, *arguments: str) -> Running:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli.main", "ingest", str(folder), "--json", *arguments),
            cwd=ROOT,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            # Started from a background job, these tests inherit that Ctrl-C is ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        return Running(process, self.state)

    async def ingest(self, folder: Path, *arguments: str, code: int = 0) -> Told:
        """Run it to its end; fail with what it said where it does not end with `code`."""
        told = await (await self.start(folder, *arguments)).end()
        assert told.code == code, told.out + told.err
        return told


def held(url: str) -> dict[tuple[str, str, int], int]:
    """Return how many rows each table holds of each source and revision, old revisions among them."""
    found: dict[tuple[str, str, int], int] = {}
    with psycopg.connect(plain(url)) as connection:
        for table in TABLES.values():
            for name in (table.name, table.revisions):
                query = f"SELECT source, revision, count(*) FROM marketdata.{name} GROUP BY source, revision"
                for source, revision, count in connection.execute(query.encode()):
                    found[name, source, revision] = count
    return found


def empty(url: str) -> None:
    """Lose all that was taken in."""
    with psycopg.connect(plain(url)) as connection:
        for table in TABLES.values():
            connection.execute(f"TRUNCATE marketdata.{table.name}, marketdata.{table.revisions}".encode())
        connection.execute(b"TRUNCATE marketdata.feed_symbol")
