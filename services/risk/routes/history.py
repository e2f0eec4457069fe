"""Routes of the history of accounts."""

from typing import Annotated

from fastapi import APIRouter, Query

from services.risk.dependencies import AccountPath, ReaderDep
from services.risk.handlers import history as handlers
from shared.dependencies import SessionDep
from shared.pagination import DEFAULT_LIMIT, BadCursor, PageLimit
from shared.problems import NotFound, declare
from shared.schemas.base import Page, UtcDatetime
from shared.schemas.history import PortfolioPoint, RiskPoint

router = APIRouter(prefix="/accounts", tags=["history"])
_FAULTS = declare(NotFound, BadCursor)
StartQuery = Annotated[UtcDatetime | None, Query(description="From this moment on.")]
EndQuery = Annotated[UtcDatetime | None, Query(description="Until before this moment.")]


@router.get("/{account_id}/history", responses=_FAULTS)
async def list_portfolios(
    account_id: AccountPath,
    session: SessionDep,
    _: ReaderDep,
    start: StartQuery = None,
    end: EndQuery = None,
    cursor: str | None = None,
    limit: PageLimit = DEFAULT_LIMIT,
) -> Page[PortfolioPoint]:
    """List what an account held and was worth, oldest first: every minute, and at every change of its level."""
    return await handlers.list_portfolios(session, account_id, (start, end), cursor, limit)


@router.get("/{account_id}/risk-history", responses=_FAULTS)
async def list_risks(
    account_id: AccountPath,
    session: SessionDep,
    _: ReaderDep,
    start: StartQuery = None,
    end: EndQuery = None,
    cursor: str | None = None,
    limit: PageLimit = DEFAULT_LIMIT,
) -> Page[RiskPoint]:
    """List how an account stood against its limits, oldest first: every minute, and at every change of its level."""
    return await handlers.list_risks(session, account_id, (start, end), cursor, limit)
