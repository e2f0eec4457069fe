"""Connections to the services in lanes: what is slow in one takes nothing from another."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import httpx

from shared.problems import DependencyUnavailable

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_STREAM = "/api/v1/risk/stream"
_STOPS = ("/api/v1/risk/emergency-stop", "/api/v1/risk/kill-switches")


class Lane(StrEnum):
    """What a connection is used for."""

    # Emergency stops and kill switches.
    STOPS = "stops"
    CHANGES = "changes"
    READS = "reads"
    STREAMS = "streams"
    # Bodies that are passed on while they come in: as slow as their caller.
    UPLOADS = "uploads"


@dataclass(frozen=True)
class Limits:
    """How long the front waits, in seconds, and how many connections each lane has to one process of a service."""

    # A request's body, from its head on.
    body_seconds: float = 30
    # A free connection of the lane.
    wait_seconds: float = 5
    # An answer, and each further part of it.
    answer_seconds: float = 35
    # A caller that does not read what it asked for.
    send_seconds: float = 30
    stops: int = 50
    changes: int = 200
    reads: int = 100
    streams: int = 100
    uploads: int = 20
    # WebSockets, which are no requests and have no lane.
    sockets: int = 100


class Answer:
    """A service's answer that is still coming in; closing it gives its place in the lane back."""

    def __init__(self, response: httpx.Response, release: Callable[[], None]) -> None:
        self.response = response
        self._release = release

    async def aclose(self) -> None:
        """End it, whether it has come whole or not."""
        try:
            await self.response.aclose()
        finally:
            self._release()


class Lanes:
    """Ask processes of services, each lane of each process with so many connections of its own."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        # Making one takes longer than all the rest.
        context = httpx.create_ssl_context(trust_env=False)
        self._clients = {lane: _client(context) for lane in Lane}
        self._timeout = httpx.Timeout(limits.answer_seconds, connect=2)
        # The places are counted here: a caller that leaves while it waits leaves nothing behind.
        self._places: dict[tuple[str, Lane], asyncio.Semaphore] = {}

    async def ask(self, lane: Lane, name: str, url: str, request: httpx.Request) -> Answer:
        """Return the answer as it begins. Raises HTTPError; DependencyUnavailable where no connection gets free."""
        places = self._places.get((url, lane))
        if places is None:
            places = self._places[url, lane] = asyncio.Semaphore(self._most(lane))
        try:
            async with asyncio.timeout(self._limits.wait_seconds):
                await places.acquire()
        except TimeoutError:
            raise DependencyUnavailable(
                f"All {self._most(lane)} connections to {name} for {lane} are in use", headers={"Retry-After": "1"}
            ) from None
        try:
            return Answer(await self._clients[lane].send(request, stream=True), places.release)
        except BaseException:
            places.release()
            raise

    @property
    def timeouts(self) -> dict[str, float | None]:
        """Return what a request names as its timeouts."""
        return self._timeout.as_dict()

    async def aclose(self) -> None:
        """Close every connection."""
        for client in self._clients.values():
            await client.aclose()

    def _most(self, lane: Lane) -> int:
        most: int = getattr(self._limits, lane)
        return most


def lane_of(method: str, path: str, whole: bool) -> Lane:
    """Return the lane of a request; `whole` says that its body has come in."""
    if not whole:
        return Lane.UPLOADS
    if method in _SAFE:
        return Lane.STREAMS if path == _STREAM else Lane.READS
    return Lane.STOPS if path.startswith(_STOPS) else Lane.CHANGES


def _client(context: ssl.SSLContext) -> httpx.AsyncClient:
    client = httpx.AsyncClient(
        # Services close a connection that was idle for five seconds; ours must not be the one they are closing.
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=3),
        verify=context,
        trust_env=False,
    )
    # Every client header is passed on as it came; none is added.
    client.headers.clear()
    return client
