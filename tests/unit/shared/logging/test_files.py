import errno
import gzip
import logging
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.logging.files import GzipRotatingFileHandler
from shared.logging.queueing import LineFormatter

pytestmark = pytest.mark.unit


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., GzipRotatingFileHandler]]:
    started: list[GzipRotatingFileHandler] = []

    def make(max_bytes: int = 100, backups: int = 3) -> GzipRotatingFileHandler:
        handler = GzipRotatingFileHandler(tmp_path / "logs" / "app.json", max_bytes, backups)
        handler.setFormatter(LineFormatter())
        started.append(handler)
        return handler

    yield make
    for handler in started:
        handler.close()


def write(handler: GzipRotatingFileHandler, *numbers: int) -> None:
    for number in numbers:
        handler.handle(logging.makeLogRecord({"msg": f"line {number:020d}"}))


def backup(handler: GzipRotatingFileHandler, number: int) -> Path:
    return handler.path.with_name(f"{handler.path.name}.{number}.gz")


def everything(handler: GzipRotatingFileHandler) -> list[int]:
    """Return the numbers of all lines there are, oldest first."""
    numbers = sorted(int(path.name.split(".")[-2]) for path in handler.path.parent.glob("app.json.*.gz"))
    text = "".join(gzip.decompress(backup(handler, number).read_bytes()).decode() for number in reversed(numbers))
    return [int(line.split()[1]) for line in (text + handler.path.read_text()).splitlines()]


def test_rotated_files_are_compressed_and_hold_every_line_in_order(
    start: Callable[..., GzipRotatingFileHandler],
) -> None:
    handler = start(backups=50)
    write(handler, *range(60))
    assert backup(handler, 5).exists()
    assert everything(handler) == list(range(60))
    assert handler.path.stat().st_size <= 100
    assert stat.S_IMODE(handler.path.stat().st_mode) & 0o007 == 0


def test_no_more_backups_are_kept_than_asked_for(start: Callable[..., GzipRotatingFileHandler]) -> None:
    handler = start(backups=2)
    write(handler, *range(60))
    assert len(list(handler.path.parent.glob("*.gz"))) == 2
    kept = everything(handler)
    assert kept == list(range(kept[0], 60))


def test_a_rotation_cut_off_while_compressing_is_finished_at_the_next_start(
    start: Callable[..., GzipRotatingFileHandler],
) -> None:
    handler = start()
    write(handler, *range(8))
    handler.close()
    before = everything(handler)
    handler.path.rename(handler._pending)
    handler._partial.write_bytes(b"half of it")
    again = start()
    assert everything(again) == before
    assert not handler._pending.exists()
    assert not handler._partial.exists()


def test_a_rotation_cut_off_after_compressing_doubles_nothing(start: Callable[..., GzipRotatingFileHandler]) -> None:
    handler = start()
    write(handler, *range(4))
    handler.close()
    before = everything(handler)
    handler._pending.write_bytes(handler.path.read_bytes())
    handler._ready.write_bytes(gzip.compress(handler.path.read_bytes()))
    handler.path.unlink()
    assert everything(start()) == before


def test_a_shift_cut_off_halfway_loses_no_backup(start: Callable[..., GzipRotatingFileHandler]) -> None:
    handler = start(backups=4)
    write(handler, *range(12))
    handler.close()
    before = everything(handler)
    backup(handler, 3).rename(backup(handler, 4))
    handler._ready.write_bytes(gzip.compress(handler.path.read_bytes()))
    handler.path.unlink()
    assert everything(start(backups=4)) == before


def test_a_full_disk_while_rotating_loses_no_line_and_is_told_of_once(
    start: Callable[..., GzipRotatingFileHandler], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = start(backups=50)
    write(handler, *range(10))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfileobj", full)
        write(handler, *range(10, 40))
    assert capsys.readouterr().err.count("No space left") == 1
    assert handler._pending.exists()
    handler._rotate_after = 0
    write(handler, *range(40, 50))
    assert everything(handler) == list(range(50))
    assert not handler._pending.exists()


def test_a_line_after_a_kill_in_mid_line_stands_on_its_own(start: Callable[..., GzipRotatingFileHandler]) -> None:
    handler = start()
    handler.close()
    handler.path.write_text('{"half')
    write(start(), 1)
    assert handler.path.read_text().splitlines() == ['{"half', f"line {1:020d}"]


def test_a_second_process_gets_a_file_of_its_own(start: Callable[..., GzipRotatingFileHandler]) -> None:
    handler = start()
    code = (
        "import sys; from pathlib import Path; from shared.logging.files import GzipRotatingFileHandler\n"
        "print(GzipRotatingFileHandler(Path(sys.argv[1]), 100, 1).path.name)"
    )
    run = [sys.executable, "-c", code, str(handler.path)]
    assert subprocess.run(run, capture_output=True, text=True, check=True, timeout=30).stdout == "app-2.json\n"
    handler.close()
    assert subprocess.run(run, capture_output=True, text=True, check=True, timeout=30).stdout == "app.json\n"
