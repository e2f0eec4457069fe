"""`keelson up` where the machine is against it: ports that go, databases that are not there, kills in a replay."""

import os
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cli.training.sample import SAMPLE
from tests.e2e.test_up import Machine, processes_of, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

NIFTY = "lean/index/india/minute/nifty50"
SERVICES = ("risk", "marketdata", "ml", "reporting")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Machine]:
    """A machine whose folder has a name that the terminal could take for markup."""
    made = Machine(tmp_path / "a [bold]folder[/red] of mine")
    made.var.parent.mkdir(parents=True)
    yield made
    made.end()


@pytest.fixture
def two_days(tmp_path: Path) -> Path:
    for day in ("20190101", "20190102"):
        target = tmp_path / "data" / NIFTY / f"{day}_trade.zip"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SAMPLE / NIFTY / target.name, target)
    return tmp_path / "data"


def ready(url: str) -> bool:
    try:
        return all(httpx.get(f"{url}/services/{name}/readyz").status_code == 200 for name in SERVICES)
    except httpx.TransportError:
        return False


def kill_all(var: Path) -> None:
    for pid in processes_of(var):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def port_of(pid: int) -> int:
    """Return the port a PostgreSQL was told to listen on."""
    arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return next(int(argument[7:]) for argument in arguments if argument.startswith(b"--port="))


def test_a_database_that_lost_its_port_answers_at_another_and_everyone_follows(desk: Machine) -> None:
    process, url = desk.ready()
    head = next(pid for pid, line in processes_of(desk.var).items() if "--listen_addresses" in line)
    port = port_of(head)
    # The supervisor must not be quicker than the thief.
    process.send_signal(signal.SIGSTOP)
    os.kill(head, signal.SIGKILL)
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

        def taken() -> bool:
            try:
                thief.bind(("127.0.0.1", port))
            except OSError:
                return False
            return True

        until(taken)
        thief.listen()
        process.send_signal(signal.SIGCONT)
        until(lambda: "starts again" in desk.says(), 60)
        until(lambda: ready(url), 60)
        assert process.poll() is None


def test_a_named_database_that_does_not_answer_is_told_in_words(desk: Machine) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        away = f"postgresql://me:hidden-word@127.0.0.1:{unused.getsockname()[1]}/x"
        assert desk.up(TRADING_DATABASE_URL=away).wait(60) == 1
    assert "Traceback" not in desk.says()
    assert "database" in desk.says()
    assert "hidden-word" not in desk.says()
    assert processes_of(desk.var) == {}


def test_a_folder_that_cannot_be_used_is_told_in_words(desk: Machine) -> None:
    desk.var.write_text("a file")
    assert desk.up().wait(60) == 1
    assert "Traceback" not in desk.says()
    assert str(desk.var) in desk.says()


def test_a_broken_database_is_told_with_the_end_of_its_log(desk: Machine) -> None:
    cluster = desk.var / "postgres" / "cluster"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("16\n")
    assert desk.up().wait(60) == 1
    assert "was made by PostgreSQL 16" in desk.says()
    assert str(cluster) in desk.says()
    assert processes_of(desk.var) == {}


def test_killed_in_a_replay_it_starts_again_without_training_and_leaves_no_replay_behind(
    desk: Machine, two_days: Path
) -> None:
    arguments = ("--replay", "--data", str(two_days), "--speed", "300")
    desk.up(*arguments)
    until(lambda: "records=" in desk.says(), 150)
    kill_all(desk.var)
    until(lambda: processes_of(desk.var) == {})
    assert "nothing to train" not in desk.says()
    desk.log.write_text("")
    process, url = desk.ready(*arguments)
    until(lambda: "records=" in desk.says(), 60)
    assert "nothing to train" in desk.says()
    with desk.client(url) as client:
        assert client.get("/api/v1/risk/journal/verify").json()["ok"]
    assert any("cli.main replay" in line for line in processes_of(desk.var).values())
    # The supervisor alone: the replay it started ends with it, as everything else does.
    process.kill()
    process.wait(5)
    until(lambda: processes_of(desk.var) == {}, 20)
