"""Write docs/configuration.md from the settings, or check that it is current."""

from importlib import import_module

import typer
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from cli.generated import Check, keep_current
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


def configuration(check: Check = False) -> None:
    """Write docs/configuration.md from the settings."""
    keep_current({_PATH: render()}, check)


if __name__ == "__main__":
    typer.run(configuration)
