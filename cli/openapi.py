"""Write each service's OpenAPI document to docs/openapi, or check that what is there is current."""

import json
from importlib import import_module
from typing import Any

import typer
from fastapi import FastAPI
from pydantic import SecretStr

from cli.generated import Check, keep_current
from cli.paths import ROOT
from shared.settings import ServiceSettings

_SERVICES = ("risk", "marketdata", "ml", "reporting")
_FOLDER = ROOT / "docs" / "openapi"


def apps() -> dict[str, FastAPI]:
    """Return the app of each service and of the dashboard; nothing is started."""
    found = {name: import_module(f"services.{name}.main").create(_settings(name)) for name in _SERVICES}
    return {**found, "dashboard": import_module("gateway.dashboard.app").create()}


def documents() -> dict[str, dict[str, Any]]:
    """Return the OpenAPI document of each service and of the dashboard."""
    return {name: app.openapi() for name, app in apps().items()}


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


def openapi(check: Check = False) -> None:
    """Write docs/openapi/*.json from the code."""
    keep_current({_FOLDER / f"{name}.json": _text(document) for name, document in documents().items()}, check)


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    typer.run(openapi)
