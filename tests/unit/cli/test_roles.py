"""docs/roles.md says what the routes say."""

import pytest
from fastapi import APIRouter, Depends

from cli.openapi import apps
from cli.paths import ROOT
from cli.roles import permissions, render
from shared.app import create_app
from shared.auth import ANY_ROLE, require
from shared.roles import Role
from shared.settings import AppSettings

pytestmark = pytest.mark.unit


def test_the_page_is_made_of_the_routes_as_they_are() -> None:
    assert (ROOT / "docs" / "roles.md").read_text(encoding="utf-8") == render(apps())


def test_a_route_is_for_those_who_pass_all_it_depends_on() -> None:
    router = APIRouter(dependencies=[Depends(require(Role.ADMIN, Role.TRADER))])

    @router.post("/both", dependencies=[Depends(require(Role.ADMIN, Role.SERVICE))])
    async def both() -> None:
        """Do it. And more."""

    @router.get("/any", dependencies=[Depends(require(*ANY_ROLE))])
    async def some() -> None:
        """Read it."""

    app = create_app(name="x", settings=AppSettings(environment="test"), routers=[router])
    found = {each.path: each for each in permissions(app)}
    assert {path: each.roles for path, each in found.items()} == {
        "/api/v1/x/both": {Role.ADMIN},
        "/api/v1/x/any": {Role.ADMIN, Role.TRADER},
    }
    assert (found["/api/v1/x/both"].method, found["/api/v1/x/both"].purpose) == ("POST", "Do it. And more.")
    assert "| `POST /api/v1/x/both` | Do it. And more. |  |  |  | yes |  |" in render({"x": app})
