"""What an account's value at risk is made of, and whether it held."""

import asyncio
from datetime import date

from sqlalchemy.ext.asyncio import AsyncSession

from services.risk import store
from services.risk.core.tail_methods import tail_inputs, value_at_risk
from services.risk.core.var.result import Method
from services.risk.core.var_days import backtest_sessions
from services.risk.engine import Engine
from services.risk.handlers.asking import of_account
from services.risk.handlers.history import require_account
from shared.problems import Unprocessable
from shared.schemas.value_at_risk import ValueAtRisk, VarBacktest


async def get_value_at_risk(engine: Engine, account_id: str) -> ValueAtRisk:
    """Return VaR and ES by every method, and what each symbol adds to them. Raises Problem."""
    inputs = await of_account(engine, account_id, tail_inputs)
    now = engine.clock.now()
    # Off the engine's thread: a simulation takes milliseconds, and orders wait for nothing else.
    return await asyncio.to_thread(value_at_risk, inputs, now)


async def backtest(
    session: AsyncSession, account_id: str, method: Method, first: date | None, end: date | None
) -> VarBacktest:
    """Return whether the value at risk held in the closed sessions from one date until before another."""
    if first is not None and end is not None and end <= first:
        raise Unprocessable("The end must lie after the start")
    await require_account(session, account_id)
    return backtest_sessions(account_id, await store.session_ends(session, account_id, first, end), method, first)
