"""Refuse query parameters that a route does not have or takes once: one written wrong is a filter that is not there."""

from collections.abc import Iterator
from typing import get_origin

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from starlette.requests import HTTPConnection

from shared.problems import Unprocessable
from shared.route_keys import key_of_context, key_of_scope

_MOST_ERRORS = 20


class QueryParameters:
    """Those of every route of an app; a dependency of each."""

    def __init__(self) -> None:
        # By the route's key: each parameter, and whether it may be given more than once.
        self._known: dict[int | str, dict[str, bool]] = {}

    def learn(self, app: FastAPI) -> None:
        """Take the parameters from the routes of an app, once all are there."""
        for route in iter_route_contexts(app.routes):
            if route.dependant is not None:
                self._known[key_of_context(route)] = dict(_parameters(route.dependant))

    async def __call__(self, request: HTTPConnection) -> None:
        """Raise Unprocessable for a request with a parameter that its route does not have, or takes once."""
        if not request.scope["query_string"]:
            return
        known = self._known[key_of_scope(request.scope)]
        given = [name for name, _ in request.query_params.multi_items()]
        errors = []
        for name in sorted(set(given)):
            if name not in known:
                errors.append((name, "No such parameter", "extra_forbidden"))
            elif not known[name] and given.count(name) > 1:
                errors.append((name, "Given more than once", "repeated"))
        if errors:
            has = f"it has {', '.join(sorted(known))}" if known else "it has none"
            raise Unprocessable(
                f"The query is not of this route's parameters; {has}",
                errors=[
                    {"location": f"query.{name[:100]}", "message": message, "code": code}
                    for name, message, code in errors[:_MOST_ERRORS]
                ],
            )


def _parameters(dependant: Dependant) -> Iterator[tuple[str, bool]]:
    for parameter in dependant.query_params:
        yield parameter.alias, get_origin(parameter.field_info.annotation) in {tuple, list, set, frozenset}
    for each in dependant.dependencies:
        yield from _parameters(each)
