"""The core as machine code: made by the command, equal in every decision, never out of date."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.compile_core import missing_tools
from cli.paths import ROOT
from services.risk.compiled import is_whole

_MISSING = missing_tools()
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(900),
    pytest.mark.skipif(_MISSING is not None, reason=f"the core cannot be compiled here: {_MISSING}"),
]


def copy_to(folder: Path) -> Path:
    """Copy the sources, and nothing that was made of them."""
    for name in ("cli", "gateway", "services", "shared", "strategies", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def started(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env={**os.environ, "KEELSON_INTERPRETED": "", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def said(process: subprocess.Popen[str], code: int = 0) -> str:
    """Return what a process said on both streams until its end."""
    try:
        output, _ = process.communicate(timeout=600)
    finally:
        process.kill()
    assert process.returncode == code, output[-5000:]
    return output


def run(folder: Path, *arguments: str, code: int = 0, **environment: str) -> str:
    return said(started(folder, *arguments, **environment), code)


def life(folder: Path) -> str:
    """Return how decisions are taken there."""
    return run(folder, "tests.e2e.seeded_life", "poor", "1", "5").split()[0]


@pytest.fixture(scope="module")
def machine_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with machine code: made by one of two that are asked at once."""
    folder = copy_to(tmp_path_factory.mktemp("compiled"))
    both = [started(folder, "cli.main", "compile") for _ in range(2)]
    answers = "".join(map(said, both))
    assert answers.count("processes that start") == answers.count("compiled as it is") == 1
    return folder


@pytest.fixture
def changed(machine_code: Path) -> Iterator[Path]:
    """A source of the core whose text a test may change."""
    path = machine_code / "services/risk/core/checks/prices.py"
    before = path.read_text()
    yield path
    path.write_text(before)


def test_the_unit_tests_of_risk_hold_on_machine_code_and_decide_the_same(machine_code: Path, tmp_path: Path) -> None:
    """Whatever the tests ask of the core is written down, as the journal has it, and is the same letter for letter."""
    quiet = ("-q", "-p", "no:cacheprovider")
    # What hypothesis draws is not written down; of those tests the one that lives through everything runs here too.
    asked = ("pytest", "tests/unit/risk", *quiet, "-p", "tests.e2e.recorder", "-m", "not hypothesis")

    def folder(name: str) -> tuple[str, str]:
        # Each its own: runs that share one clean up each other's.
        return "--basetemp", str(tmp_path / f"run-{name}")

    compiled = started(machine_code, *asked, *folder("compiled"), RECORD_TO=str(tmp_path / "compiled"))
    others = (*asked, *folder("other"))
    interpreted = started(machine_code, *others, KEELSON_INTERPRETED="1", RECORD_TO=str(tmp_path / "other"))
    said(compiled)
    said(interpreted)
    run(machine_code, "pytest", "tests/unit/risk/test_properties_life.py", *quiet, *folder("life"))
    ones, theirs = ((tmp_path / name).read_text().splitlines() for name in ("compiled", "other"))
    assert len(ones) > 10_000
    for one, other in zip(ones, theirs, strict=True):
        assert one == other


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(("how", "steps"), [("poor", 600), ("rich", 400)])
def test_a_life_leaves_the_same_journal(machine_code: Path, how: str, seed: int, steps: int) -> None:
    asked = ("tests.e2e.seeded_life", how, str(seed), str(steps))
    both = [started(machine_code, *asked, KEELSON_INTERPRETED=interpreted) for interpreted in ("", "1")]
    (compiled, *left), (interpreted, *others) = (said(each).split() for each in both)
    assert (compiled, interpreted) == ("compiled", "interpreted")
    assert left == others
    rows, approved, *denied, _ = left
    # A life in which nothing happens would say nothing.
    assert int(rows) > 500
    assert int(approved) > 50
    assert how == "poor" or {"VAR_LIMIT", "EXPECTED_SHORTFALL_LIMIT", "POSITION_LIMIT", "MARK_STALE"} <= set(denied)


def test_changed_sources_are_not_decided_with_by_what_was_compiled_before(machine_code: Path, changed: Path) -> None:
    changed.write_text(changed.read_text() + "\n# One more line.\n")
    assert life(machine_code) == "interpreted"
    changed.write_text(changed.read_text().removesuffix("\n# One more line.\n"))
    assert life(machine_code) == "compiled"


def test_what_cannot_be_compiled_is_said_and_leaves_what_there_was(machine_code: Path, changed: Path) -> None:
    builds = set((machine_code / ".compiled").iterdir())
    changed.write_text(changed.read_text() + '\nWRONG: int = "text"\n')
    answer = run(machine_code, "cli.main", "compile", code=1)
    assert "prices.py" in answer
    assert "could not be compiled" in answer
    assert set((machine_code / ".compiled").iterdir()) == builds


def test_it_is_compiled_once(machine_code: Path) -> None:
    assert "compiled as it is" in run(machine_code, "cli.main", "compile")


def test_machine_code_without_its_library_is_none(machine_code: Path) -> None:
    (library,) = (machine_code / ".compiled").glob("*/keelson__mypyc*")
    away = library.rename(machine_code / library.name)
    assert not is_whole(library.parent)
    assert life(machine_code) == "interpreted"
    away.rename(library)
    assert is_whole(library.parent)
    assert life(machine_code) == "compiled"


def test_machine_code_is_for_whoever_runs_the_sources(machine_code: Path) -> None:
    made = [path for path in (machine_code / ".compiled").rglob("*") if path.is_dir() or path.suffix == ".so"]
    assert len(made) > 40
    assert all(path.stat().st_mode & 0o004 for path in [machine_code / ".compiled", *made])


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    copy_to(tmp_path)
    (tmp_path / ".compiled").write_text("no folder")
    assert "cannot be written" in run(tmp_path, "cli.main", "compile", code=1)
    assert life(tmp_path) == "interpreted"


def test_a_compiler_that_is_not_here_is_named(tmp_path: Path) -> None:
    assert "C compiler" in run(copy_to(tmp_path), "cli.main", "compile", code=2, PATH="")
    assert not (tmp_path / ".compiled").exists()


def test_removed_code_is_not_used(machine_code: Path) -> None:
    """Last, as it takes away what the others look at."""
    assert "removed" in run(machine_code, "cli.main", "compile", "--remove")
    assert life(machine_code) == "interpreted"
