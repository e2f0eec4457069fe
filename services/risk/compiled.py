"""The core as machine code, where `keelson compile` has made it from the very sources that are here.

Decisions are the same either way; machine code takes them faster. Code made from other sources, or for another Python,
lies in a folder of another name and is not found: there is nothing that could be out of date.
"""

import os
import sys
from hashlib import sha256
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from services.risk import core

ROOT = Path(__file__).resolve().parents[2]
# Beside the packages, as it is part of a build and not of what the suite stores.
FOLDER = ROOT / ".compiled"


def sources() -> list[Path]:
    """Return the files machine code depends on: the core, the contracts it reads and writes, and what compiles it."""
    patterns = ("services/risk/core/**/*.py", "shared/schemas/**/*.py", "cli/core_build.py")
    return [path for pattern in patterns for path in sorted(ROOT.glob(pattern))]


def build_name() -> str:
    """Return the name of the folder with the machine code of the sources as they are, for this Python."""
    digest = sha256(EXTENSION_SUFFIXES[0].encode())
    for path in sources():
        text = path.read_bytes()
        digest.update(f"\n{path.relative_to(ROOT).as_posix()} {len(text)}\n".encode() + text)
    return digest.hexdigest()[:16]


def is_whole(build: Path) -> bool:
    """Tell whether a folder has machine code: the library that all its modules share."""
    return (build / f"keelson__mypyc{EXTENSION_SUFFIXES[0]}").is_file()


def use() -> None:
    """Let the core's modules be imported from machine code, where there is some and nobody minds."""
    if os.environ.get("KEELSON_INTERPRETED") or not os.access(FOLDER, os.R_OK | os.X_OK):
        return
    build = FOLDER / build_name()
    if is_whole(build):
        # Its modules look for the library they share among those that are imported by their whole name.
        sys.path.append(str(build))
        core.__path__.insert(0, str(build / "services/risk/core"))


def compiled() -> bool:
    """Tell whether decisions are taken in machine code in this process."""
    from services.risk.core import decide

    return not str(decide.__file__).endswith(".py")
