"""Pass WebSockets on: each message as it comes, none before the one before it was taken."""

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.frames import CloseCode
from websockets.typing import Subprotocol

from gateway.callers import CallerGone
from shared.problems import BadRequest, DependencyUnavailable
from shared.tasks import stop

Headers = Sequence[tuple[bytes, bytes]]
# Of the handshake alone; each side makes its own.
_OF_HANDSHAKE = b"sec-websocket-"
_OPEN_SECONDS = 10.0
_CLOSE_SECONDS = 1.0
_CONNECT_SECONDS = 2.0
# So little of what the service sends waits here: it must see for itself how slow its reader is.
_FRAMES = 4
_KERNEL_BYTES = 64 * 1024
_MOST_BYTES = 1024 * 1024
# Codes that stand for none, or that nobody may send (RFC 6455, 7.4.1).
_UNSENDABLE = frozenset({1004, 1005, 1006, 1015})


class Sockets:
    """Connect callers' WebSockets with a service's, so many at once."""

    def __init__(self, most: int, send_seconds: float) -> None:
        self._most = most
        self._send_seconds = send_seconds
        self._number = 0

    async def relay(
        self, name: str, url: str, headers: Headers, answer: Headers, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Pass one WebSocket on to a service's URL until either side closes it.

        `headers` go to the service, `answer` to the caller. Raises DependencyUnavailable and BadRequest before the
        handshake, and CallerGone.
        """
        if self._number >= self._most:
            raise DependencyUnavailable(f"All {self._most} streams to {name} are in use", headers={"Retry-After": "1"})
        self._number += 1
        try:
            await self._relay(name, url, headers, answer, scope, receive, send)
        finally:
            self._number -= 1

    async def _relay(
        self, name: str, url: str, headers: Headers, answer: Headers, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if (await receive())["type"] != "websocket.connect":
            raise CallerGone
        try:
            upstream = await _opened(url, headers, scope["subprotocols"])
        except InvalidStatus as refusal:
            await _refused(refusal, answer)(scope, receive, send)
            return
        except InvalidMessage:
            raise DependencyUnavailable(f"{name} does not answer", headers={"Retry-After": "1"}) from None
        except (InvalidHandshake, ValueError) as error:
            raise BadRequest(f"The WebSocket cannot be passed on: {error}") from None
        except OSError:  # and TimeoutError, which is one
            raise DependencyUnavailable(f"{name} does not answer", headers={"Retry-After": "1"}) from None
        try:
            subprotocol = upstream.subprotocol
            await self._tell(send, {"type": "websocket.accept", "subprotocol": subprotocol, "headers": list(answer)})
            last = await self._pump(upstream, receive, send)
            if last is not None:
                await self._tell(send, last)
        except (OSError, TimeoutError):
            raise CallerGone from None
        finally:
            await upstream.close()

    async def _pump(self, upstream: ClientConnection, receive: Receive, send: Send) -> Message | None:
        """Pass messages on both ways; return what is the last word to the caller, None where it has left."""
        ways = [asyncio.create_task(self._down(upstream, send)), asyncio.create_task(_up(upstream, receive))]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            return next(iter(done)).result()
        finally:
            for way in ways:
                if not way.done():
                    await stop(way)

    async def _down(self, upstream: ClientConnection, send: Send) -> Message | None:
        try:
            while True:
                said = await upstream.recv()
                kind = "text" if isinstance(said, str) else "bytes"
                await self._tell(send, {"type": "websocket.send", kind: said})
        except ConnectionClosed as closed:
            code, reason = (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (CloseCode.BAD_GATEWAY, "")
            return _last(code, reason)
        except TimeoutError:
            return _last(CloseCode.TRY_AGAIN_LATER, "What was sent was not taken in time; come again")

    async def _tell(self, send: Send, message: Message) -> None:
        async with asyncio.timeout(self._send_seconds):
            await send(message)


async def _up(upstream: ClientConnection, receive: Receive) -> Message | None:
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            code = message.get("code") or CloseCode.NORMAL_CLOSURE
            await upstream.close(CloseCode.GOING_AWAY if code in _UNSENDABLE else code, message.get("reason") or "")
            return None
        said: Any = message["text"] if message.get("text") is not None else message["bytes"]
        try:
            await upstream.send(said)
        except ConnectionClosed:
            # Why, the other way has read.
            await asyncio.Event().wait()


async def _opened(url: str, headers: Headers, subprotocols: Sequence[str]) -> ClientConnection:
    return await connect(
        url,
        additional_headers=[
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in headers
            if not name.lower().startswith(_OF_HANDSHAKE)
        ],
        subprotocols=[Subprotocol(each) for each in subprotocols] or None,
        user_agent_header=None,
        compression=None,
        proxy=None,
        open_timeout=_OPEN_SECONDS,
        close_timeout=_CLOSE_SECONDS,
        max_size=_MOST_BYTES,
        max_queue=_FRAMES,
        create_connection=_Bounded,
    )


class _Bounded(ClientConnection):
    """A connection for which little waits in the kernel."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _KERNEL_BYTES)


def _refused(refusal: InvalidStatus, answer: Headers) -> Response:
    response = Response(bytes(refusal.response.body), refusal.response.status_code)
    named = {name.decode("latin-1").lower() for name, _ in answer}
    kept = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in refusal.response.headers.raw_items()
        if name.lower() in {"content-type", "retry-after", "www-authenticate"} and name.lower() not in named
    ]
    response.raw_headers = [*kept, *answer, (b"content-length", str(len(response.body)).encode())]
    return response


def _last(code: int, reason: str) -> Message:
    sent = CloseCode.NORMAL_CLOSURE if code in _UNSENDABLE else code
    return {"type": "websocket.close", "code": int(sent), "reason": reason}
