"""The whole suite as its own processes, from a folder of its own, on a free port."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.client import api_client
from cli.paths import ROOT
from shared.roles import Role

_START_SECONDS = 120
_STOP_SECONDS = 60


def clean_environment(var: Path) -> dict[str, str]:
    """Return this environment without what would lead commands to another suite."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("TRADING_", "KEELSON_"))}
    return {**kept, "KEELSON_VAR": str(var), "COLUMNS": "200", "PORT": "0"}


@dataclass(frozen=True)
class RunningSuite:
    """A suite that runs, and the command line for it."""

    var: Path
    url: str

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "cli.main", *arguments]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            cwd=ROOT,
            env=clean_environment(self.var),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            # Started from a background job, these tests inherit that Ctrl-C is ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def run(self, *arguments: str, code: int = 0, seconds: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; fail with its output where it does not end with `code`."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=ROOT,
            env=clean_environment(self.var),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == code, f"keelson {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def replay(self, *arguments: str) -> dict[str, Any]:
        """Replay as fast as possible and return what was counted."""
        told: dict[str, Any] = json.loads(self.run("replay", "--once", "--json", *arguments).stdout)
        return told

    def client(self, role: Role = Role.ADMIN) -> httpx.Client:
        name = "service.key" if role is Role.SERVICE else "admin.key"
        return api_client(self.url, self.var / "keys" / name)


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSuite]:
    """The suite, running and with a trained model; one for the session, as starting it takes seconds."""
    folder = tmp_path_factory.mktemp("suite")
    var, log = folder / "var", folder / "up.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", "up", "--no-replay", "--port", "0"],
            cwd=ROOT,
            env=clean_environment(var),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    try:
        running = RunningSuite(var, await_url(process, var, log))
        running.run("train")
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def await_url(process: subprocess.Popen[bytes], var: Path, log: Path) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, f"keelson up ended:\n{log.read_text()}"
        try:
            running = json.loads((var / "run.json").read_text())
        except (OSError, ValueError):
            running = {}
        # A killed run leaves its own behind until the next one has the lock.
        if running.get("pid") == process.pid:
            return str(running["url"])
        time.sleep(0.05)
    raise AssertionError(f"keelson up was not ready after {_START_SECONDS} s:\n{log.read_text()}")
