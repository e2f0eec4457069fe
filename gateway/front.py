"""One port for the whole suite on one machine: what nginx is in production."""

import re
from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import uuid4

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.dashboard.app import create as create_dashboard
from shared.logging.context import correlation_id
from shared.middleware import drain, too_large
from shared.problems import BadRequest, DependencyUnavailable, PayloadTooLarge, Problem
from shared.settings import AppSettings, settings_of_process
from shared.shards import RIGHT_SHARD_HEADER, SHARD_HEADER, shard_of

_ANSWER_SECONDS = 35.0
_CORRELATION = b"x-correlation-id"
_ACCEPTED = re.compile(rb"[A-Za-z0-9._:\-]{1,64}")
_ROUTE = re.compile(
    r"/(?:api/v1/(?P<api>[a-z]+)(?:/|$)|services/(?P<probe>[a-z]+)(?P<rest>/(?:healthz|readyz|metrics))$)"
)
_ACCOUNT = re.compile(r"/api/v1/risk/accounts/(?P<id>[^/]+)")
_SHARD = SHARD_HEADER.lower().encode()
_Headers = list[tuple[bytes, bytes]]
# RFC 9110, 7.6.1: these speak of one connection and are not passed on.
_HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer", b"upgrade"}
    | {b"transfer-encoding", b"proxy-connection"}
)


