"""Refuse query parameters that a route does not have: one written wrong would be a filter that is not there."""

from collections.abc import Iterator

from fastapi import FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from shared.problems import Unprocessable


class QueryParameters:
    """Those of every route of an app; a dependency of each."""

    def __init__(self) -> None:
        self._known: dict[int, frozenset[str]] = {}

    def learn(self, app: FastAPI) -> None:
        """Take the parameters from the routes of an app, once all are there."""
        for route in iter_route_contexts(app.routes):
            if route.dependant is not None:
                self._known[id(route.original_route)] = frozenset(_names(route.dependant))

    async def __call__(self, request: Request) -> None:
        """Raise Unprocessable for a request with a parameter that its route does not have."""
        if not request.scope["query_string"]:
            return
        known = self._known[id(request.scope["route"])]
        unknown = sorted(set(request.query_params) - known)
        if unknown:
            has = f"it has {', '.join(sorted(known))}" if known else "it has none"
            raise Unprocessable(
                f"This route has no such parameter; {has}",
                errors=[
                    {"location": f"query.{name[:100]}", "message": "No such parameter", "code": "extra_forbidden"}
                    for name in unknown[:20]
                ],
            )


def _names(dependant: Dependant) -> Iterator[str]:
    yield from (parameter.alias for parameter in dependant.query_params)
    for each in dependant.dependencies:
        yield from _names(each)
