"""The servers out of their wheels: data that survive, folders that are not shared, rights that are not root's."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import psycopg
import pytest
from redis import Redis

from cli.paths import ROOT
from shared.embedded import EmbeddedPostgres, EmbeddedServerError, EmbeddedValkey, running_url
from shared.embedded.process import leftovers, send
from tests.harness import plain

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

Server = EmbeddedPostgres | EmbeddedValkey
PROGRAMS = ("postgres", "valkey-server")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder whose name has spaces, quotes and pattern signs; no server of it outlives the test."""
    place = tmp_path / """a folder [with] * "odd" \\ 'signs'"""
    yield place
    for pid in pids(place):
        send(pid, signal.SIGKILL)


@pytest.fixture
def postgres(folder: Path) -> Callable[[], EmbeddedPostgres]:
    # As durable as in a run: what survives is the point here.
    return lambda: EmbeddedPostgres(folder / "postgres", log_file=folder / "logs" / "postgres.log")


@pytest.fixture
def valkey(folder: Path) -> Callable[[], EmbeddedValkey]:
    return lambda: EmbeddedValkey(folder / "valkey", log_file=folder / "logs" / "valkey.log")


def pids(folder: Path) -> list[int]:
    return [pid for name in PROGRAMS for pid in leftovers(name, folder)]


def heads(found: list[int]) -> list[int]:
    """Return the servers among processes, without the workers they made."""
    told = {pid: status(pid) for pid in found}
    alive = {pid: int(fields["PPid"]) for pid, fields in told.items() if fields.get("State", "Z")[0] != "Z"}
    return [pid for pid, parent in alive.items() if parent not in found]


