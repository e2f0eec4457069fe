import json
import subprocess
import sys
from pathlib import Path

import pytest

from shared.logging.fallback import FallbackFile

pytestmark = pytest.mark.unit


def make(path: Path, max_bytes: int = 10_000_000) -> FallbackFile:
    return FallbackFile(path, max_bytes, batch_lines=10, batch_bytes=1_000_000)


def lines(*numbers: int) -> list[str]:
    return [json.dumps({"n": number}) for number in numbers]


def test_a_failure_in_a_later_batch_neither_loses_nor_doubles_a_line(tmp_path: Path) -> None:
    file = make(tmp_path / "f.json")
    file.append(lines(*range(30)))
    calls = 0

    def send(batch: list[str]) -> list[str]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise RuntimeError("gone")
        return []

    with pytest.raises(RuntimeError):
        file.drain(send)
    assert file.path.read_text().splitlines() == lines(*range(10, 30))


def test_lines_added_while_draining_are_sent_too(tmp_path: Path) -> None:
    file, sent = make(tmp_path / "f.json"), list[str]()
    file.append(lines(1, 2))

    def send(batch: list[str]) -> list[str]:
        if not sent:
            file.append(lines(3))
        sent.extend(batch)
        return []

    assert file.drain(send)
    assert sent == lines(1, 2, 3)
    assert file.is_empty()


def test_one_drains_at_a_time(tmp_path: Path) -> None:
    file, other = make(tmp_path / "f.json"), make(tmp_path / "f.json")
    file.append(lines(1))
    inner: list[bool] = []

    def send(batch: list[str]) -> list[str]:
        inner.append(other.drain(lambda batch: []))
        return []

    assert file.drain(send)
    assert inner == [False]


def test_a_line_after_a_torn_one_stands_on_its_own(tmp_path: Path) -> None:
    file, sent = make(tmp_path / "f.json"), list[str]()
    file.path.write_text('{"n": 1')
    file.append(lines(2))

    def send(batch: list[str]) -> list[str]:
        sent.extend(batch)
        return []

    assert file.drain(send)
    assert sent == lines(2)
    assert file.rejected_path.read_text() == '{"n": 1\n'


def test_a_torn_line_is_put_aside_once_however_often_sending_fails(tmp_path: Path) -> None:
    file = make(tmp_path / "f.json")
    file.path.write_text('{"n": 1\n{"n": 2}\n')
    for _ in range(3):
        assert not file.drain(lambda batch: batch)
    assert file.drain(lambda batch: [])
    assert file.rejected_path.read_text() == '{"n": 1\n'


def test_lines_of_many_processes_never_mix(tmp_path: Path) -> None:
    code = (
        "import sys, json; from pathlib import Path; from shared.logging.fallback import FallbackFile\n"
        "f = FallbackFile(Path(sys.argv[1]), 10**8, 10, 10**6)\n"
        "for n in range(200): f.append([json.dumps({'who': sys.argv[2], 'n': n, 'pad': 'x' * 5000})])\n"
    )
    path = tmp_path / "f.json"
    running = [subprocess.Popen([sys.executable, "-c", code, str(path), str(who)]) for who in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(rows) == 600
    for who in "012":
        assert [row["n"] for row in rows if row["who"] == who] == list(range(200))
