"""Write docs/roles.md from the routes of the services, or check that it is current."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import typer
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from cli.generated import Check, keep_current
from cli.openapi import apps
from cli.paths import ROOT
from shared.roles import Role

_PATH = ROOT / "docs" / "roles.md"
_API = "/api/v1/"
_INTRODUCTION = """# Who may do what

Each route names the roles that may call it, and no role implies another; without one of them the answer is 403. Not
listed are `/healthz` and `/readyz`, which need no key, and `/metrics`, which every role may read.

This page is made from the routes themselves by `make openapi`; change the code, not this page.
"""


@dataclass(frozen=True, slots=True)
class Permission:
    """A route, what it is for, and who may call it."""

    method: str
    path: str
    purpose: str
    roles: frozenset[Role]


def permissions(app: FastAPI) -> Iterator[Permission]:
    """Yield the routes of an app's API, in the order of the code."""
    for route in iter_route_contexts(app.routes):
        path = route.path or ""
        if not path.startswith(_API):
            continue
        purpose = (getattr(route.original_route, "endpoint", None).__doc__ or "").strip().splitlines()[0]
        for method in sorted(getattr(route.original_route, "methods", ("WS",))):
            yield Permission(method, path, purpose, _allowed(route.dependant))


def _allowed(dependant: Dependant | None) -> frozenset[Role]:
    """Return who passes every dependency of a route that names roles."""
    allowed = frozenset(Role)
    if dependant is not None:
        allowed &= getattr(dependant.call, "__keelson_roles__", allowed)
        for each in dependant.dependencies:
            allowed &= _allowed(each)
    return allowed


def render(services: Mapping[str, FastAPI]) -> str:
    """Return the page."""
    parts = [_INTRODUCTION]
    for name, app in services.items():
        found = list(permissions(app))
        some = [each for each in found if each.roles != frozenset(Role)]
        rest = [each for each in found if each.roles == frozenset(Role)]
        parts.append(f"## {name}\n")
        if some:
            heads = " | ".join(f"`{role}`" for role in Role)
            rows = [f"| `{each.method} {each.path}` | {each.purpose} | {_marks(each)} |" for each in some]
            parts.append(
                "\n".join([f"| route | what it does | {heads} |", "|---|---|" + "---|" * len(Role), *rows, ""])
            )
        if rest:
            parts.append("Every role may:\n")
            parts.append("\n".join([*(f"- `{each.method} {each.path}`: {each.purpose}" for each in rest), ""]))
    return "\n".join(parts)


def _marks(permission: Permission) -> str:
    return " | ".join("yes" if role in permission.roles else "" for role in Role)


def roles(check: Check = False) -> None:
    """Write docs/roles.md from the routes."""
    keep_current({_PATH: render(apps())}, check)


if __name__ == "__main__":
    typer.run(roles)
