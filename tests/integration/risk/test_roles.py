"""Each route lets those pass that docs/roles.md names, and nobody else."""

import pytest

from cli.roles import permissions
from shared.roles import Role
from tests.integration.risk.client import BASE, RiskClient, order

pytestmark = pytest.mark.integration
# Valid, so that the direct way is asked too.
BODIES = {"/orders": order("o1"), "/orders/check": order("o1"), "/orders/batch": {"orders": [order("o1")]}}


async def test_every_route_lets_its_roles_pass_and_no_other(risk: RiskClient) -> None:
    routes = [each for each in permissions(risk.app) if not each.path.endswith("/stream")]
    assert len(routes) > 40
    for role in Role:
        await risk.ok("GET", "/accounts", role=role)
        for route in routes:
            path = _filled(route.path.removeprefix(BASE))
            body = next((each for end, each in BODIES.items() if path.endswith(end)), {})
            answer = await risk.call(route.method, path, None if route.method == "GET" else body, role)
            assert (answer.status_code != 403) is (role in route.roles), (route, role, answer.text)


def _filled(path: str) -> str:
    names = {"account_id": "main", "client_order_id": "o1", "name": "var", "kill_switch_id": "k", "strategy_id": "s"}
    for name, value in names.items():
        path = path.replace("{" + name + "}", value)
    return path
