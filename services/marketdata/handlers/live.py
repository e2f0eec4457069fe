"""The latest marks, and the stream of their changes."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import WebSocket

from services.marketdata.live.hub import Hub
from services.marketdata.live.latest import LatestMarks
from services.marketdata.live.session import Pace, Session
from shared.clock import Clock
from shared.problems import NotFound
from shared.schemas import live_marks
from shared.socket_auth import SocketCaller


@dataclass(frozen=True)
class Live:
    """What the live marks of a process are made of; `most_symbols` is what one question or stream may name."""

    hub: Hub
    latest: LatestMarks
    clock: Clock
    pace: Pace
    most_symbols: int


async def latest_marks(live: Live, scope: str, symbols: Sequence[str]) -> live_marks.LatestMarks:
    """Return the latest mark of each symbol that has one."""
    found = await live.latest.get(scope, symbols)
    named = {mark.symbol for mark in found}
    return live_marks.LatestMarks(items=found, unknown=[symbol for symbol in symbols if symbol not in named])


async def latest_mark(live: Live, scope: str, symbol: str) -> live_marks.LatestMark:
    """Return the latest mark of a symbol. Raises NotFound."""
    found = await live.latest.get(scope, [symbol])
    if not found:
        raise NotFound(f"there is no mark of {symbol}")
    return found[0]


async def stream(live: Live, socket: WebSocket, caller: SocketCaller, scope: str, symbols: Sequence[str]) -> None:
    """Send marks until either side ends it. Raises DependencyUnavailable before anything is sent."""
    # What is published while the snapshot is read waits behind it.
    with live.hub.subscribe(scope, symbols) as subscription:
        snapshot = await live.latest.get(scope, symbols)
        await socket.accept(caller.subprotocol)
        session = Session(socket, subscription, live.hub, live.latest, live.clock, live.pace)
        await session.run(snapshot, caller.again)
