"""Routes of the journal."""

from typing import Annotated

from fastapi import APIRouter, Query

from services.risk.dependencies import ReaderDep
from services.risk.handlers import journal as handlers
from shared.dependencies import ResourcesDep, SessionDep
from shared.schemas.journal import EventKind, JournalPage, JournalVerification

router = APIRouter(prefix="/journal", tags=["journal"])


@router.get("")
async def read_journal(
    session: SessionDep,
    _: ReaderDep,
    after: Annotated[int, Query(ge=0, lt=2**63, description="Rows after this sequence number.")] = 0,
    limit: Annotated[int, Query(ge=1, le=5000, description="Most rows of one page.")] = 1000,
    kind: Annotated[tuple[EventKind, ...], Query(description="Only these kinds.")] = (),
) -> JournalPage:
    """Read durable rows, oldest first."""
    return await handlers.read_journal(session, after, limit, kind)


@router.get("/verify")
async def verify_journal(shared: ResourcesDep, _: ReaderDep) -> JournalVerification:
    """Follow the whole hash chain; name the first row that was altered, or is missing."""
    return await handlers.verify_journal(shared.database)
