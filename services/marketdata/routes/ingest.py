"""Routes that take market data in."""

from fastapi import APIRouter

from services.marketdata import handlers
from services.marketdata.dependencies import FeederDep, IngestSessionDep
from shared.dependencies import ClockDep
from shared.schemas.marketdata import BarBatch, IngestResult, MarketStateBatch

router = APIRouter(tags=["ingest"])


@router.post("/bars")
async def ingest_bars(batch: BarBatch, session: IngestSessionDep, clock: ClockDep, _: FeederDep) -> IngestResult:
    """Judge and store bars. The same again changes nothing; a correction is stored as a new revision.

    A row that contradicts another of its batch is rejected with its index; the others are kept.
    """
    return await handlers.ingest_bars(session, batch, clock.now())


@router.post("/market-states")
async def ingest_states(
    batch: MarketStateBatch, session: IngestSessionDep, clock: ClockDep, _: FeederDep
) -> IngestResult:
    """Judge and store market states. The same again changes nothing. Each verdict carries the state's id."""
    return await handlers.ingest_states(session, batch, clock.now())
