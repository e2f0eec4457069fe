"""One port for the whole suite on one machine: what nginx is in production."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import nullcontext
from uuid import uuid4

import httpx
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.callers import CallerGone, body_of, while_there
from gateway.dashboard.app import create as create_dashboard
from gateway.lanes import Answer, Lane, Lanes, Limits, lane_of
from gateway.sockets import Sockets
from shared.logging.context import correlation_id
from shared.middleware import in_time
from shared.problems import BadRequest, DependencyUnavailable, NotFound, Problem
from shared.settings import AppSettings, settings_of_process
from shared.shards import RIGHT_SHARD_HEADER, SHARD_HEADER, shard_of

_CORRELATION = b"x-correlation-id"
_ACCEPTED = re.compile(rb"[A-Za-z0-9._:\-]{1,64}")
# Where callers of old look for it.
_OTHER_NAMES = {"/api/data-quality": "/api/v1/marketdata/quality/report"}
_ROUTE = re.compile(
    r"/(?:api/v1/(?P<api>[a-z]+)(?:/|$)|services/(?P<probe>[a-z]+)(?P<rest>/(?:healthz|readyz|metrics))$)"
)
# By the service they are for; nothing else is spoken but HTTP.
_SOCKETS = {"/api/v1/marketdata/stream": "marketdata"}
_ACCOUNT = re.compile(r"/api/v1/risk/accounts/(?P<id>[^/]+)")
_SHARD = SHARD_HEADER.lower().encode()
_Headers = list[tuple[bytes, bytes]]
# RFC 9110, 7.6.1: these speak of one connection and are not passed on.
_HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer", b"upgrade"}
    | {b"transfer-encoding", b"proxy-connection"}
)


# What nobody waits for any longer is not worth a connection.
_ENDED_EARLY = frozenset({Lane.READS, Lane.STREAMS})

# Said by the front alone: what a caller says of itself is not believed.
_FORWARDED = (b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-for")


class GatewayTimeout(Problem):
    """A service took too long to answer; what it did is unknown."""

    type_, title, status = "gateway-timeout", "Gateway timeout", 504


class Front:
    """Pass each request on to the service its path names; everything else is the dashboard's.

    Of a service that is several shards, `upstreams` has all URLs in their order, separated by commas.
    """

    def __init__(
        self, upstreams: Mapping[str, str], page: ASGIApp, max_body_bytes: int, limits: Limits | None = None
    ) -> None:
        self._upstreams = {name: urls.split(",") for name, urls in upstreams.items()}
        self._page = page
        self._max_body_bytes = max_body_bytes
        self._limits = limits or Limits()
        self._lanes = Lanes(self._limits)
        self._sockets = Sockets(self._limits.sockets, self._limits.send_seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        if scope["type"] == "lifespan":
            await self._page(scope, receive, self._closing(send))
            return
        if scope["type"] == "websocket":
            await self._connect(scope, receive, send)
            return
        path = _OTHER_NAMES.get(scope["path"])
        if path is not None:
            scope = {**scope, "path": path, "raw_path": path.encode()}
        match = _ROUTE.match(scope["path"])
        name = (match["api"] or match["probe"]) if match else None
        if match is None or name not in self._upstreams:
            await self._page(scope, receive, send)
            return
        await self._forward(
            str(name),
            _target(scope, scope["raw_path"] if match["api"] else match["rest"].encode()),
            scope,
            receive,
            send,
        )

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a WebSocket on to the service that has one under its path."""
        given = [(key, value.strip(b" \t")) for key, value in scope["headers"]]
        identifier = _identifier(given)
        headers = [*_passed_on(given), (_CORRELATION, identifier), *_forwarded(scope, given)]
        answer = [(_CORRELATION, identifier)]
        try:
            name = _SOCKETS.get(scope["path"], "")
            if name not in self._upstreams:
                raise NotFound("There is no WebSocket under this path")
            # An URL's scheme is ws or wss where it would be http or https.
            url = "ws" + self._upstreams[name][0].removeprefix("http") + _target(scope, scope["raw_path"]).decode()
            await self._sockets.relay(name, url, headers, answer, scope, receive, send)
        except CallerGone:
            return
        except Problem as problem:
            await _refuse(problem, identifier)(scope, receive, send)

    def _closing(self, send: Send) -> Send:
        """Close the connections before the page says that all is shut down: the server waits no longer than that."""

        async def told(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown."):
                await self._lanes.aclose()
            await send(message)

        return told

    async def _forward(self, name: str, target: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        # Whitespace around a value is no part of it (RFC 9110, 5.5), and our client refuses to send it.
        given = [(key, value.strip(b" \t")) for key, value in scope["headers"]]
        identifier = _identifier(given)
        headers = [*_passed_on(given), (_CORRELATION, identifier), *_forwarded(scope, given)]
        answer: Answer | None = None
        try:
            content = await body_of(scope, in_time(receive, self._limits.body_seconds), self._max_body_bytes)
            lane = lane_of(scope["method"], scope["path"], isinstance(content, bytes))
            # What changes something is asked to its end: that its caller has left does not undo it.
            async with while_there(receive) if lane in _ENDED_EARLY else nullcontext():
                answer = await self._send(lane, name, scope, headers, content, target)
                await self._pass_on(answer.response, identifier, send)
        except CallerGone:
            return
        except (httpx.HTTPError, Problem) as error:
            if answer is not None:
                # It has begun, and stays unfinished: its caller sees that.
                raise
            await _refuse(error if isinstance(error, Problem) else _problem(name, error), identifier)(
                scope, receive, send
            )
        finally:
            if answer is not None:
                await answer.aclose()

    async def _pass_on(self, response: httpx.Response, identifier: bytes, send: Send) -> None:
        """Pass an answer on as it comes in. Raises CallerGone for a caller that takes nothing for too long."""

        async def tell(message: Message) -> None:
            try:
                async with asyncio.timeout(self._limits.send_seconds):
                    await send(message)
            except TimeoutError:
                raise CallerGone from None

        raw = [*_passed_on(response.headers.raw), (_CORRELATION, identifier)]
        if response.status_code == httpx.codes.NOT_MODIFIED:
            # It tells the length of what is not sent.
            raw = [(key, value) for key, value in raw if key.lower() != b"content-length"]
        await tell({"type": "http.response.start", "status": response.status_code, "headers": raw})
        async for chunk in response.aiter_raw():
            await tell({"type": "http.response.body", "body": chunk, "more_body": True})
        await tell({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(
        self,
        lane: Lane,
        name: str,
        scope: Scope,
        headers: _Headers,
        content: bytes | AsyncIterator[bytes],
        target: bytes,
    ) -> Answer:
        """Return the answer of the shard that a request is for. Raises HTTPError and DependencyUnavailable."""
        urls = _shards(self._upstreams[name], scope)

        # A URL would be put into a form of httpx's own; the target goes out as it came in.
        extensions = {"target": target, "timeout": self._lanes.timeouts}

        async def ask(url: str) -> Answer:
            request = httpx.Request(scope["method"], url, headers=headers, content=content, extensions=extensions)
            if isinstance(content, bytes) and not content and scope["method"] in {"GET", "HEAD"}:
                request.headers.pop("content-length", None)
            return await self._lanes.ask(lane, name, url, request)

        if not isinstance(content, bytes):
            # It comes in once, and cannot be sent again.
            return await ask(urls[0])
        for url in urls[:-1]:
            try:
                answer = await ask(url)
                break
            except (httpx.ConnectError, httpx.ConnectTimeout):
                # Nothing was sent: what concerns every shard, another one can be asked.
                continue
        else:
            answer = await ask(urls[-1])
        right = answer.response.headers.get(RIGHT_SHARD_HEADER, "")
        shards = {str(number): url for number, url in enumerate(self._upstreams[name])}
        if answer.response.status_code != httpx.codes.MISDIRECTED_REQUEST or right not in shards:
            return answer
        # The body alone names the account, or the path a kill switch: whoever was asked knows whose it is.
        await answer.aclose()
        return await ask(shards[right])


def create() -> Front:
    """Return the front of the services the settings name."""
    settings = settings_of_process(AppSettings)
    upstreams = {
        "risk": settings.risk_url,
        "marketdata": settings.marketdata_url,
        "ml": settings.ml_url,
        "reporting": settings.reporting_url,
    }
    limits = Limits(body_seconds=settings.body_seconds, streams=settings.front_streams, sockets=settings.front_sockets)
    return Front(upstreams, create_dashboard(settings), settings.max_body_bytes, limits)


def _shards(urls: list[str], scope: Scope) -> list[str]:
    """Return which URLs may be asked, in their order: of an account its shard's alone."""
    if len(urls) == 1:
        return urls
    account = _ACCOUNT.match(scope["path"])
    if account:
        return [urls[shard_of(account["id"], len(urls))]]
    meant = dict(scope["headers"]).get(_SHARD, b"").decode("latin-1")
    return [url for number, url in enumerate(urls) if str(number) == meant] or urls


def _target(scope: Scope, path: bytes) -> bytes:
    return path + b"?" + scope["query_string"] if scope["query_string"] else path


def _refuse(problem: Problem, identifier: bytes) -> Response:
    correlation_id.set(identifier.decode())
    refusal = problem.response()
    refusal.headers["X-Correlation-ID"] = identifier.decode()
    return refusal


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
    # A WebSocket's handshake is a request of HTTP.
    values = (
        scope["scheme"].replace("ws", "http").encode(),
        dict(given).get(b"host", b""),
        client[0].encode() if client else b"",
    )
    return [(key, value) for key, value in zip(_FORWARDED, values, strict=True) if value]


def _problem(name: str, error: httpx.HTTPError) -> Problem:
    if isinstance(error, httpx.LocalProtocolError):
        # Our own client would not write it: no service was asked, and none is at fault.
        return BadRequest(f"The request cannot be passed on: {error}")
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return GatewayTimeout(f"{name} did not answer in time; what it did is unknown")
    return DependencyUnavailable(f"{name} does not answer", headers={"Retry-After": "1"})
