"""Authentication of WebSockets: before the handshake, as for any other request."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from fastapi import WebSocket

from shared.auth import Authenticator, Principal, note_refusal
from shared.logging.context import principal as current_principal
from shared.problems import Forbidden, Unauthenticated
from shared.roles import Role

# A browser cannot set headers of a WebSocket. It can name subprotocols: this one, and its token as another.
BEARER_PROTOCOL = "bearer"


@dataclass(frozen=True)
class SocketCaller:
    """Who opened a WebSocket.

    `subprotocol` is what the handshake is answered with; `again` raises Unauthenticated or Forbidden once the caller
    could not open it any more.
    """

    principal: Principal
    subprotocol: str | None
    again: Callable[[], Awaitable[object]]


class _HasAuthenticator(Protocol):
    authenticator: Authenticator


def require_socket(*roles: Role) -> Callable[..., Awaitable[SocketCaller]]:
    """Return a dependency of WebSockets that lets exactly these roles pass: 401 without a valid token, else 403."""
    allowed = frozenset(roles)

    async def authorised(socket: WebSocket) -> SocketCaller:
        resources: _HasAuthenticator = socket.app.state.resources
        token = _token(socket)

        async def check() -> Principal:
            caller = await resources.authenticator.authenticate(token)
            if not allowed & caller.roles:
                refused = Forbidden(f"This needs one of the roles: {', '.join(sorted(allowed))}")
                note_refusal(socket, refused, caller.subject)
                raise refused
            return caller

        try:
            caller = await check()
        except Unauthenticated as problem:
            note_refusal(socket, problem, None)
            raise
        current_principal.set(caller.subject)
        return SocketCaller(caller, BEARER_PROTOCOL if BEARER_PROTOCOL in _protocols(socket) else None, check)

    authorised.__keelson_roles__ = allowed  # type: ignore[attr-defined]  # read by create_app: deny by default
    return authorised


def _token(socket: WebSocket) -> str | None:
    scheme, _, token = socket.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip() or None
    if scheme:
        return None
    offered = _protocols(socket)
    if BEARER_PROTOCOL not in offered:
        return None
    # The token is what stands after the word.
    after = offered[offered.index(BEARER_PROTOCOL) + 1 :]
    return after[0] if after else None


def _protocols(socket: WebSocket) -> list[str]:
    offered: list[str] = socket.scope.get("subprotocols", [])
    return offered
