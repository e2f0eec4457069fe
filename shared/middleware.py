"""Pure ASGI middleware: correlation ids, a last word on errors, limits on a body's size and time."""

import asyncio
import re
import time
from collections.abc import Mapping
from random import getrandbits

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.direct import ANSWERED_DIRECTLY
from shared.http_metrics import HttpMetrics
from shared.logging import Category, get_trading_logger
from shared.logging.context import correlation_id
from shared.logging.context import principal as current_principal
from shared.problems import InternalError, PayloadTooLarge, RequestTimeout

HEADER = "X-Correlation-ID"
_HEADER = HEADER.lower().encode()
_ACCEPTED = re.compile(r"[A-Za-z0-9._:\-]{1,64}")
_LOG = get_trading_logger("keelson.http", Category.SYSTEM)
# How many times the limit is taken of a refused body before its connection is cut.
_DRAINED = 4
# For so long one that says nothing is waited for.
_SILENT_SECONDS = 1.0
# Asked every few seconds by probes and scrapers.
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})


class RequestContext:
    """Give every request a correlation id, log and count it once, and answer what nobody caught with a 500 problem.

    `templates` are the paths of the routes by the route's identity; it may be filled until the first request.
    `headers` are on every answer.
    """

    def __init__(
        self, app: ASGIApp, metrics: HttpMetrics, templates: Mapping[int | str, str], headers: Mapping[str, str]
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._templates = templates
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identifier = incoming_id(scope) or f"{getrandbits(128):032x}"
        correlation_id.set(identifier)
        current_principal.set(None)
        started = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *self._headers, (_HEADER, identifier.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:  # the last place before the server: anything left is our own fault
            _LOG.exception("unhandled error", method=scope["method"], path=scope["path"])
            if status:
                raise
            await InternalError("The request failed; the log has the reason under this correlation id").response()(
                scope, receive, send_with_id
            )
        finally:
            if scope["path"] not in _QUIET:
                self._note(scope, status, time.perf_counter() - started)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        method, path = scope["method"], scope["path"]
        handler = self._templates.get(id(scope.get("route")), "none")
        # A method can be any text; those of the app's own routes are few.
        self._metrics.observe(method if handler != "none" else "any", handler, status, seconds)
        log = _LOG.debug if ANSWERED_DIRECTLY in scope else _LOG.info
        log("request", method=method, path=path, status=status, duration_ms=round(seconds * 1000, 3))


class BodyLimit:
    """Refuse a longer body with 413, whether its length was announced or not, and a slower one with 408.

    What the app gets has come whole: it never waits for a caller.
    """

    def __init__(self, app: ASGIApp, limit: int, seconds: float) -> None:
        self._app = app
        self._limit = limit
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        announced = headers.get(b"content-length", b"")
        length = int(announced) if announced.isdigit() else 0
        if not length and b"transfer-encoding" not in headers:
            await self._app(scope, receive, send)
            return
        try:
            whole = await self._whole(length, in_time(receive, self._seconds))
        except (PayloadTooLarge, RequestTimeout) as problem:
            await problem.response()(scope, receive, send)
            return
        if whole is None:
            return
        pending = [whole]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self._app(scope, replay, send)

    async def _whole(self, length: int, receive: Receive) -> Message | None:
        """Return the body as one message, None where the caller has left."""
        parts, size, more = [], 0, True
        while more:
            if max(length, size) > self._limit:
                await drain(receive, self._limit)
                raise too_large(self._limit)
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            more = message.get("more_body", False)
        if size > self._limit:
            raise too_large(self._limit)
        return {"type": "http.request", "body": b"".join(parts), "more_body": False}


def in_time(receive: Receive, seconds: float) -> Receive:
    """Return what receives a body for so long, then raises RequestTimeout."""
    deadline = asyncio.get_running_loop().time() + seconds

    async def limited() -> Message:
        try:
            async with asyncio.timeout_at(deadline):
                return await receive()
        except TimeoutError:
            raise RequestTimeout(
                f"The body has not come within {seconds:g} seconds", headers={"Connection": "close"}
            ) from None

    return limited


def too_large(limit: int) -> PayloadTooLarge:
    """Return the problem of a body beyond the limit."""
    return PayloadTooLarge(f"A body has at most {limit} bytes", headers={"Connection": "close"})


async def drain(receive: Receive, limit: int) -> None:
    """Take what is still coming of a refused body, within reason: most callers read no answer while they send."""
    left = _DRAINED * limit
    while left > 0:
        try:
            async with asyncio.timeout(_SILENT_SECONDS):
                message = await receive()
        except (TimeoutError, RequestTimeout):
            return
        left -= len(message.get("body", b"")) + 1
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return


def incoming_id(scope: Scope) -> str | None:
    """Return the correlation id a caller has sent, None without one that can be used."""
    for name, value in scope["headers"]:
        if name == _HEADER:
            text: str = value.decode("latin-1")
            # A hostile id must not forge log lines or grow without bound.
            return text if _ACCEPTED.fullmatch(text) else None
    return None
