"""Write docs/denial-reasons.md from the codes, or check that it is current."""

import typer

from cli.generated import Check, keep_current
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


def denials(check: Check = False) -> None:
    """Write docs/denial-reasons.md from the codes."""
    keep_current({_PATH: render()}, check)


if __name__ == "__main__":
    typer.run(denials)
