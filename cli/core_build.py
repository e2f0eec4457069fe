"""Make machine code of the risk core with mypyc: `python -m cli.core_build FOLDER`, from the folder of the sources."""

import ast
import os
import shutil
import sys
from pathlib import Path

from mypyc.build import mypycify
from setuptools import Distribution
from setuptools.command.build_ext import build_ext

CORE = Path("services/risk/core")
# What hands arrays to numpy or models to pydantic, and what nobody waits for: nothing would be gained.
INTERPRETED = (
    "alike.py",
    "checkpoints.py",
    "engine_life.py",
    "explain.py",
    "history.py",
    "liquidation.py",
    "reconciliation.py",
    "switch_list.py",
    "tail_methods.py",
    "snapshot",
    "var/__init__.py",
    "var/backtest.py",
    "var/contributions.py",
    "var/historical.py",
    "var/inputs.py",
    "var/monte_carlo.py",
    "var/parametric.py",
    "var/result.py",
    "var_days.py",
    "views.py",
)


def modules(core: Path) -> list[Path]:
    """Return the files of the core that are compiled."""
    files = (path for path in sorted(core.rglob("*.py")) if path != core / "__init__.py")
    return [path for path in files if not path.relative_to(core).as_posix().startswith(INTERPRETED)]


def with_constructors(source: str) -> str:
    """Return a module with the constructors of its dataclasses written out: the one Python makes is interpreted.

    Each takes the place of the blank line after its fields, so that every line keeps its number. Frozen classes, and
    those whose fields are more than a value, keep theirs.
    """
    lines = source.split("\n")
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.ClassDef) and any(map(_mutable_dataclass, node.decorator_list))):
            continue
        fields = [each for each in node.body if isinstance(each, ast.AnnAssign)]
        if any(isinstance(each.value, ast.Call) for each in fields):
            continue
        after = fields[-1].end_lineno or 0
        if not lines[after]:
            lines[after] = _constructor(fields)
    return "\n".join(lines)


def _mutable_dataclass(decorator: ast.expr) -> bool:
    return ast.unparse(decorator) == "dataclass(slots=True)"


def _constructor(fields: list[ast.AnnAssign]) -> str:
    names = [ast.unparse(each.target) for each in fields]
    # A field as it stands, `name: type = default`, is a parameter as it stands.
    parameters = ", ".join(map(ast.unparse, fields))
    return f"    def __init__(self, {parameters}) -> None: {'; '.join(f'self.{name} = {name}' for name in names)}"


def build(folder: Path) -> None:
    """Compile into the folder `lib` of one, laid out as the packages are."""
    sources = folder / "sources"
    for package in ("services", "shared"):
        shutil.copytree(package, sources / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy("pyproject.toml", sources)
    os.chdir(sources)
    for path in modules(CORE):
        path.write_text(with_constructors(path.read_text()))
    extensions = mypycify(
        ["--config-file", "pyproject.toml", *map(str, modules(CORE))],
        target_dir="../c",
        debug_level="0",
        group_name="keelson",
    )
    for each in extensions:
        # A product and a sum rounded once where Python rounds twice would be another figure. And calls go straight to
        # what is called, as nothing else takes its place: a tenth faster.
        each.extra_compile_args += ["-ffp-contract=off", "-fno-semantic-interposition", "-fno-plt"]
    command = build_ext(Distribution({"name": "keelson", "ext_modules": extensions}))
    command.build_lib, command.build_temp = "../lib", "../objects"
    command.ensure_finalized()
    command.run()


if __name__ == "__main__":
    build(Path(sys.argv[1]))
