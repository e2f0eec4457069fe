"""Answer the few routes that are asked all the time past the framework's general way.

Dependency solving, validation by way of Python objects and the second search for the route cost more than a decision.
A direct route takes none of them, and only what is as it should be: a caller known by now who has a role, a body that
is valid. Whatever else comes, and so every refusal, goes the general way with the same body, and is answered there.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, ValidationError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.auth import Authenticator, Principal, Role
from shared.logging.context import principal as current_principal
from shared.problems import Problem
from shared.schemas.base import IDENTIFIER

_PARAMETER = re.compile(r"\{(\w+)\}")
_JSON = b"application/json"
# In the scope of a request that succeeded: what it did is logged by the service, and one line is enough.
ANSWERED_DIRECTLY = "keelson.answered_directly"


@dataclass(frozen=True)
class Direct:
    """A route as it is answered directly; `call` gives JSON for the path's parameters, the body and the caller."""

    path: str
    body: type[BaseModel]
    roles: frozenset[Role]
    call: Callable[[dict[str, str], Any, Principal], Awaitable[str]]


class DirectRoutes:
    """Answer POST requests of direct routes; pass on everything else. Raises RuntimeError for an unknown route."""

    def __init__(self, app: ASGIApp, routes: Sequence[Direct], owner: FastAPI, authenticator: Authenticator) -> None:
        self._app = app
        self._authenticator = authenticator
        known = {context.path: context.original_route for context in iter_route_contexts(owner.routes)}
        self._routes = []
        for route in routes:
            if route.path not in known:
                raise RuntimeError(f"{route.path} is answered directly and is no route of the app")
            # A path with anything but ids is judged the general way.
            pattern = re.compile(_PARAMETER.sub(rf"(?P<\1>{IDENTIFIER})", route.path))
            self._routes.append((pattern, route, known[route.path]))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        for pattern, route, original in self._routes:
            match = pattern.fullmatch(scope["path"])
            if match is not None:
                caller = self._caller(scope, route)
                if caller is not None:
                    scope["route"] = original
                    await self._answer(route, match.groupdict(), caller, scope, receive, send)
                    return
        await self._app(scope, receive, send)

    def _caller(self, scope: Scope, route: Direct) -> Principal | None:
        """Return who asks, None where the general way must find that out."""
        if scope["query_string"]:
            return None
        token, json = b"", False
        for name, value in scope["headers"]:
            if name == b"authorization":
                if token:
                    return None
                token = value
            elif name == b"content-type":
                json = value == _JSON
        if not json or not token.startswith(b"Bearer "):
            return None
        caller = self._authenticator.known(token[7:].decode("latin-1"))
        return caller if caller is not None and route.roles & caller.roles else None

    async def _answer(
        self, route: Direct, parameters: dict[str, str], caller: Principal, scope: Scope, receive: Receive, send: Send
    ) -> None:
        content = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            content += message.get("body", b"")
            if not message.get("more_body", False):
                break
        try:
            body = route.body.__pydantic_validator__.validate_json(content)
        except ValidationError:
            await self._app(scope, _again(content, receive), send)
            return
        current_principal.set(caller.subject)
        try:
            found = await route.call(parameters, body, caller)
        except Problem as problem:
            await problem.response()(scope, receive, send)
            return
        scope[ANSWERED_DIRECTLY] = True
        text = found.encode()
        headers = [(b"content-length", b"%d" % len(text)), (b"content-type", _JSON)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": text})


def _again(content: bytes, receive: Receive) -> Receive:
    """Return what gives a body that was read once more."""
    whole: list[Message] = [{"type": "http.request", "body": content, "more_body": False}]

    async def replay() -> Message:
        return whole.pop() if whole else await receive()

    return replay
