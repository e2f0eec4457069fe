"""`keelson up` and `down`: started twice, ports taken, stopped, killed."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from cli.client import api_client
from cli.paths import ROOT
from tests.e2e.conftest import await_url, clean_environment

pytestmark = pytest.mark.e2e
RISK = "/api/v1/risk"


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


def processes_of(var: Path) -> dict[int, str]:
    """Return what runs for a folder: its supervisor, its services, its servers, by what only they know of it."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            environment = (entry / "environ").read_bytes().decode(errors="replace")
            where = str((entry / "cwd").readlink())
        except OSError:
            continue
        if where.startswith(str(var)) or f"KEELSON_VAR={var}\0" in environment:
            found[int(entry.name)] = command
    return found


def modes_of(var: Path) -> dict[Path, int]:
    """Return the modes of all files and folders of a folder, but for links."""
    modes = {}
    for path in var.rglob("*"):
        # PostgreSQL removes files at any time.
        with suppress(FileNotFoundError):
            if not path.is_symlink():
                modes[path] = path.lstat().st_mode
    return modes


def open_to_others(modes: dict[Path, int]) -> dict[str, str]:
    return {str(path): oct(mode) for path, mode in modes.items() if mode & 0o006}


class Machine:
    """A folder, and what is started in it; everything is ended at the end."""

    def __init__(self, folder: Path) -> None:
        self.var = folder / "var"
        self.log = folder / "up.log"
        self.started: list[subprocess.Popen[bytes]] = []

    def up(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", "up", "--no-replay", *arguments],
                cwd=ROOT,
                env={**clean_environment(self.var), **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        self.started.append(process)
        return process

    def ready(self, *arguments: str) -> tuple[subprocess.Popen[bytes], str]:
        process = self.up(*arguments)
        return process, await_url(process, self.var, self.log)

    def going(self) -> tuple[subprocess.Popen[bytes], str]:
        """Return the suite that runs, or a new one, and its URL."""
        for process in self.started:
            if process.poll() is None:
                return process, await_url(process, self.var, self.log)
        return self.ready()

    def says(self) -> str:
        return " ".join(self.log.read_text().split())

    def client(self, url: str, name: str = "service.key") -> httpx.Client:
        return api_client(url, self.var / "keys" / name)

    def end(self) -> None:
        for pid in processes_of(self.var):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        for process in self.started:
            process.wait(10)


Going = tuple[Machine, subprocess.Popen[bytes], str]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    made.end()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    made = Machine(tmp_path_factory.mktemp("going"))
    yield made
    made.end()


@pytest.fixture
def going(shared: Machine) -> Going:
    """A machine on which the suite runs, for tests that mind nothing that ran there before.

    Starting it takes both cores ten seconds: those that leave it running come before those that end it.
    """
    return shared, *shared.going()


def test_keys_are_private_and_the_admins_is_shown_once(going: Going) -> None:
    machine, process, _ = going
    key = (machine.var / "keys" / "admin.key").read_text().strip()
    # It is ready a moment before it says so.
    until(lambda: key in machine.says())
    assert machine.says().count(key) == 1
    for name in ("admin.key", "service.key", "api-keys.json"):
        assert stat.S_IMODE((machine.var / "keys" / name).stat().st_mode) == 0o600
    process.terminate()
    process.wait(30)
    machine.ready()
    assert machine.says().count(key) == 1
    assert not any(key in command for command in processes_of(machine.var).values())
    logs = [file.read_text(errors="replace") for file in (machine.var / "logs").iterdir()]
    assert logs
    assert not any(key in text for text in logs)


def test_after_kill_9_of_everything_no_answered_decision_is_missing(going: Going) -> None:
    machine, _, url = going
    answered: dict[str, int] = {}
    with machine.client(url) as client:
        set_up(client)
        killed_at = 150
        try:
            for number in range(10_000):
                answer = client.post(f"{RISK}/accounts/main/orders", json=order(f"o{number}"))
                answered[f"o{number}"] = answer.json()["seq"]
                if number == killed_at:
                    for pid in processes_of(machine.var):
                        # Some end by themselves once those before them are gone.
                        with suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
        except (httpx.TransportError, KeyError):
            pass
    assert killed_at < len(answered) < 10_000
    until(lambda: processes_of(machine.var) == {})
    _, url = machine.ready()
    with machine.client(url) as client:
        for order_id, seq in answered.items():
            assert client.get(f"{RISK}/accounts/main/orders/{order_id}").json()["seq"] == seq
        assert client.get(f"{RISK}/journal/verify").json()["ok"]
        again = client.post(f"{RISK}/accounts/main/orders", json=order("o0")).json()
        assert again["seq"] == answered["o0"]


@pytest.mark.parametrize(("program", "mark"), [("postgres", "--listen_addresses"), ("valkey", "valkey-server")])
def test_a_killed_server_is_started_again_told_of_once_and_found_by_everyone(
    going: Going, program: str, mark: str
) -> None:
    machine, _, url = going
    killed = next(pid for pid, line in processes_of(machine.var).items() if mark in line)
    os.kill(killed, signal.SIGKILL)
    until(lambda: f"{program} ended with SIGKILL; it starts again" in machine.says())
    until(lambda: f"{program} started again" in machine.says())

    def recovered() -> bool:
        services = ("risk", "marketdata", "ml", "reporting")
        states = [httpx.get(f"{url}/services/{service}/readyz").status_code for service in services]
        return states == [200] * 4 and killed not in processes_of(machine.var)

    until(recovered, 60)
    assert machine.says().count(f"{program} started again") == 1


def test_nothing_it_writes_can_be_read_by_others(going: Going) -> None:
    machine, _, url = going
    assert httpx.get(f"{url}/services/risk/readyz").status_code == 200
    written = modes_of(machine.var)
    assert open_to_others(written) == {}
    assert {"postgres.log", "valkey.log", "risk.err", "lock"} <= {path.name for path in written}


def test_a_second_one_in_the_folder_says_so_and_the_first_goes_on(going: Going) -> None:
    machine, first, url = going
    second = machine.up()
    assert second.wait(30) == 1
    assert f"already runs from this folder (process {first.pid} at {url})" in machine.says()
    assert httpx.get(url).status_code == 200


def test_a_killed_service_is_started_again(going: Going) -> None:
    machine, _, url = going
    with machine.client(url) as client:
        for service in ("risk", "front"):
            pid = next(pid for pid, line in processes_of(machine.var).items() if f"serve {service}" in line)
            os.kill(pid, signal.SIGKILL)

            def back(dead: int = pid) -> bool:
                try:
                    answers = client.get(f"{RISK}/journal/verify").status_code == 200
                except httpx.TransportError:
                    return False
                return answers and dead not in processes_of(machine.var)

            until(back)
            assert f"{service} ended with SIGKILL" in machine.says()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_leaves_nothing_running(going: Going, how: signal.Signals) -> None:
    machine, process, url = going
    assert len(processes_of(machine.var)) >= 8
    assert httpx.get(url).status_code == 200
    process.send_signal(how)
    assert process.wait(30) == 0
    assert processes_of(machine.var) == {}
    written = modes_of(machine.var)
    assert open_to_others(written) == {}
    assert {"postgres.log", "valkey.log", "risk.err", "appendonlydir"} <= {path.name for path in written}


def test_down_stops_it_and_says_when_nothing_runs(going: Going) -> None:
    machine, process, _ = going

    def down() -> str:
        done = subprocess.run(
            [sys.executable, "-m", "cli.main", "down"],
            cwd=ROOT,
            env=clean_environment(machine.var),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout.strip()

    assert down() == "stopped"
    assert process.wait(5) == 0
    assert processes_of(machine.var) == {}
    assert down() == "nothing runs from this folder"


def test_a_killed_supervisor_takes_everything_with_it(going: Going) -> None:
    machine, process, _ = going
    process.kill()
    process.wait(5)
    until(lambda: processes_of(machine.var) == {}, seconds=20)


def test_requests_in_flight_are_ended_in_order(machine: Machine) -> None:
    process, url = machine.ready()
    parts = urlsplit(url)
    token = (machine.var / "keys" / "admin.key").read_text().strip()
    head = f"Host: x\r\nAuthorization: Bearer {token}\r\n"
    with (
        socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=30) as unfinished,
        socket.create_connection((str(parts.hostname), int(parts.port or 0)), timeout=30) as stream,
    ):
        unfinished.sendall(f"POST {RISK}/accounts HTTP/1.1\r\n{head}Content-Length: 100\r\n\r\n{{".encode())
        stream.sendall(f"GET {RISK}/stream HTTP/1.1\r\n{head}\r\n".encode())
        assert stream.recv(12) == b"HTTP/1.1 200"
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0
        answer = unfinished.recv(65536)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"application/problem+json" in answer
    said = "".join(file.read_text() for file in (machine.var / "logs").glob("*.err"))
    assert "Traceback" not in said
    assert processes_of(machine.var) == {}


def test_a_taken_port_is_named_and_nothing_is_started(machine: Machine) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert machine.up("--port", str(port)).wait(30) == 1
    assert f"port {port} of 127.0.0.1 cannot be used" in machine.says()
    assert "PORT=" in machine.says()
    assert processes_of(machine.var) == {}
    assert not (machine.var / "postgres").exists()


@pytest.mark.parametrize(
    "bad", [{"TRADING_RISK_BATCH": "many"}, {"TRADING_NONSENSE": "1", "TRADING_LOG_LEVEL": "LOUD"}]
)
def test_bad_settings_are_named_and_nothing_is_left_running(machine: Machine, bad: dict[str, str]) -> None:
    assert machine.up(**bad).wait(60) == 1
    for name in bad:
        assert name in machine.says()
    assert processes_of(machine.var) == {}


def set_up(client: httpx.Client) -> None:
    instrument = {"symbol": "X", "currency": "USD", "asset_class": "EQUITY", "tick_size": "0.01"}
    mark = {"symbol": "X", "price": "1", "ts_event": datetime.now(UTC).isoformat()}
    for method, path, body in (
        ("PUT", "/instruments", {"instruments": [instrument]}),
        ("POST", "/accounts", {"account_id": "main", "base_currency": "USD", "initial_cash": "1000000"}),
        ("POST", "/marks", {"marks": [mark]}),
    ):
        assert client.request(method, RISK + path, json=body).is_success


def order(order_id: str) -> dict[str, str]:
    return {"client_order_id": order_id, "strategy_id": "s", "symbol": "X", "side": "BUY", "quantity": "1"}
