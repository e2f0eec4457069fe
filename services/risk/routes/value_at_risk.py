"""Routes of value at risk: its parts, and its backtest."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query

from services.risk.core.var.result import Method
from services.risk.dependencies import AccountPath, EngineDep, ReaderDep
from services.risk.handlers import value_at_risk as handlers
from shared.dependencies import SessionDep
from shared.problems import NotFound, declare
from shared.schemas.value_at_risk import ValueAtRisk, VarBacktest

router = APIRouter(prefix="/accounts", tags=["value at risk"])


@router.get("/{account_id}/var", responses=declare(NotFound))
async def get_value_at_risk(account_id: AccountPath, engine: EngineDep, _: ReaderDep) -> ValueAtRisk:
    """Return VaR and ES of the positions as they are by every method, and what each symbol adds to them."""
    return await handlers.get_value_at_risk(engine, account_id)


@router.get("/{account_id}/var-backtest", responses=declare(NotFound))
async def backtest_value_at_risk(
    account_id: AccountPath,
    session: SessionDep,
    _: ReaderDep,
    method: Annotated[Method, Query(description="The method whose forecasts are tested.")] = Method.HISTORICAL,
    start: Annotated[date | None, Query(description="From this session on.")] = None,
    end: Annotated[date | None, Query(description="Until before this session.")] = None,
) -> VarBacktest:
    """Test the forecasts at each session's end against the P&L of the next, over the closed sessions of the history."""
    return await handlers.backtest(session, account_id, method, start, end)
