"""Routes of accounts: their limits, cash, days, breakers and reconciliation."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from services.risk.dependencies import AccountPath, AdminDep, EngineDep, OfficerDep, OperatorDep, ReaderDep
from services.risk.handlers import accounts as handlers
from shared.pagination import DEFAULT_LIMIT, BadCursor, PageLimit
from shared.problems import Conflict, NotFound, declare
from shared.schemas.accounts import (
    AccountCreate,
    AccountStatus,
    CashMovement,
    DayRoll,
    HighWaterMarkResult,
    HighWaterMarkUpdate,
    LiquidationPlan,
    Reconciliation,
    ReconciliationResult,
)
from shared.schemas.base import Identifier, Page
from shared.schemas.breakers import BreakerReset, BreakerResetResult
from shared.schemas.limits import LimitsRollback, LimitsUpdate, LimitsView

router = APIRouter(prefix="/accounts", tags=["accounts"])
_CHANGED = declare(NotFound, Conflict)
BreakerPath = Annotated[
    str,
    Path(
        pattern=r"^(var|drawdown|daily_loss|leverage|concentration|repeated_execution:[A-Za-z0-9._:\-]{1,64})$",
        description="A breaker, or `repeated_execution:` and the strategy the throttle disabled.",
    ),
]


@router.post(
    "",
    status_code=201,
    responses={200: {"description": "It was opened before, with the same values."}, **declare(Conflict)},
)
async def open_account(
    request: AccountCreate, response: Response, engine: EngineDep, caller: OperatorDep
) -> AccountStatus:
    """Open an account. The same request again changes nothing; another under the same id is 409."""
    account, new = await handlers.open_account(engine, request, caller)
    response.status_code = 201 if new else 200
    return account


@router.get("", responses=declare(BadCursor))
async def list_accounts(
    engine: EngineDep,
    _: ReaderDep,
    simulation_id: Annotated[Identifier | None, Query(description="Only those of a simulation.")] = None,
    cursor: str | None = None,
    limit: PageLimit = DEFAULT_LIMIT,
) -> Page[AccountStatus]:
    """List accounts, the newest first."""
    return await handlers.list_accounts(engine, simulation_id, cursor, limit)


@router.get("/{account_id}", responses=declare(NotFound))
async def get_account(account_id: AccountPath, engine: EngineDep, _: ReaderDep) -> AccountStatus:
    """Return an account as the engine holds it now."""
    return await handlers.get_account(engine, account_id)


@router.get("/{account_id}/status", responses=declare(NotFound))
async def get_status(account_id: AccountPath, engine: EngineDep, _: ReaderDep) -> AccountStatus:
    """Return how an account stands: level and why, equity, exposures, VaR and ES, breakers, use of every limit."""
    return await handlers.get_status(engine, account_id)


@router.get("/{account_id}/liquidation-plan", responses=declare(NotFound))
async def get_liquidation_plan(account_id: AccountPath, engine: EngineDep, _: ReaderDep) -> LiquidationPlan:
    """Return the orders that would close every position; in BLACK nothing else but cancels passes."""
    return await handlers.get_liquidation_plan(engine, account_id)


@router.get("/{account_id}/limits", responses=declare(NotFound))
async def get_limits(account_id: AccountPath, engine: EngineDep, _: ReaderDep) -> LimitsView:
    """Return the limits in force: who set them, when and why."""
    return await handlers.get_limits(engine, account_id)


@router.put("/{account_id}/limits", responses=declare(NotFound))
async def set_limits(
    account_id: AccountPath, update: LimitsUpdate, engine: EngineDep, caller: OfficerDep
) -> LimitsView:
    """Put new limits in force, from the next order on.

    The profile is replaced whole: a limit that is left out goes back to its default. The answer names under `changed`
    every limit that is not what it was; to change one alone, send back what `GET` gave with that one altered.
    """
    return await handlers.set_limits(engine, account_id, update, caller)


@router.get("/{account_id}/limits/history", responses=declare(NotFound, BadCursor))
async def list_limits(
    account_id: AccountPath,
    engine: EngineDep,
    _: ReaderDep,
    cursor: str | None = None,
    limit: PageLimit = DEFAULT_LIMIT,
) -> Page[LimitsView]:
    """List every version of the limits, the newest first."""
    return await handlers.list_limits(engine, account_id, cursor, limit)


@router.post("/{account_id}/limits/rollback", responses=declare(NotFound))
async def roll_back_limits(
    account_id: AccountPath, request: LimitsRollback, engine: EngineDep, caller: OfficerDep
) -> LimitsView:
    """Put an earlier version of the limits in force again; it becomes a new version."""
    return await handlers.roll_back_limits(engine, account_id, request, caller)


@router.post("/{account_id}/cash", responses=_CHANGED)
async def move_cash(
    account_id: AccountPath, request: CashMovement, engine: EngineDep, caller: OperatorDep
) -> AccountStatus:
    """Pay in, or out. The same movement again changes nothing; another under its id is 409."""
    return await handlers.move_cash(engine, account_id, request, caller)


@router.put("/{account_id}/high-water-mark", responses=_CHANGED)
async def set_high_water_mark(
    account_id: AccountPath, request: HighWaterMarkUpdate, engine: EngineDep, caller: AdminDep
) -> HighWaterMarkResult:
    """Correct a high-water mark, such as one a wrong price raised. One below the account's equity is 409.

    Releases, day rolls and resets never change it: only this, cash movements and adopted reconciliations do, and a
    higher equity raises it. A drawdown switch that was pulled stays in force until it is released.
    """
    return await handlers.set_high_water_mark(engine, account_id, request, caller)


@router.post("/{account_id}/day-roll", responses=_CHANGED)
async def roll_day(account_id: AccountPath, request: DayRoll, engine: EngineDep, caller: OperatorDep) -> AccountStatus:
    """Close the trading day and start the next. The same roll again changes nothing; one backwards is 409.

    A live account is not rolled further than ten days from today: a roll cannot be undone.
    """
    return await handlers.roll_day(engine, account_id, request, caller)


@router.post("/{account_id}/circuit-breakers/{name}/reset", responses=_CHANGED)
async def reset_breaker(
    account_id: AccountPath, name: BreakerPath, request: BreakerReset, engine: EngineDep, caller: OfficerDep
) -> BreakerResetResult:
    """Reset a breaker: reductions only at first. Refused with 409 while its condition holds."""
    return await handlers.reset_breaker(engine, account_id, name, request, caller)


@router.post("/{account_id}/reconcile", responses=_CHANGED)
async def reconcile(
    account_id: AccountPath, request: Reconciliation, engine: EngineDep, caller: OperatorDep
) -> ReconciliationResult:
    """Compare positions and cash with the broker's; an admin may adopt them by a journaled adjustment."""
    return await handlers.reconcile(engine, account_id, request, caller)