def status(pid: int) -> dict[str, str]:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return {}
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def gone(found: list[int], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while any(status(pid).get("State", "Z")[0] != "Z" for pid in found):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def write(url: str, value: int) -> None:
    with psycopg.connect(plain(url)) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (value int)")
        connection.execute("INSERT INTO kept VALUES (%s)", (value,))


def read(url: str) -> list[int]:
    with psycopg.connect(plain(url)) as connection:
        return [row[0] for row in connection.execute("SELECT value FROM kept ORDER BY value")]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_committed_rows_survive(postgres: Callable[[], EmbeddedPostgres], end: str) -> None:
    server = postgres()
    first = server.start()
    write(first, 1)
    with closing(psycopg.connect(plain(first))) as open_still:
        open_still.execute("INSERT INTO kept VALUES (99)")
        getattr(server, end)()
        second = server.start()
        assert second == first
        assert read(second) == [1]
    server.stop()


def test_every_row_committed_while_the_server_is_killed_survives(postgres: Callable[[], EmbeddedPostgres]) -> None:
    server = postgres()
    url = server.start()
    write(url, 0)
    committed = [0]
    with psycopg.connect(plain(url), autocommit=True) as connection:
        for value in range(1, 200):
            connection.execute("INSERT INTO kept VALUES (%s)", (value,))
            committed.append(value)
        server.kill()
        # A worker may outlive its server for a moment; what it acknowledges counts as well.
        with suppress(psycopg.OperationalError):
            for value in range(200, 1_000_000):
                connection.execute("INSERT INTO kept VALUES (%s)", (value,))
                committed.append(value)
    assert len(committed) < 1_000_000
    assert set(committed) <= set(read(server.start()))
    server.stop()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_what_valkey_acknowledged_survives(valkey: Callable[[], EmbeddedValkey], end: str) -> None:
    server = valkey()
    with Redis.from_url(server.start()) as client:
        client.xadd("stream", {"n": "1"})
        client.set("key", "value")
    if end == "kill":
        # Its file is synced each second; what is older than that is safe even from a power failure.
        time.sleep(1.3)
    getattr(server, end)()
    with Redis.from_url(server.start()) as client:
        assert client.get("key") == b"value"
        assert [entry for _, entry in client.xrange("stream")] == [{b"n": b"1"}]
    server.stop()


def test_a_second_start_ends_the_postgres_a_killed_run_left(
    postgres: Callable[[], EmbeddedPostgres], folder: Path
) -> None:
    first, second = postgres(), postgres()
    write(old := first.start(), 1)
    left = pids(folder)
    with psycopg.connect(plain(old), autocommit=True) as connection:
        connection.execute("INSERT INTO kept VALUES (2)")
        url = second.start()
        assert gone(left)
        assert len(heads(pids(folder))) == 1
        assert read(url) == [1, 2]
        with pytest.raises(psycopg.OperationalError):
            connection.execute("INSERT INTO kept VALUES (3)")
    log = (folder / "logs" / "postgres.log").read_text()
    # It was told to shut down, not killed: no worker got a signal that means something else to it.
    assert "PANIC" not in log
    assert "was not properly shut down" not in log
    first.stop()
    second.stop()


def test_a_second_start_ends_the_valkey_a_killed_run_left(valkey: Callable[[], EmbeddedValkey], folder: Path) -> None:
    first, second = valkey(), valkey()
    with Redis.from_url(first.start()) as client:
        client.set("key", "value")
    left = pids(folder)
    with Redis.from_url(second.start()) as client:
        assert gone(left)
        assert len(pids(folder)) == 1
        assert client.get("key") == b"value"
    first.stop()
    second.stop()


def test_a_server_of_another_folder_is_left_alone(folder: Path, valkey: Callable[[], EmbeddedValkey]) -> None:
    # Its name begins with the other's, and so does its path.
    other = EmbeddedValkey(folder / "valkey too", log_file=folder / "other.log")
    with Redis.from_url(other.start()) as client:
        server = valkey()
        server.start()
        assert client.ping()
        server.stop()
        assert client.ping()
    other.stop()


def test_a_half_made_cluster_is_made_anew(postgres: Callable[[], EmbeddedPostgres], folder: Path) -> None:
    unfinished = folder / "postgres" / "cluster.new"
    (unfinished / "base").mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    server = postgres()
    write(url := server.start(), 1)
    assert read(url) == [1]
    assert not unfinished.exists()
    server.stop()


def test_a_stale_lock_file_harms_no_process_and_stops_no_start(
    postgres: Callable[[], EmbeddedPostgres], folder: Path
) -> None:
    server = postgres()
    write(server.start(), 1)
    lock = folder / "postgres" / "cluster" / "postmaster.pid"
    lines = lock.read_text().splitlines()
    server.kill()
    bystander = subprocess.Popen(["sleep", "100"])
    try:
        lock.write_text("\n".join([str(bystander.pid), *lines[1:]]) + "\n")
        assert read(server.start()) == [1]
        assert bystander.poll() is None
        server.stop()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_port_taken_meanwhile_is_given_up_for_another(valkey: Callable[[], EmbeddedValkey]) -> None:
    server = valkey()
    url = server.start()
    with Redis.from_url(url) as client:
        client.set("key", "value")
    server.stop()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(url.rsplit(":", 1)[1].split("/")[0])))
        taken.listen()
        with Redis.from_url(other := server.start()) as client:
            assert other != url
            assert client.get("key") == b"value"
        server.stop()


@pytest.mark.parametrize("kind", ["postgres", "valkey"])
def test_secrets_are_private_and_only_loopback_is_listened_on(
    kind: str, folder: Path, request: pytest.FixtureRequest
) -> None:
    server: Server = request.getfixturevalue(kind)()
    url = server.start()
    secret = folder / kind / "password"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert (folder / kind).stat().st_mode & 0o777 == 0o700
    assert len(text := secret.read_text()) >= 24
    assert f":{text}@127.0.0.1:" in url
    (head,) = heads(pids(folder))
    assert text not in Path(f"/proc/{head}/cmdline").read_text()
    tcp, unix = listening(head)
    port = int(url.rsplit(":", 1)[1].split("/")[0])
    assert tcp == {("0100007F", port)}
    assert unix == set()
    server.stop()


