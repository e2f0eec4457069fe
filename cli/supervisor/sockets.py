"""uvicorn's WebSockets, less patient with a peer that takes nothing, and with less that waits for it."""

import asyncio
import socket

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

# Nobody has anything long to say to us.
MOST_BYTES = 64 * 1024
# What may wait in this process and in the kernel for one peer: what is older than that is told to nobody.
_WRITE_BYTES = 32 * 1024
_KERNEL_BYTES = 64 * 1024


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One connection: once it is to be closed it is closed, whether the peer takes what waits for it or not."""

    linger_seconds = 2.0
    stop_seconds = 0.5
    _cut: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Bound what waits for the peer."""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=_WRITE_BYTES)
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        if self._cut is not None:
            self._cut.cancel()
        super().connection_lost(exc)

    async def send(self, message: ASGISendEvent) -> None:
        """Send a message; the last word does not wait for the peer to take what came before."""
        if message["type"] == "websocket.close":
            self.writable.set()
            self._cut_in(self.linger_seconds)
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            # To refuse completes a handshake too; uvicorn would log as an error of ours that it did not come to that.
            self.handshake_complete = True

    def shutdown(self) -> None:
        """Say that the service restarts, and close."""
        super().shutdown()
        self._cut_in(self.stop_seconds)

    def keepalive_timeout(self) -> None:
        """Close the connection of a peer that has not answered a ping."""
        super().keepalive_timeout()
        self.transport.abort()

    async def run_asgi(self) -> None:
        """Serve the connection; when that ends, so does it."""
        await super().run_asgi()
        self._cut_in(self.linger_seconds)

    def _cut_in(self, seconds: float) -> None:
        if self._cut is None and not self.disconnected:
            self._cut = self.loop.call_later(seconds, self.transport.abort)
