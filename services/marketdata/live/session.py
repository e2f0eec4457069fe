"""One reader's connection: a snapshot, then changes, as fast as the reader takes them and no faster."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from pydantic import BaseModel
from redis.exceptions import RedisError
from starlette.websockets import WebSocket, WebSocketDisconnect

from services.marketdata.core.live.buffer import Change
from services.marketdata.live.hub import Hub, Subscription
from services.marketdata.live.latest import LatestMarks
from services.marketdata.metrics import STREAM_CLOSED, STREAM_MESSAGES
from shared.clock import Clock
from shared.database import UNAVAILABLE
from shared.problems import Forbidden, Unauthenticated
from shared.schemas.live_marks import GapMessage, HeartbeatMessage, LatestMark, LiveMark, SnapshotMessage
from shared.tasks import stop

# A snapshot that cannot be had is asked for again after so long.
_AGAIN_SECONDS = 1.0
# Who was let in may lose the right to read: a key that was taken back, a token that has run out.
_AUTHORISE_SECONDS = 30.0


class CloseCode(IntEnum):
    """Why a stream ends (RFC 6455, 7.4; those from 4000 on are ours, after HTTP's)."""

    UNSUPPORTED = 1003
    ERROR = 1011
    TRY_AGAIN = 1013
    UNAUTHENTICATED = 4401
    FORBIDDEN = 4403


@dataclass(frozen=True)
class Pace:
    """How long a message may take to be sent, and after how much silence a heartbeat is, in seconds."""

    send: float
    heartbeat: float


@dataclass(frozen=True)
class _End:
    why: str
    code: CloseCode | None = None
    reason: str = ""


class _Slow(Exception):
    """A message was not taken in time."""


class Session:
    """Send one reader its marks until either side ends it."""

    def __init__(
        self, socket: WebSocket, subscription: Subscription, hub: Hub, latest: LatestMarks, clock: Clock, pace: Pace
    ) -> None:
        self._socket = socket
        self._subscription = subscription
        self._hub = hub
        self._latest = latest
        self._clock = clock
        self._pace = pace

    async def run(self, snapshot: Sequence[LatestMark], authorise: Callable[[], Awaitable[object]]) -> None:
        """Send the snapshot and then what changes; `authorise` raises once the reader may read no longer."""
        work = [
            asyncio.create_task(each)
            for each in (self._send_all(snapshot), self._listen(), self._stay_authorised(authorise))
        ]
        end = _End("error", CloseCode.ERROR, "The stream failed; the log has the reason")
        try:
            done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            end = next(iter(done)).result()
        except asyncio.CancelledError:
            end = _End("stopped")
            raise
        finally:
            for task in work:
                if not task.done():
                    await stop(task)
            STREAM_CLOSED.labels(end.why).inc()
            if end.code is not None:
                await self._close(end.code, end.reason)

    async def _send_all(self, snapshot: Sequence[LatestMark]) -> _End:
        try:
            await self._send_snapshot(snapshot)
            while True:
                await self._send_next()
        except _Slow:
            seconds = f"{self._pace.send:g}"
            return _End("slow", CloseCode.TRY_AGAIN, f"A message was not taken within {seconds} seconds; come again")
        except WebSocketDisconnect:
            return _End("left")

    async def _send_next(self) -> None:
        subscription = self._subscription
        subscription.changed.clear()
        if subscription.gap is not None:
            gap, subscription.gap = subscription.gap, None
            await self._send("gap", GapMessage(reason=gap).model_dump_json())
            return
        if subscription.snapshot_due:
            await self._send_snapshot_again()
            return
        change = subscription.buffer.pop()
        if change is not None:
            # The mark is text already, and the same for all its readers.
            await self._send("mark", f'{{"type":"mark","skipped":{change.skipped},"mark":{change.text}}}')
            return
        try:
            async with asyncio.timeout(self._pace.heartbeat):
                await subscription.changed.wait()
        except TimeoutError:
            await self._send_heartbeat()

    async def _send_snapshot_again(self) -> None:
        subscription = self._subscription
        subscription.snapshot_due = False
        try:
            marks = await self._latest.get(subscription.scope, sorted(subscription.buffer.symbols))
        except (RedisError, *UNAVAILABLE):
            subscription.snapshot_due = True
            await self._send_heartbeat()
            await asyncio.sleep(_AGAIN_SECONDS)
            return
        await self._send_snapshot(marks)

    async def _send_snapshot(self, marks: Sequence[LatestMark]) -> None:
        buffer = self._subscription.buffer
        buffer.begin(_change(mark) for mark in marks)
        unknown = sorted(buffer.symbols - {mark.symbol for mark in marks})
        await self._send("snapshot", _text(SnapshotMessage(marks=list(marks), unknown=unknown)))

    async def _send_heartbeat(self) -> None:
        now, skipped = self._clock.now(), self._subscription.buffer.skipped
        await self._send("heartbeat", _text(HeartbeatMessage(ts=now, live=self._hub.live, skipped=skipped)))

    async def _send(self, kind: str, text: str) -> None:
        try:
            async with asyncio.timeout(self._pace.send):
                await self._socket.send_text(text)
        except TimeoutError:
            raise _Slow from None
        STREAM_MESSAGES.labels(kind).inc()

    async def _listen(self) -> _End:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            return _End("left")
        return _End("spoke", CloseCode.UNSUPPORTED, "This stream is only read; ask for other symbols with another one")

    async def _stay_authorised(self, authorise: Callable[[], Awaitable[object]]) -> _End:
        while True:
            await asyncio.sleep(_AUTHORISE_SECONDS)
            try:
                await authorise()
            except Unauthenticated as problem:
                return _End("unauthenticated", CloseCode.UNAUTHENTICATED, problem.detail)
            except Forbidden as problem:
                return _End("forbidden", CloseCode.FORBIDDEN, problem.detail)

    async def _close(self, code: CloseCode, reason: str) -> None:
        try:
            async with asyncio.timeout(_AGAIN_SECONDS):
                await self._socket.close(code, reason)
        except (TimeoutError, WebSocketDisconnect, RuntimeError):
            # It takes nothing, or has left meanwhile: the server cuts the connection.
            return


def _change(mark: LatestMark) -> Change:
    fields = mark.model_dump(exclude={"held_in"})
    return Change(mark.symbol, mark.ts_event, LiveMark(**fields).model_dump_json())


def _text(message: BaseModel) -> str:
    return message.model_dump_json()
