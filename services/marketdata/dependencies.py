"""What marketdata's routes ask for by annotation."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Query, Request
from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata.publisher import Publisher
from shared.auth import ANY_ROLE, Principal, Role, require
from shared.dependencies import ResourcesDep
from shared.schemas.base import Identifier, Symbol, UtcDatetime


async def _ingest_session(request: Request, shared: ResourcesDep) -> AsyncIterator[AsyncSession]:
    publisher: Publisher = request.app.state.publisher
    async with shared.database.session() as session:
        yield session
    # Only what is committed can be found and sent.
    publisher.wake()


IngestSessionDep = Annotated[AsyncSession, Depends(_ingest_session, scope="function")]
FeederDep = Annotated[Principal, Depends(require(Role.SERVICE))]
ReaderDep = Annotated[Principal, Depends(require(*ANY_ROLE))]

SymbolQuery = Annotated[Symbol, Query(description="The instrument.")]
SimulationQuery = Annotated[Identifier | None, Query(description="Of a simulation; live data by default.")]
StartQuery = Annotated[UtcDatetime | None, Query(description="From this moment on.")]
EndQuery = Annotated[UtcDatetime | None, Query(description="Until before this moment.")]
