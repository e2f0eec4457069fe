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


def run(folder: Path, *arguments: str, code: int = 0, **environment: str) -> str:
    """Run a module of a copy; return what it said on both streams."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env={**os.environ, "KEELSON_INTERPRETED": "", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == code, done.stdout[-5000:]
    return done.stdout


def life(folder: Path, how: str = "poor", seed: int = 1, steps: int = 50, **environment: str) -> list[str]:
    return run(folder, "tests.e2e.seeded_life", how, str(seed), str(steps), **environment).split()


@pytest.fixture(scope="module")
def machine_code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_to(tmp_path_factory.mktemp("compiled"))
    assert "compiled: " in run(folder, "cli.main", "compile")
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
    written = {}
    for how, interpreted in (("compiled", ""), ("interpreted", "1")):
        assert life(machine_code, KEELSON_INTERPRETED=interpreted)[0] == how
        asked = ("tests/unit/risk", "-q", "-p", "no:cacheprovider", "-p", "tests.e2e.recorder")
        run(machine_code, "pytest", *asked, KEELSON_INTERPRETED=interpreted, RECORD_TO=str(tmp_path / how))
        written[how] = (tmp_path / how).read_text().splitlines()
    assert len(written["compiled"]) > 10_000
    for one, other in zip(written["compiled"], written["interpreted"], strict=True):
        assert one == other


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(("how", "steps"), [("poor", 1_500), ("rich", 400)])
def test_a_life_leaves_the_same_journal(machine_code: Path, how: str, seed: int, steps: int) -> None:
    taken, *left = life(machine_code, how, seed, steps)
    assert taken == "compiled"
    assert life(machine_code, how, seed, steps, KEELSON_INTERPRETED="1") == ["interpreted", *left]
    rows, approved, *denied, _ = left
    # A life in which nothing happens would say nothing.
    assert int(rows) > 1_000
    assert int(approved) > 100
    assert how == "poor" or {"VAR_LIMIT", "EXPECTED_SHORTFALL_LIMIT", "POSITION_LIMIT", "MARK_STALE"} <= set(denied)


def test_changed_sources_are_not_decided_with_by_what_was_compiled_before(machine_code: Path, changed: Path) -> None:
    changed.write_text(changed.read_text() + "\n# One more line.\n")
    assert life(machine_code)[0] == "interpreted"
    changed.write_text(changed.read_text().removesuffix("\n# One more line.\n"))
    assert life(machine_code)[0] == "compiled"


def test_what_cannot_be_compiled_is_said_and_leaves_what_there_was(machine_code: Path, changed: Path) -> None:
    builds = set((machine_code / ".compiled").iterdir())
    changed.write_text(changed.read_text() + '\nWRONG: int = "text"\n')
    said = run(machine_code, "cli.main", "compile", code=1)
    assert "prices.py" in said
    assert "could not be compiled" in said
    assert set((machine_code / ".compiled").iterdir()) == builds


def test_it_is_compiled_once(machine_code: Path) -> None:
    assert "compiled as it is" in run(machine_code, "cli.main", "compile")


def test_machine_code_that_lost_its_library_is_made_again_and_by_one_of_two(machine_code: Path) -> None:
    for library in (machine_code / ".compiled").glob("*/keelson__mypyc*"):
        library.unlink()
    assert life(machine_code)[0] == "interpreted"
    command = [sys.executable, "-m", "cli.main", "compile"]
    both = [
        subprocess.Popen(command, cwd=machine_code, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    said = "".join(each.communicate(timeout=600)[0] for each in both)
    assert [each.returncode for each in both] == [0, 0], said
    assert said.count("processes that start") == said.count("compiled as it is") == 1
    assert life(machine_code)[0] == "compiled"


def test_machine_code_is_for_whoever_runs_the_sources(machine_code: Path) -> None:
    made = [path for path in (machine_code / ".compiled").rglob("*") if path.is_dir() or path.suffix == ".so"]
    assert len(made) > 40
    assert all(path.stat().st_mode & 0o004 for path in [machine_code / ".compiled", *made])


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    copy_to(tmp_path)
    (tmp_path / ".compiled").write_text("no folder")
    assert "cannot be written" in run(tmp_path, "cli.main", "compile", code=1)
    assert life(tmp_path)[0] == "interpreted"


def test_a_compiler_that_is_not_here_is_named(tmp_path: Path) -> None:
    said = run(copy_to(tmp_path), "cli.main", "compile", code=2, PATH="")
    assert "C compiler" in said
    assert not (tmp_path / ".compiled").exists()


def test_removed_code_is_not_used(machine_code: Path) -> None:
    """Last, as it takes away what the others look at."""
    assert "removed" in run(machine_code, "cli.main", "compile", "--remove")
    assert life(machine_code)[0] == "interpreted"
