"""Write docs/configuration.md from the settings, or check that it is current."""

import sys
from importlib import import_module
from typing import Annotated

import typer
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from cli.paths import ROOT
from shared.settings import PREFIX, AppSettings, ServiceSettings

_PATH = ROOT / "docs" / "configuration.md"
_MODULES = {
    "risk": "services.risk.settings",
    "marketdata": "services.marketdata.settings",
    "ml": "services.ml.settings",
    "reporting": "services.reporting.settings",
}
_INTRODUCTION = """# Configuration

Every setting is an environment variable. A process refuses to start on an unknown `TRADING_` name or a bad
value and names each of them. With `TRADING_ENVIRONMENT=production` it also refuses secrets that look like
placeholders or have fewer than 12 characters, and a start without authentication.

This page is made from the code by `make openapi`; change the code, not this page.
"""


def render() -> str:
    """Return the page."""
    parts = [_INTRODUCTION, _section("Every process", AppSettings, set())]
    common = set(AppSettings.model_fields)
    parts.append(_section("Every service with a database", ServiceSettings, common))
    common |= set(ServiceSettings.model_fields)
    for service, module in _MODULES.items():
        for kind in vars(import_module(module)).values():
            if isinstance(kind, type) and issubclass(kind, ServiceSettings) and kind.service == service:
                parts.append(_section(f"{service} alone", kind, common))
    return "\n".join(part for part in parts if part)


def _section(title: str, settings: type[AppSettings], skip: set[str]) -> str:
    rows = [_row(name, field) for name, field in settings.model_fields.items() if name not in skip]
    if not rows:
        return ""
    return "\n".join([f"## {title}\n", "| variable | default | meaning |", "|---|---|---|", *rows, ""])


def _row(name: str, field: FieldInfo) -> str:
    if not field.description:
        raise ValueError(f"setting {name} has no description")
    if field.is_required():
        default = "required"
    elif field.default is None or field.default is PydanticUndefined:
        default = ""
    else:
        default = f"`{field.default}`"
    secret = " Secret." if field.annotation in {SecretStr, SecretStr | None} else ""
    return f"| `{PREFIX}{name.upper()}` | {default} | {field.description}{secret} |"


def configuration(
    check: Annotated[bool, typer.Option(help="Write nothing; exit 1 where the page is not current.")] = False,
) -> None:
    """Write docs/configuration.md from the settings."""
    text = render()
    current = _PATH.exists() and _PATH.read_text(encoding="utf-8") == text
    if check and not current:
        typer.echo("docs/configuration.md is not current; run `make openapi` and commit the result", err=True)
        sys.exit(1)
    if not current:
        _PATH.write_text(text, encoding="utf-8")
        typer.echo("written: docs/configuration.md")


if __name__ == "__main__":
    typer.run(configuration)
