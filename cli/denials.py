"""Write docs/denial-reasons.md from the codes, or check that it is current."""

import sys
from typing import Annotated

import typer

from cli.paths import ROOT
from shared.schemas.denials import Control, DenialCode, Gravity

_PATH = ROOT / "docs" / "denial-reasons.md"
_INTRODUCTION = """# Why an order is denied

A denial is an answer with HTTP 200: it names every rule the order broke, each with what was measured before the order
(`measured`), with it (`value`), the limit, what was left of it (`headroom`) and the unit, and the largest quantity that
would have passed (`max_quantity`). The codes are a closed set, grouped here by the control they serve.

Gravity says who should look: `routine` nobody, `attention` whoever runs the strategy, `incident` the risk officer.

This page is made from the code by `make openapi`; change the code, not this page.
"""


def render() -> str:
    """Return the page."""
    parts = [_INTRODUCTION]
    for control in Control:
        rows = [
            f"| `{code}` | {code.text} | {Gravity(code.gravity).value} |"
            for code in DenialCode
            if code.control is control
        ]
        title = control.value[0].upper() + control.value[1:]
        parts.append("\n".join([f"## {title}\n", "| code | meaning | gravity |", "|---|---|---|", *rows, ""]))
    return "\n".join(parts)


def denials(
    check: Annotated[bool, typer.Option(help="Write nothing; exit 1 where the page is not current.")] = False,
) -> None:
    """Write docs/denial-reasons.md from the codes."""
    text = render()
    current = _PATH.exists() and _PATH.read_text(encoding="utf-8") == text
    if check and not current:
        typer.echo("docs/denial-reasons.md is not current; run `make openapi` and commit the result", err=True)
        sys.exit(1)
    if not current:
        _PATH.write_text(text, encoding="utf-8")
        typer.echo("written: docs/denial-reasons.md")


if __name__ == "__main__":
    typer.run(denials)