def listening(pid: int) -> tuple[set[tuple[str, int]], set[str]]:
    """Return the TCP addresses and the named Unix sockets a process listens on."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        target = str(entry.readlink())
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    tcp = set()
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                address, port = fields[1].split(":")
                tcp.add((address, int(port, 16)))
    unix = {
        fields[7]
        for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]
        if len(fields := line.split()) > 7 and fields[6] in inodes
    }
    return tcp, unix


def test_nobody_gets_in_without_the_password(
    postgres: Callable[[], EmbeddedPostgres], valkey: Callable[[], EmbeddedValkey], folder: Path
) -> None:
    database, cache = postgres(), valkey()
    bare = plain(database.start()).replace((folder / "postgres" / "password").read_text(), "guess")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(bare)
    port = int(cache.start().rsplit(":", 1)[1].split("/")[0])
    with Redis(port=port) as client, pytest.raises(Exception, match=r"(?i)auth"):
        client.ping()
    database.stop()
    cache.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")
@pytest.mark.parametrize("kind", ["postgres", "valkey"])
def test_nothing_runs_as_root(kind: str, folder: Path, request: pytest.FixtureRequest) -> None:
    server: Server = request.getfixturevalue(kind)()
    server.start()
    found = [told for pid in pids(folder) if (told := status(pid))]
    assert found
    for told in found:
        assert set(told["Uid"].split()).isdisjoint({"0"})
        assert set(told["Gid"].split()).isdisjoint({"0"})
        assert told["Groups"].strip() == ""
        # At most the right to read past a closed folder: nothing that writes, and no way to more.
        assert int(told["CapEff"], 16) & ~0b110 == 0
    server.stop()


def test_a_broken_configuration_is_told_with_the_end_of_the_log(
    postgres: Callable[[], EmbeddedPostgres], folder: Path
) -> None:
    server = postgres()
    server.start()
    server.stop()
    (folder / "postgres" / "cluster" / "postgresql.conf").write_text("no_such_thing = 'at all'\n")
    with pytest.raises(EmbeddedServerError, match="no_such_thing") as caught:
        server.start()
    assert str(folder / "logs" / "postgres.log") in str(caught.value)
    assert pids(folder) == []


def test_a_broken_append_only_file_is_told_with_the_end_of_the_log(
    valkey: Callable[[], EmbeddedValkey], folder: Path
) -> None:
    server = valkey()
    server.start()
    server.stop()
    (manifest,) = (folder / "valkey" / "appendonlydir").glob("*.manifest")
    manifest.write_text("this is no manifest\n")
    with pytest.raises(EmbeddedServerError, match=r"(?i)manifest"):
        server.start()
    assert pids(folder) == []


@pytest.mark.parametrize(
    ("content", "said"), [({}, "no PostgreSQL data folder"), ({"PG_VERSION": "16\n"}, "made by PostgreSQL 16")]
)
def test_a_folder_of_something_else_is_named_and_left_as_it_is(
    postgres: Callable[[], EmbeddedPostgres], folder: Path, content: dict[str, str], said: str
) -> None:
    cluster = folder / "postgres" / "cluster"
    cluster.mkdir(parents=True)
    for name, text in {**content, "mine.txt": "keep"}.items():
        (cluster / name).write_text(text)
    with pytest.raises(EmbeddedServerError, match=said):
        postgres().start()
    assert (cluster / "mine.txt").read_text() == "keep"


def test_a_place_that_is_a_file_is_told(folder: Path, postgres: Callable[[], EmbeddedPostgres]) -> None:
    folder.mkdir()
    (folder / "postgres").write_text("a file")
    with pytest.raises(EmbeddedServerError, match="cannot be made"):
        postgres().start()


# Starts both servers in argv[1], writes a row, prints what there is, and waits to be killed or told to stop.
_RUN = """
import json, os, sys
from pathlib import Path
import psycopg
from redis import Redis
from shared.embedded import EmbeddedPostgres, EmbeddedValkey
place = Path(sys.argv[1])
postgres = EmbeddedPostgres(place / "postgres", log_file=place / "postgres.log", fast=True)
valkey = EmbeddedValkey(place / "valkey", log_file=place / "valkey.log")
with psycopg.connect(postgres.start().replace("+psycopg", "")) as connection:
    connection.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT 1 AS value")
