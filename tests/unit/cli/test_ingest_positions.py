"""How far an ingest came, kept in a file."""

import os
from pathlib import Path

import pytest

from cli.ingest.positions import Position, Positions, key_of
from services.marketdata.formats.dataset import AnyRecord, Dataset
from services.marketdata.formats.discover import discover_all
from shared.schemas.marketdata import IngestResult

pytestmark = pytest.mark.unit

URL = "http://127.0.0.1:8080"


def positions(folder: Path, told: list[str] | None = None, url: str = URL, simulation: str | None = None) -> Positions:
    return Positions(folder, url, simulation, (told if told is not None else []).append)


def reloaded(folder: Path, **options: str) -> Positions:
    found = positions(folder, **options)  # type: ignore[arg-type]
    found.load()
    return found


def table(folder: Path, rows: int = 2) -> Dataset[AnyRecord]:
    lines = [f"X,1m,2024-01-02T00:0{n}:00Z,1,1,1,1,1" for n in range(rows)]
    (folder / "bars.csv").write_text("\n".join(["symbol,interval,ts,open,high,low,close,volume", *lines]))
    (found,) = discover_all(folder)
    return found


def test_what_was_kept_is_found_again_by_the_same_server_and_simulation_alone(tmp_path: Path) -> None:
    positions(tmp_path / "ingest").keep("a", Position(sent=5, stored=4, rejected=1))
    assert reloaded(tmp_path / "ingest").of("a") == Position(sent=5, stored=4, rejected=1)
    assert reloaded(tmp_path / "ingest").of("b") == Position()
    assert reloaded(tmp_path / "ingest", url="http://127.0.0.1:8081").of("a") == Position()
    assert reloaded(tmp_path / "ingest", simulation="s").of("a") == Position()


def test_unless_it_is_loaded_nothing_is_known(tmp_path: Path) -> None:
    positions(tmp_path).keep("a", Position(sent=5))
    assert positions(tmp_path).of("a") == Position()


def test_a_position_given_out_is_a_copy(tmp_path: Path) -> None:
    kept = positions(tmp_path)
    kept.keep("a", Position(sent=5))
    kept.of("a").sent = 7
    assert kept.of("a").sent == 5


def test_with_the_last_position_the_file_goes(tmp_path: Path) -> None:
    kept = positions(tmp_path)
    kept.keep("a", Position(sent=1))
    kept.keep("b", Position(sent=2))
    kept.forget(["a"])
    assert reloaded(tmp_path).of("b").sent == 2
    kept.forget(["b", "unknown"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b'{"url": "x", "simulation_id": "", "positions": {"a": {"sent": -1}}}']
)
def test_a_damaged_file_is_told_of_and_counts_for_nothing(tmp_path: Path, content: bytes) -> None:
    positions(tmp_path).keep("a", Position(sent=1))
    next(tmp_path.iterdir()).write_bytes(content)
    told: list[str] = []
    kept = positions(tmp_path, told)
    kept.load()
    assert kept.of("a") == Position()
    assert len(told) == 1
    assert "cannot be read" in told[0]
    kept.keep("a", Position(sent=3))
    assert reloaded(tmp_path).of("a").sent == 3


def test_a_folder_that_cannot_be_written_is_told_of_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    told: list[str] = []
    kept = positions(tmp_path / "file", told)
    kept.keep("a", Position(sent=1))
    kept.keep("a", Position(sent=2))
    assert kept.of("a").sent == 2
    assert len(told) == 1
    assert "cannot be written" in told[0]


def test_a_file_that_changed_is_another_dataset(tmp_path: Path) -> None:
    before = key_of(table(tmp_path))
    file = tmp_path / "bars.csv"
    known = file.stat()
    assert key_of(table(tmp_path)) != before, "written anew"
    os.utime(file, ns=(known.st_atime_ns, known.st_mtime_ns))
    assert key_of(table_of(tmp_path)) == before
    table(tmp_path, rows=3)
    os.utime(file, ns=(known.st_atime_ns, known.st_mtime_ns))
    assert key_of(table_of(tmp_path)) != before, "of another size"


def table_of(folder: Path) -> Dataset[AnyRecord]:
    (found,) = discover_all(folder)
    return found


def test_what_became_of_batches_adds_up() -> None:
    position = Position()
    for _ in range(2):
        position.add(
            IngestResult(received=10, stored=6, revised=2, unchanged=3, rejected_count=1, published=1, flagged=4)
        )
    assert position == Position(sent=20, stored=12, revised=4, unchanged=6, rejected=2, flagged=8)
