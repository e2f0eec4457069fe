"""Write each service's OpenAPI document to docs/openapi, or check that what is there is current."""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import SecretStr

from cli.paths import ROOT
from shared.settings import ServiceSettings

_SERVICES = ("risk", "marketdata", "ml", "reporting")
_FOLDER = ROOT / "docs" / "openapi"


def documents() -> dict[str, dict[str, Any]]:
    """Return the OpenAPI document of each service and of the dashboard; nothing is started."""
    found = {name: import_module(f"services.{name}.main").create(_settings(name)).openapi() for name in _SERVICES}
    return {**found, "dashboard": import_module("gateway.dashboard.app").create().openapi()}


def _settings(service: str) -> ServiceSettings:
    module = import_module(f"services.{service}.settings")
    kinds = [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, ServiceSettings) and kind.service == service
    ]
    nowhere = "127.0.0.1:1"
    return kinds[0](
        database_url=SecretStr(f"postgresql+psycopg://{nowhere}/none"), redis_url=SecretStr(f"redis://{nowhere}/0")
    )


def openapi(
    check: Annotated[bool, typer.Option(help="Write nothing; exit 1 where a document is not current.")] = False,
) -> None:
    """Write docs/openapi/*.json from the code."""
    stale = []
    for name, document in documents().items():
        path = _FOLDER / f"{name}.json"
        text = json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    _report(stale, check)


def _report(stale: list[Path], check: bool) -> None:
    for path in stale:
        typer.echo(f"{'not current' if check else 'written'}: {path.relative_to(ROOT)}")
    if check and stale:
        typer.echo("run `make openapi` and commit the result", err=True)
        sys.exit(1)


if __name__ == "__main__":
    typer.run(openapi)
