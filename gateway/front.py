"""One port for the whole suite on one machine: what nginx is in production."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from uuid import uuid4

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.dashboard.app import create as create_dashboard
from shared.logging.context import correlation_id
from shared.middleware import drain, too_large
from shared.problems import DependencyUnavailable, PayloadTooLarge, Problem
from shared.settings import AppSettings, load_settings

_CORRELATION = b"x-correlation-id"
_ACCEPTED = re.compile(rb"[A-Za-z0-9._:\-]{1,64}")
_ROUTE = re.compile(
    r"/(?:api/v1/(?P<api>[a-z]+)(?:/|$)|services/(?P<probe>[a-z]+)(?P<rest>/(?:healthz|readyz|metrics))$)"
)
# RFC 9110, 7.6.1: these speak of one connection and are not passed on.
_HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer", b"upgrade"}
    | {b"transfer-encoding", b"proxy-connection"}
)


class GatewayTimeout(Problem):
    """A service took too long to answer; what it did is unknown."""

    type_, title, status = "gateway-timeout", "Gateway timeout", 504


class Front:
    """Pass each request on to the service its path names; everything else is the dashboard's."""

    def __init__(self, upstreams: Mapping[str, str], page: ASGIApp, max_body_bytes: int) -> None:
        self._upstreams = dict(upstreams)
        self._page = page
        self._max_body_bytes = max_body_bytes
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(35, connect=2),
            limits=httpx.Limits(max_connections=200, max_keepalive_connections=50),
            trust_env=False,
        )
        # Every client header is passed on as it came; none is added.
        self._client.headers.clear()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        if scope["type"] == "lifespan":
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(self._client)
                await self._page(scope, receive, send)
            return
        match = _ROUTE.match(scope["path"]) if scope["type"] == "http" else None
        name = (match["api"] or match["probe"]) if match else None
        if match is None or name not in self._upstreams:
            await self._page(scope, receive, send)
            return
        target: bytes = scope["raw_path"] if match["api"] else match["rest"].encode()
        if scope["query_string"]:
            target += b"?" + scope["query_string"]
        await self._forward(str(name), target, scope, receive, send)

    async def _forward(self, name: str, target: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        identifier = _identifier(scope)
        url = httpx.URL(self._upstreams[name]).copy_with(raw_path=target)
        headers = [*_passed_on(scope["headers"]), (_CORRELATION, identifier), *_forwarded(scope)]
        try:
            content = await self._body(scope, receive)
            request = httpx.Request(scope["method"], url, headers=headers, content=content)
            if isinstance(content, bytes) and not content and scope["method"] in {"GET", "HEAD"}:
                request.headers.pop("content-length", None)
            response = await self._client.send(request, stream=True)
        except (httpx.HTTPError, PayloadTooLarge) as error:
            correlation_id.set(identifier.decode())
            problem = error if isinstance(error, PayloadTooLarge) else _problem(name, error)
            answer = problem.response()
            answer.headers["X-Correlation-ID"] = identifier.decode()
            await answer(scope, receive, send)
            return
        try:
            raw = _passed_on(response.headers.raw, keep=(_CORRELATION,))
            await send({"type": "http.response.start", "status": response.status_code, "headers": raw})
            async for chunk in response.aiter_raw():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await response.aclose()

    async def _body(self, scope: Scope, receive: Receive) -> bytes | AsyncIterator[bytes]:
        """Return a body that came whole as bytes, a longer one as it comes in. Raises PayloadTooLarge.

        A service that refuses a body while it is being sent looks to its caller as if it had died: the limit
        holds here already.
        """
        announced = dict(scope["headers"]).get(b"content-length", b"")
        if announced.isdigit() and int(announced) > self._max_body_bytes:
            await drain(receive, self._max_body_bytes)
            raise too_large(self._max_body_bytes)
        first = await receive()
        body: bytes = first.get("body", b"")
        if not first.get("more_body", False):
            return body

        async def rest() -> AsyncIterator[bytes]:
            yield body
            taken, more = len(body), True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise httpx.ReadError("the caller is gone")
                chunk: bytes = message.get("body", b"")
                taken += len(chunk)
                more = message.get("more_body", False)
                if taken > self._max_body_bytes:
                    await drain(receive, self._max_body_bytes)
                    raise too_large(self._max_body_bytes)
                yield chunk

        return rest()


def create() -> Front:
    """Return the front of the services the settings name."""
    settings = load_settings(AppSettings)
    upstreams = {
        "risk": settings.risk_url,
        "marketdata": settings.marketdata_url,
        "ml": settings.ml_url,
        "reporting": settings.reporting_url,
    }
    return Front(upstreams, create_dashboard(settings), settings.max_body_bytes)


def _identifier(scope: Scope) -> bytes:
    given: bytes = dict(scope["headers"]).get(_CORRELATION, b"")
    return given if _ACCEPTED.fullmatch(given) else uuid4().hex.encode()


def _passed_on(headers: list[tuple[bytes, bytes]], keep: tuple[bytes, ...] = ()) -> list[tuple[bytes, bytes]]:
    named = {
        token.strip().lower() for key, value in headers if key.lower() == b"connection" for token in value.split(b",")
    }
    dropped = (_HOP_BY_HOP | named | {b"host", _CORRELATION}) - frozenset(keep)
    return [(key, value) for key, value in headers if key.lower() not in dropped]


def _forwarded(scope: Scope) -> list[tuple[bytes, bytes]]:
    headers = dict(scope["headers"])
    found = [(b"x-forwarded-proto", scope["scheme"].encode()), (b"x-forwarded-host", headers.get(b"host", b""))]
    if scope.get("client"):
        found.append((b"x-forwarded-for", scope["client"][0].encode()))
    return found


def _problem(name: str, error: httpx.HTTPError) -> Problem:
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return GatewayTimeout(f"{name} did not answer in time; what it did is unknown")
    return DependencyUnavailable(f"{name} does not answer", headers={"Retry-After": "1"})
