"""Documents made from the code: written, or checked to be current."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from cli.paths import ROOT

Check = Annotated[bool, typer.Option(help="Write nothing; exit 1 where a document is not current.")]


def keep_current(documents: Mapping[Path, str], check: bool, remedy: str = "make openapi") -> None:
    """Write the documents that are not as their texts say; with `check` only name them and the remedy, and exit 1."""
    stale = {path: text for path, text in documents.items() if not _is_current(path, text)}
    for path, text in stale.items():
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        typer.echo(f"{'not current' if check else 'written'}: {path.relative_to(ROOT)}")
    if check and stale:
        typer.echo(f"run `{remedy}` and commit the result", err=True)
        sys.exit(1)


def _is_current(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text
