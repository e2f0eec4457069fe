"""Pure ASGI middleware of WebSockets: correlation ids, one log line each, and a last word on errors."""

import time
from collections.abc import Mapping
from random import getrandbits

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.http_metrics import HttpMetrics
from shared.logging import Category, get_trading_logger
from shared.logging.context import correlation_id
from shared.logging.context import principal as current_principal
from shared.middleware import HEADER, incoming_id
from shared.problems import InternalError
from shared.route_keys import key_of_scope

_LOG = get_trading_logger("keelson.http", Category.SYSTEM)
_ACCEPTED = 101
_INTERNAL_ERROR = 1011


class SocketContext:
    """Do for a WebSocket what RequestContext does for a request; it is logged and counted as it ends."""

    def __init__(
        self, app: ASGIApp, metrics: HttpMetrics, templates: Mapping[int | str, str], headers: Mapping[str, str]
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._templates = templates
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        identifier = incoming_id(scope) or f"{getrandbits(128):032x}"
        correlation_id.set(identifier)
        current_principal.set(None)
        seen = _Seen()

        async def noted(message: Message) -> None:
            seen.note_sent(message)
            if message["type"] in {"websocket.accept", "websocket.http.response.start"}:
                own = (HEADER.lower().encode(), identifier.encode())
                message["headers"] = [*message.get("headers", []), *self._headers, own]
            await send(message)

        async def noting() -> Message:
            message = await receive()
            seen.note_received(message)
            return message

        started = time.perf_counter()
        try:
            await self._app(scope, noting, noted)
        except Exception:  # the last place before the server: anything left is our own fault
            _LOG.exception("unhandled error", method="WS", path=scope["path"])
            if not seen.status:
                problem = InternalError("The request failed; the log has the reason under this correlation id")
                await problem.response()(scope, noting, noted)
            elif seen.code is None:
                await noted({"type": "websocket.close", "code": _INTERNAL_ERROR, "reason": "The stream failed"})
        finally:
            self._note(scope, seen, time.perf_counter() - started)

    def _note(self, scope: Scope, seen: "_Seen", seconds: float) -> None:
        handler = self._templates.get(key_of_scope(scope), "none")
        # A handshake that nobody answered was refused by the server.
        status = seen.status or 403
        self._metrics.observe("WS" if handler != "none" else "any", handler, status, seconds)
        duration = round(seconds * 1000, 3)
        _LOG.info("request", method="WS", path=scope["path"], status=status, close_code=seen.code, duration_ms=duration)


class _Seen:
    """How a WebSocket went: the status of its handshake, and the code it was closed with by whoever was first."""

    def __init__(self) -> None:
        self.status = 0
        self.code: int | None = None

    def note_sent(self, message: Message) -> None:
        if message["type"] == "websocket.accept":
            self.status = _ACCEPTED
        elif message["type"] == "websocket.http.response.start":
            self.status = message["status"]
        elif message["type"] == "websocket.close" and self.code is None:
            self.code = message.get("code", 1000)

    def note_received(self, message: Message) -> None:
        if message["type"] == "websocket.disconnect" and self.code is None:
            self.code = message.get("code")
