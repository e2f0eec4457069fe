"""The main job, through every process: recorded data in, the same counts out, every time."""

import gzip
import json
import shutil
import signal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from cli.supervisor.lock import holder
from cli.training.sample import SAMPLE
from tests.e2e.conftest import RunningSuite

pytestmark = pytest.mark.e2e

EXPECTED = Path(__file__).parent / "expected_counts.json"
NIFTY = "lean/index/india/minute/nifty50"
COINS = ("--only", "binance-btcusdt-1m")
CHAINS = "nse_nifty_option_chain_2025-10-13_2025-11-14.csv.gz"


@pytest.fixture(scope="module")
def bundled(suite: RunningSuite) -> dict[str, Any]:
    """The bundled sample, replayed once under a name of its own."""
    return suite.replay("--simulation-id", "bundled")


@pytest.fixture(scope="module")
def coins(suite: RunningSuite) -> dict[str, Any]:
    """One dataset of the sample, replayed once."""
    return suite.replay(*COINS)


@pytest.fixture
def trimmed(tmp_path: Path) -> Path:
    """Two days of one index."""
    for day in ("20190101", "20190102"):
        target = tmp_path / "data" / NIFTY / f"{day}_trade.zip"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SAMPLE / NIFTY / target.name, target)
    return tmp_path / "data"


@pytest.fixture
def first_chains(market_data: Path, tmp_path: Path) -> Path:
    """The first sixty snapshots of the option chains."""
    stamps: set[str] = set()
    (tmp_path / "data").mkdir()
    with (
        gzip.open(market_data / CHAINS, "rt") as whole,
        gzip.open(tmp_path / "data" / CHAINS, "wt", compresslevel=1) as first,
    ):
        first.write(next(whole))
        for line in whole:
            stamps.add(line.partition(",")[0])
            if len(stamps) > 60:
                break
            first.write(line)
    return tmp_path / "data"


def ledger_trades(suite: RunningSuite) -> int:
    with suite.client() as client:
        return int(client.get("/api/v1/reporting/state").raise_for_status().json()["trades"])


def test_the_bundled_data_give_the_committed_counts(bundled: dict[str, Any]) -> None:
    # Made by `keelson replay --once --json`; it changes only with the data, the model, a strategy or a rule of risk.
    assert bundled["counts"] == json.loads(EXPECTED.read_text())
    assert bundled["differences"] == []


def test_another_run_gives_the_same_counts_in_accounts_of_its_own(suite: RunningSuite, coins: dict[str, Any]) -> None:
    before = ledger_trades(suite)
    again = suite.replay(*COINS)
    assert again["simulation_id"] != coins["simulation_id"]
    assert again["counts"] == coins["counts"]
    assert ledger_trades(suite) == before + coins["counts"]["trades"] > before


def test_the_same_run_again_gives_the_same_counts_and_no_new_trade(suite: RunningSuite, coins: dict[str, Any]) -> None:
    before = ledger_trades(suite)
    again = suite.replay(*COINS, "--simulation-id", coins["simulation_id"])
    assert again["counts"] == coins["counts"]
    assert ledger_trades(suite) == before


def test_one_dataset_of_a_finished_run_is_not_held_against_the_whole_of_it(
    suite: RunningSuite, bundled: dict[str, Any]
) -> None:
    before = ledger_trades(suite)
    ran = suite.run("replay", "--once", "--json", "--simulation-id", "bundled", *COINS)
    told = json.loads(ran.stdout)
    assert told["differences"] == []
    assert "holds more than these datasets" in ran.stderr
    counts = told["counts"]
    assert counts["trades"] == counts["fills"] < bundled["counts"]["trades"]
    assert set(counts["end_equity"]) == {"USDT"}
    assert ledger_trades(suite) == before


def test_trades_carry_the_score_that_asked_for_them(suite: RunningSuite, bundled: dict[str, Any]) -> None:
    with suite.client() as client:
        answer = client.get("/api/v1/reporting/trades", params={"simulation_id": "bundled", "limit": 1000})
    trades = answer.raise_for_status().json()["items"]
    assert len(trades) == bundled["counts"]["trades"] > 0
    assert all(trade["telemetry"]["model_name"] == "signal_quality" for trade in trades)
    assert all(trade["telemetry"]["calibrated_confidence"] >= 0.5 for trade in trades)


def test_a_trimmed_folder_replays_alone(suite: RunningSuite, trimmed: Path) -> None:
    told = suite.replay("--data", str(trimmed))
    assert told["counts"]["states"] == 0
    assert 0 < told["counts"]["bars"] < 1_000
    assert told["counts"]["day_rollups"] == 2
    assert set(told["counts"]["end_equity"]) == {"INR"}


def test_the_pace_changes_no_count(suite: RunningSuite, trimmed: Path) -> None:
    paced = suite.run("replay", "--speed", "20000", "--json", "--data", str(trimmed))
    assert json.loads(paced.stdout)["counts"] == suite.replay("--data", str(trimmed))["counts"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_ends_cleanly_and_the_run_can_be_resumed(
    suite: RunningSuite, trimmed: Path, how: signal.Signals
) -> None:
    name = f"stopped-{uuid4().hex[:6]}"
    running = suite.start("replay", "--speed", "300", "--data", str(trimmed), "--simulation-id", name)
    assert running.stdout is not None
    assert name in running.stdout.readline()
    while "records=" not in running.stdout.readline():
        assert running.poll() is None
    running.send_signal(how)
    _, told = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "sent so far" in told
    assert f"--simulation-id {name}" in told
    assert "Traceback" not in told
    resumed = suite.replay("--data", str(trimmed), "--simulation-id", name)
    assert resumed["counts"] == suite.replay("--data", str(trimmed))["counts"]


def test_without_a_suite_replay_once_starts_one_and_leaves_nothing_running(tmp_path: Path, trimmed: Path) -> None:
    alone = RunningSuite(tmp_path / "var", "")
    told = alone.replay("--data", str(trimmed))
    assert told["counts"]["day_rollups"] == 2
    assert told["differences"] == []
    assert holder(alone.var) is None
    assert not (alone.var / "run.json").exists()
    logs = "".join(file.read_text() for file in (alone.var / "logs").glob("*.err"))
    assert "Traceback" not in logs


def test_the_nse_chains_replay_and_broken_snapshots_are_not_traded(suite: RunningSuite, first_chains: Path) -> None:
    told = suite.replay("--data", str(first_chains), "--only", "nse-option-nifty")
    counts = told["counts"]
    assert counts["states"] == 60
    assert sum(counts["quality"].values()) == counts["states"] - counts["rejected_rows"]
    assert counts["quality"]["critical"] > 0
    assert told["differences"] == []


def test_without_a_terminal_the_counts_are_printed_as_plain_lines(suite: RunningSuite, trimmed: Path) -> None:
    shown = suite.run("replay", "--once", "--data", str(trimmed)).stdout
    assert "\x1b" not in shown
    assert "records/s" in shown
    assert "day rollups" in shown


def test_an_unknown_dataset_is_refused_with_those_there_are(suite: RunningSuite) -> None:
    assert "binance-btcusdt-1m" in suite.run("replay", "--only", "nothing", code=2).stderr