with Redis.from_url(valkey.start()) as client:
    client.set("key", "value")
print(json.dumps({"uid": os.geteuid()}), flush=True)
sys.stdin.read()
valkey.stop()
postgres.stop()
"""


def start_child(place: Path, *prefix: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", _RUN, str(place)],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_servers_end_with_a_parent_that_is_killed(
    folder: Path, postgres: Callable[[], EmbeddedPostgres], valkey: Callable[[], EmbeddedValkey]
) -> None:
    folder.mkdir()
    with start_child(folder) as child:
        assert child.stdout is not None
        assert child.stdout.readline()
        found = pids(folder)
        assert {Path(f"/proc/{pid}/exe").readlink().name for pid in found} == set(PROGRAMS)
        child.kill()
    assert gone(found)
    # They were told to end: what they held is there, without recovery.
    database, cache = postgres(), valkey()
    assert read(database.start()) == [1]
    assert "was not properly shut down" not in (folder / "logs" / "postgres.log").read_text()
    with Redis.from_url(cache.start()) as client:
        assert client.get("key") == b"value"
    database.stop()
    cache.stop()


@pytest.fixture
def as_nobody() -> list[str]:
    """The start of a command that makes it run as a normal user who can read the checkout."""
    if os.geteuid() != 0:
        pytest.skip("runs as a normal user already: so did every other test here")
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed, so root cannot become a normal user")
    plainly = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]
    # A checkout or an interpreter in root's home is closed to others; the right to read past that changes no owner.
    reading = [*plainly, "--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    for prefix in (plainly, reading):
        probe = [*prefix, sys.executable, "-c", "import psycopg, redis, shared.embedded"]
        if subprocess.run(probe, cwd=ROOT, capture_output=True, check=False, timeout=60).returncode == 0:
            return prefix
    pytest.skip(f"nobody cannot read {sys.prefix} or {sys.base_prefix}")


def test_a_normal_user_starts_stops_and_finds_the_data_again(as_nobody: list[str]) -> None:
    # Not in pytest's folder, which is closed to other users.
    made = subprocess.run(["mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip()
    shutil.chown(made, "nobody", "nogroup")
    place = Path(made) / "data"
    try:
        for _ in range(2):
            with start_child_of(as_nobody, place) as child:
                told, errors = child.communicate("", timeout=60)
            assert child.returncode == 0, errors
            assert json.loads(told)["uid"] != 0
            assert pids(Path(made)) == []
        assert (place / "postgres" / "password").stat().st_mode & 0o777 == 0o600
    finally:
        for pid in pids(Path(made)):
            send(pid, signal.SIGKILL)
        shutil.rmtree(made)


def start_child_of(prefix: list[str], place: Path) -> subprocess.Popen[str]:
    return start_child(place, *prefix)


def test_the_server_of_another_process_is_found_while_it_runs_and_not_after_its_death(
    postgres: Callable[[], EmbeddedPostgres], folder: Path
) -> None:
    place = folder / "postgres"
    assert running_url(place) is None
    server = postgres()
    url = server.start()
    assert running_url(place) == url
    # What a killed server leaves names a port that may be another program's by now.
    server.kill()
    assert (place / "cluster" / "postmaster.pid").exists()
    assert gone(pids(folder))
    assert running_url(place) is None
    server.start()
    server.stop()
    assert running_url(place) is None
