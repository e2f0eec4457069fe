"""Tell routes apart: by what the framework puts into a request's scope, and by what it lists."""

from collections.abc import Mapping
from typing import Any

from fastapi.routing import APIWebSocketRoute, RouteContext


def key_of_context(context: RouteContext) -> int | str:
    """Return the key of a route as the app lists it."""
    route = context.original_route
    # Of an included WebSocket a copy serves, which has the whole path; of any other route the original.
    return f"WS {context.path}" if isinstance(route, APIWebSocketRoute) else id(route)


def key_of_scope(scope: Mapping[str, Any]) -> int | str:
    """Return the key of the route that a scope is served by, of none where there is none."""
    route = scope.get("route")
    return f"WS {route.path}" if isinstance(route, APIWebSocketRoute) else id(route)
