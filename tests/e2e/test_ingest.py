"""`keelson ingest` into the whole suite, by its own address and key, with a service killed on the way."""

import json
import os
import signal
from typing import Any
from uuid import uuid4

import pytest

from cli.training.sample import SAMPLE
from tests.e2e.conftest import RunningSuite
from tests.e2e.test_up import processes_of, until

pytestmark = pytest.mark.e2e

MINUTES = "binance-btcusdt-1m"
ROWS = 5_760


def feeds(suite: RunningSuite, simulation: str) -> dict[str, int]:
    with suite.client() as client:
        answer = client.get("/api/v1/marketdata/feeds", params={"simulation_id": simulation}).raise_for_status()
    return {feed["source"]: feed["rows"] for feed in answer.json()["items"]}


def bars(suite: RunningSuite, simulation: str) -> int:
    """Return how many minutes the suite serves."""
    query = {"symbol": "BTCUSDT", "interval": "1m", "simulation_id": simulation}
    with suite.client() as client:
        answer = client.get("/api/v1/marketdata/bars", params=query, headers={"Accept": "text/csv"}).raise_for_status()
    return len(answer.text.splitlines()) - 1


def ingest(suite: RunningSuite, simulation: str, *arguments: str) -> dict[str, Any]:
    done = suite.run("ingest", str(SAMPLE), "--simulation-id", simulation, "--json", *arguments)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def sent(suite: RunningSuite, simulation: str) -> int:
    """Return how many rows of a run are known to be taken in."""
    for file in (suite.var / "ingest").glob("*.json"):
        kept = json.loads(file.read_text())
        if kept["simulation_id"] == simulation:
            return sum(each["sent"] for each in kept["positions"].values())
    return 0


def test_it_finds_the_suite_and_takes_the_same_rows_twice(suite: RunningSuite) -> None:
    name = f"in-{uuid4().hex[:8]}"
    only = ("--only", MINUTES, "--only", "index-spx-1d", "--only", "lean-equity-goog-quotes")
    first = ingest(suite, name, *only)["total"]
    assert (first["sent"], first["stored"]) == (ROWS + 250 + 260, ROWS + 250 + 260)
    before = feeds(suite, name)
    assert sum(before.values()) == first["stored"]
    second = ingest(suite, name, *only)["total"]
    assert (second["stored"], second["unchanged"]) == (0, first["stored"])
    assert feeds(suite, name) == before
    assert bars(suite, name) == ROWS


def test_a_service_killed_in_the_middle_costs_no_row(suite: RunningSuite) -> None:
    name = f"in-{uuid4().hex[:8]}"
    running = suite.start(
        *("ingest", str(SAMPLE), "--simulation-id", name, "--json", "--only", MINUTES, "--batch-rows", "100")
    )
    until(lambda: sent(suite, name) >= 500)
    (service,) = (pid for pid, line in processes_of(suite.var).items() if "serve marketdata" in line)
    os.kill(service, signal.SIGKILL)
    out, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    told = json.loads(out)["total"]
    assert (told["sent"], told["revised"], told["rejected"]) == (ROWS, 0, 0)
    assert bars(suite, name) == ROWS
    assert feeds(suite, name) == {"binance.spot": ROWS}


def test_without_a_terminal_it_tells_in_lines(suite: RunningSuite) -> None:
    shown = suite.run("ingest", str(SAMPLE), "--only", "index-vix-1d", "--simulation-id", f"in-{uuid4().hex[:8]}")
    assert "\x1b" not in shown.stdout
    assert "index-vix-1d: taken: 243 sent, 243 stored" in shown.stdout
    assert "7 rows left out in all" in shown.stdout
    assert "vix_daily_2014_2019.csv:13: no value of vix" in shown.stdout
