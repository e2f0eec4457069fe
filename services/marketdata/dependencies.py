"""What marketdata's routes ask for by annotation."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Query, Request
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import HTTPConnection

from services.marketdata.backfills import Backfills
from services.marketdata.feeds.manager import Manager
from services.marketdata.handlers.live import Live
from services.marketdata.publisher import Publisher
from services.marketdata.roll_ups import RollUps
from services.marketdata.store import Partitions
from shared.auth import ANY_ROLE, Principal, Role, require
from shared.dependencies import ResourcesDep
from shared.problems import Unprocessable
from shared.schemas.base import Identifier, Symbol, UtcDatetime
from shared.socket_auth import SocketCaller, require_socket

_SYMBOL = TypeAdapter(Symbol)
_MOST_ERRORS = 20


async def _ingest_session(request: Request, shared: ResourcesDep) -> AsyncIterator[AsyncSession]:
    publisher: Publisher = request.app.state.publisher
    async with shared.database.session() as session:
        yield session
    # Only what is committed can be found and worked on.
    publisher.wake()


async def _partitions(request: Request) -> Partitions:
    found: Partitions = request.app.state.partitions
    return found


async def _roll_ups(request: Request) -> RollUps:
    found: RollUps = request.app.state.roll_ups
    return found


async def _backfills_session(request: Request, shared: ResourcesDep) -> AsyncIterator[AsyncSession]:
    backfills: Backfills = request.app.state.backfills
    async with shared.database.session() as session:
        yield session
    backfills.wake()


async def _sources(request: Request) -> Manager:
    found: Manager = request.app.state.sources
    return found


BackfillsDep = Annotated[AsyncSession, Depends(_backfills_session, scope="function")]
SourcesDep = Annotated[Manager, Depends(_sources)]
OperatorDep = Annotated[Principal, Depends(require(Role.RISK_OFFICER, Role.ADMIN, Role.SERVICE))]


async def _live(request: HTTPConnection) -> Live:
    found: Live = request.app.state.live
    return found


LiveDep = Annotated[Live, Depends(_live)]


async def _symbols(
    live: LiveDep, symbols: Annotated[str, Query(description="Instruments, separated by commas.", max_length=50_000)]
) -> list[str]:
    """Return symbols, each once, in their order. Raises Unprocessable."""
    named = list(dict.fromkeys(symbols.split(",")))
    errors = [
        {"location": "query.symbols", "message": f"{name[:50]!r} is not a symbol", "code": "symbol"}
        for name in named
        if not _is_symbol(name)
    ]
    if len(named) > live.most_symbols:
        message = f"At most {live.most_symbols} (TRADING_MARKETDATA_STREAM_SYMBOLS)"
        errors = [{"location": "query.symbols", "message": message, "code": "too_long"}]
    if errors:
        raise Unprocessable("The symbols cannot be looked for", errors=errors[:_MOST_ERRORS])
    return named


def _is_symbol(name: str) -> bool:
    try:
        _SYMBOL.validate_python(name)
    except ValidationError:
        return False
    return True


SymbolsDep = Annotated[list[str], Depends(_symbols)]
SocketReaderDep = Annotated[SocketCaller, Depends(require_socket(*ANY_ROLE))]
IngestSessionDep = Annotated[AsyncSession, Depends(_ingest_session, scope="function")]
PartitionsDep = Annotated[Partitions, Depends(_partitions)]
RollUpsDep = Annotated[RollUps, Depends(_roll_ups)]
FeederDep = Annotated[Principal, Depends(require(Role.SERVICE))]
OfficerDep = Annotated[Principal, Depends(require(Role.RISK_OFFICER, Role.ADMIN))]
ReaderDep = Annotated[Principal, Depends(require(*ANY_ROLE))]

SymbolQuery = Annotated[Symbol, Query(description="The instrument.")]
SimulationQuery = Annotated[Identifier | None, Query(description="Of a simulation; live data by default.")]
SourceQuery = Annotated[Identifier | None, Query(description="Of this source; of all by default.")]
StartQuery = Annotated[UtcDatetime | None, Query(description="From this moment on.")]
EndQuery = Annotated[UtcDatetime | None, Query(description="Until before this moment.")]
KnownAtQuery = Annotated[
    UtcDatetime | None, Query(description="As it was known at this moment: corrections that came later are left out.")
]
