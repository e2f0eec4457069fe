"""`keelson compile`: make machine code of the risk core, which decides about twice as fast."""

import fcntl
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from services.risk.compiled import FOLDER, ROOT, build_name, is_whole


def compile_core(
    remove: Annotated[bool, typer.Option("--remove", help="Decide with the interpreter again.")] = False,
) -> None:
    """Compile the core as its sources are now; processes that start afterwards decide with it."""
    if remove:
        shutil.rmtree(FOLDER, ignore_errors=True)
        typer.echo("removed: processes that start from now on decide with the interpreter")
        return
    if (missing := missing_tools()) is not None:
        typer.echo(missing, err=True)
        raise typer.Exit(2)
    try:
        FOLDER.mkdir(mode=0o755, exist_ok=True)
        # Machine code is no secret: whoever may run the sources may run it, whatever the mask here.
        FOLDER.chmod(0o755)
        with _alone():
            _compile()
    except OSError as error:
        typer.echo(f"{FOLDER} cannot be written: {error}", err=True)
        raise typer.Exit(1) from None


@contextmanager
def _alone() -> Iterator[None]:
    """Wait until nobody else compiles."""
    descriptor = os.open(FOLDER, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _compile() -> None:
    build = FOLDER / build_name()
    if is_whole(build):
        typer.echo("the core is compiled as it is")
        return
    typer.echo("compiling the core of risk; this takes about a minute")
    # Beside its place, so that it comes there whole or not at all.
    with TemporaryDirectory(dir=FOLDER, prefix="unfinished-") as folder:
        made = subprocess.run(
            [sys.executable, "-m", "cli.core_build", folder],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            umask=0o022,
        )
        if made.returncode:
            typer.echo(f"{made.stdout}{made.stderr}".strip(), err=True)
            typer.echo("the core could not be compiled; it is decided with the interpreter", err=True)
            raise typer.Exit(1)
        if build_name() != build.name:
            typer.echo("the sources changed meanwhile; compile again", err=True)
            raise typer.Exit(1)
        for old in FOLDER.iterdir():
            if old != Path(folder):
                shutil.rmtree(old, ignore_errors=True)
        (Path(folder) / "lib").rename(build)
    typer.echo("compiled: processes that start from now on decide with it")


def missing_tools() -> str | None:
    """Return what must be installed first, or None."""
    if find_spec("mypyc") is None or find_spec("setuptools") is None:
        return "compiling takes the tools of development: make install"
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"compiling takes the C compiler {compiler}, which is not here; on Debian: apt-get install gcc libc6-dev"
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not header.is_file():
        return f"compiling takes {header}, which is not here; on Debian: apt-get install python3-dev"
    return None