# Said by the front alone: what a caller says of itself is not believed.
_FORWARDED = (b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-for")


class _CallerGone(Exception):
    """The caller left before its request was whole: there is nothing to do and nobody to tell."""


class GatewayTimeout(Problem):
    """A service took too long to answer; what it did is unknown."""

    type_, title, status = "gateway-timeout", "Gateway timeout", 504


class Front:
    """Pass each request on to the service its path names; everything else is the dashboard's.

    Of a service that is several shards, `upstreams` has all URLs in their order, separated by commas.
    """

    def __init__(self, upstreams: Mapping[str, str], page: ASGIApp, max_body_bytes: int) -> None:
        self._upstreams = {name: urls.split(",") for name, urls in upstreams.items()}
        self._page = page
        self._max_body_bytes = max_body_bytes
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(_ANSWER_SECONDS, connect=2),
            # Services close a connection that was idle for five seconds; ours must not be the one they are closing.
            limits=httpx.Limits(max_connections=200, max_keepalive_connections=50, keepalive_expiry=3),
            trust_env=False,
        )
        # Every client header is passed on as it came; none is added.
        self._client.headers.clear()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        if scope["type"] == "lifespan":
            await self._page(scope, receive, self._closing(send))
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

    def _closing(self, send: Send) -> Send:
        """Close the connections before the page says that all is shut down: the server waits no longer than that."""

        async def told(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown."):
                await self._client.aclose()
            await send(message)

        return told

    async def _forward(self, name: str, target: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        # Whitespace around a value is no part of it (RFC 9110, 5.5), and our client refuses to send it.
        given = [(key, value.strip(b" \t")) for key, value in scope["headers"]]
        identifier = _identifier(given)
        headers = [*_passed_on(given), (_CORRELATION, identifier), *_forwarded(scope, given)]
        try:
            content = await self._body(scope, receive)
            # A URL would be put into a form of httpx's own; the target goes out as it came in.
            extensions = {"target": target, "timeout": self._client.timeout.as_dict()}
            response = await self._send(name, scope, headers, content, extensions)
        except _CallerGone:
            return
        except (httpx.HTTPError, PayloadTooLarge) as error:
            correlation_id.set(identifier.decode())
            problem = error if isinstance(error, PayloadTooLarge) else _problem(name, error)
            answer = problem.response()
            answer.headers["X-Correlation-ID"] = identifier.decode()
            await answer(scope, receive, send)
            return
        try:
            raw = [*_passed_on(response.headers.raw), (_CORRELATION, identifier)]
            if response.status_code == httpx.codes.NOT_MODIFIED:
                # It tells the length of what is not sent.
                raw = [(key, value) for key, value in raw if key.lower() != b"content-length"]
            await send({"type": "http.response.start", "status": response.status_code, "headers": raw})
            async for chunk in response.aiter_raw():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await response.aclose()

    async def _send(
        self, name: str, scope: Scope, headers: _Headers, content: bytes | AsyncIterator[bytes], extensions: Any
    ) -> httpx.Response:
        """Return the answer of the shard that a request is for. Raises HTTPError."""
        urls = _shards(self._upstreams[name], scope)

        async def ask(url: str) -> httpx.Response:
            request = httpx.Request(scope["method"], url, headers=headers, content=content, extensions=extensions)
            if isinstance(content, bytes) and not content and scope["method"] in {"GET", "HEAD"}:
                request.headers.pop("content-length", None)
            return await self._client.send(request, stream=True)

        if not isinstance(content, bytes):
            # It comes in once, and cannot be sent again.
            return await ask(urls[0])
        for url in urls[:-1]:
            try:
                response = await ask(url)
                break
            except (httpx.ConnectError, httpx.ConnectTimeout):
                # Nothing was sent: what concerns every shard, another one can be asked.
                continue
        else:
            response = await ask(urls[-1])
        right = response.headers.get(RIGHT_SHARD_HEADER, "")
        shards = {str(number): url for number, url in enumerate(self._upstreams[name])}
        if response.status_code != httpx.codes.MISDIRECTED_REQUEST or right not in shards:
            return response
        # The body alone names the account, or the path a kill switch: whoever was asked knows whose it is.
        await response.aclose()
        return await ask(shards[right])

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
        if first["type"] == "http.disconnect":
            raise _CallerGone
        body: bytes = first.get("body", b"")
        if not first.get("more_body", False):
            return body

        async def rest() -> AsyncIterator[bytes]:
            yield body
            taken, more = len(body), True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _CallerGone
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
    settings = settings_of_process(AppSettings)
    upstreams = {
        "risk": settings.risk_url,
        "marketdata": settings.marketdata_url,
        "ml": settings.ml_url,
        "reporting": settings.reporting_url,
    }
    return Front(upstreams, create_dashboard(settings), settings.max_body_bytes)


def _shards(urls: list[str], scope: Scope) -> list[str]:
    """Return which URLs may be asked, in their order: of an account its shard's alone."""
    if len(urls) == 1:
        return urls
    account = _ACCOUNT.match(scope["path"])
    if account:
        return [urls[shard_of(account["id"], len(urls))]]
    meant = dict(scope["headers"]).get(_SHARD, b"").decode("latin-1")
    return [url for number, url in enumerate(urls) if str(number) == meant] or urls


def _identifier(headers: _Headers) -> bytes:
    given = dict(headers).get(_CORRELATION, b"")
    return given if _ACCEPTED.fullmatch(given) else uuid4().hex.encode()


def _passed_on(headers: _Headers) -> _Headers:
    named = {
        token.strip().lower() for key, value in headers if key.lower() == b"connection" for token in value.split(b",")
    }
    dropped = _HOP_BY_HOP | named | {b"host", _CORRELATION, *_FORWARDED}
    return [(key, value) for key, value in headers if key.lower() not in dropped]


def _forwarded(scope: Scope, given: _Headers) -> _Headers:
    client = scope.get("client")
    values = (scope["scheme"].encode(), dict(given).get(b"host", b""), client[0].encode() if client else b"")
    return [(key, value) for key, value in zip(_FORWARDED, values, strict=True) if value]


def _problem(name: str, error: httpx.HTTPError) -> Problem:
    if isinstance(error, httpx.LocalProtocolError):
        # Our own client would not write it: no service was asked, and none is at fault.
        return BadRequest(f"The request cannot be passed on: {error}")
    if isinstance(error, httpx.PoolTimeout):
        return DependencyUnavailable("Every connection to the services is in use", headers={"Retry-After": "1"})
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return GatewayTimeout(f"{name} did not answer in time; what it did is unknown")
    return DependencyUnavailable(f"{name} does not answer", headers={"Retry-After": "1"})
