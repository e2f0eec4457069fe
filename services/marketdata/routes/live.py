"""Routes of live marks."""

from typing import Annotated

from fastapi import APIRouter, Path, WebSocket

from services.marketdata.dependencies import LiveDep, ReaderDep, SimulationQuery, SocketReaderDep, SymbolsDep
from services.marketdata.handlers import live as handlers
from shared.problems import NotFound, declare
from shared.schemas.base import Symbol
from shared.schemas.live_marks import (
    GapMessage,
    HeartbeatMessage,
    LatestMark,
    LatestMarks,
    MarkUpdate,
    SnapshotMessage,
)

router = APIRouter(tags=["live"])
# Sent over the WebSocket; OpenAPI has no routes of that kind.
MESSAGES = (SnapshotMessage, MarkUpdate, GapMessage, HeartbeatMessage)


@router.get("/marks")
async def latest_marks(
    live: LiveDep, _: ReaderDep, symbols: SymbolsDep, simulation_id: SimulationQuery = None
) -> LatestMarks:
    """Return the latest mark of each symbol; one that is critical says so, and is not to be used."""
    return await handlers.latest_marks(live, simulation_id or "", symbols)


@router.get("/marks/{symbol:path}", responses=declare(NotFound))
async def latest_mark(
    symbol: Annotated[Symbol, Path(description="The instrument.")],
    live: LiveDep,
    _: ReaderDep,
    simulation_id: SimulationQuery = None,
) -> LatestMark:
    """Return the latest mark of a symbol; one that is critical says so, and is not to be used."""
    return await handlers.latest_mark(live, simulation_id or "", symbol)


@router.websocket("/stream")
async def stream_marks(
    socket: WebSocket,
    caller: SocketReaderDep,
    live: LiveDep,
    symbols: SymbolsDep,
    simulation_id: SimulationQuery = None,
) -> None:
    """Stream the latest marks of symbols and their changes over a WebSocket; a slow reader gets only the latest."""
    await handlers.stream(live, socket, caller, simulation_id or "", symbols)
