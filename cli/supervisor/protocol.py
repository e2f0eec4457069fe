"""uvicorn's HTTP, less patient with a caller that says nothing, and told of each one that has left."""

import asyncio

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

_HEAD_SECONDS = 20.0


class HttpProtocol(HttpToolsProtocol):
    """One connection: a request's head comes in time, or the connection is closed."""

    head_seconds = _HEAD_SECONDS
    _late: asyncio.TimerHandle | None = None
    _running: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._late = self.loop.call_later(self.head_seconds, transport.abort)

    def on_message_begin(self) -> None:
        """Wait for the rest of a request's head."""
        super().on_message_begin()
        if self._late is None:
            self._late = self.loop.call_later(self.head_seconds, self.transport.abort)

    def on_headers_complete(self) -> None:
        """Wait no longer: from here on the app has its own limits."""
        self._in_time()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the request that is being answered, which is not the last one where more were sent before its answer."""
        self._in_time()
        super().connection_lost(exc)
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _in_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
