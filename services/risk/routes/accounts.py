"""Routes of accounts, their limits, orders, fills and days."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from services.risk import handlers
from services.risk.dependencies import AccountPath, EngineDep, OfficerDep, OperatorDep, OrderPath, ReaderDep, TraderDep
from shared.pagination import DEFAULT_LIMIT, BadCursor, PageLimit
from shared.problems import Conflict, NotFound, declare
from shared.schemas.accounts import AccountCreate, AccountStatus, DayRoll
from shared.schemas.base import Identifier, Page
from shared.schemas.decisions import Decision
from shared.schemas.limits import LimitsUpdate, LimitsView
from shared.schemas.orders import Fill, FillResult, Order, OrderClose, OrderStatus, OrderView

router = APIRouter(prefix="/accounts", tags=["accounts"])
_CHANGED = declare(NotFound, Conflict)


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


@router.get("/{account_id}/limits", responses=declare(NotFound))
async def get_limits(account_id: AccountPath, engine: EngineDep, _: ReaderDep) -> LimitsView:
    """Return the limits in force: who set them, when and why."""
    return await handlers.get_limits(engine, account_id)


@router.put("/{account_id}/limits", responses=declare(NotFound))
async def set_limits(
    account_id: AccountPath, update: LimitsUpdate, engine: EngineDep, caller: OfficerDep
) -> LimitsView:
    """Put new limits in force, from the next order on."""
    return await handlers.set_limits(engine, account_id, update, caller)


@router.post("/{account_id}/orders", responses=_CHANGED)
async def place_order(account_id: AccountPath, order: Order, engine: EngineDep, caller: TraderDep) -> Decision:
    """Ask whether an order may go out.

    A denial is an answer with 200 and reasons. The same order again gets the stored decision; another under the
    same client_order_id is 409. What is answered is in the journal.
    """
    return await handlers.place_order(engine, account_id, order, caller)


@router.get("/{account_id}/orders/{client_order_id}", responses=declare(NotFound))
async def get_decision(
    account_id: AccountPath, client_order_id: OrderPath, engine: EngineDep, _: ReaderDep
) -> Decision:
    """Return the decision on an order, as it was answered."""
    return await handlers.get_decision(engine, account_id, client_order_id)


@router.post("/{account_id}/orders/{client_order_id}/cancel", responses=_CHANGED)
async def cancel_order(
    account_id: AccountPath, client_order_id: OrderPath, request: OrderClose, engine: EngineDep, caller: TraderDep
) -> OrderView:
    """Report that an order was cancelled; what it reserved is free."""
    return await handlers.close_order(engine, account_id, client_order_id, OrderStatus.CANCELLED, request, caller)


@router.post("/{account_id}/orders/{client_order_id}/reject", responses=_CHANGED)
async def reject_order(
    account_id: AccountPath, client_order_id: OrderPath, request: OrderClose, engine: EngineDep, caller: TraderDep
) -> OrderView:
    """Report that the venue rejected an order; what it reserved is free."""
    return await handlers.close_order(engine, account_id, client_order_id, OrderStatus.REJECTED, request, caller)


@router.post("/{account_id}/orders/{client_order_id}/expire", responses=_CHANGED)
async def expire_order(
    account_id: AccountPath, client_order_id: OrderPath, request: OrderClose, engine: EngineDep, caller: TraderDep
) -> OrderView:
    """Report that an order expired; what it reserved is free."""
    return await handlers.close_order(engine, account_id, client_order_id, OrderStatus.EXPIRED, request, caller)


@router.post("/{account_id}/fills", responses=_CHANGED)
async def apply_fill(account_id: AccountPath, fill: Fill, engine: EngineDep, caller: TraderDep) -> FillResult:
    """Report an execution. The same trade_id again changes nothing; another fill under it is 409."""
    return await handlers.apply_fill(engine, account_id, fill, caller)


@router.post("/{account_id}/day-roll", responses=_CHANGED)
async def roll_day(account_id: AccountPath, request: DayRoll, engine: EngineDep, caller: OperatorDep) -> AccountStatus:
    """Close the trading day and start the next. The same roll again changes nothing; one backwards is 409."""
    return await handlers.roll_day(engine, account_id, request, caller)
