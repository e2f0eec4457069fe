"""Routes of orders and executions."""

from fastapi import APIRouter

from services.risk.dependencies import AccountPath, EngineDep, OrderPath, ReaderDep, TraderDep
from services.risk.handlers import journal
from services.risk.handlers import orders as handlers
from shared.dependencies import ResourcesDep
from shared.pagination import DEFAULT_LIMIT, BadCursor, PageLimit
from shared.problems import Conflict, NotFound, declare
from shared.schemas.accounts import Explanation
from shared.schemas.base import Page
from shared.schemas.decisions import Decision, DecisionContent
from shared.schemas.orders import (
    Fill,
    FillResult,
    Order,
    OrderBatch,
    OrderBatchResult,
    OrderClose,
    OrderReplace,
    OrderStatus,
    OrderView,
    ReplaceAcknowledgement,
)

router = APIRouter(prefix="/accounts/{account_id}", tags=["orders"])
_CHANGED = declare(NotFound, Conflict)


@router.post("/orders", responses=_CHANGED)
async def place_order(account_id: AccountPath, order: Order, engine: EngineDep, caller: TraderDep) -> Decision:
    """Ask whether an order may go out.

    A denial is an answer with 200 and reasons. The same order again gets the stored decision; another under the
    same client_order_id is 409. What is answered is in the journal.
    """
    return (await handlers.place_order(engine, account_id, order, caller)).model()


@router.post("/orders/check", responses=declare(NotFound))
async def check_order(account_id: AccountPath, order: Order, engine: EngineDep, _: TraderDep) -> DecisionContent:
    """Return what would be decided on an order now. Nothing is reserved and nothing is kept."""
    return await handlers.check_order(engine, account_id, order)


@router.post("/orders/batch", responses=_CHANGED)
async def place_orders(
    account_id: AccountPath, batch: OrderBatch, engine: EngineDep, caller: TraderDep
) -> OrderBatchResult:
    """Ask for up to 500 orders in their sequence: each by itself, or all or none."""
    return (await handlers.place_orders(engine, account_id, batch, caller)).model()


@router.get("/orders", responses=declare(NotFound, BadCursor))
async def list_orders(
    account_id: AccountPath,
    engine: EngineDep,
    _: ReaderDep,
    cursor: str | None = None,
    limit: PageLimit = DEFAULT_LIMIT,
) -> Page[OrderView]:
    """List the open orders, the oldest first."""
    return await handlers.list_orders(engine, account_id, cursor, limit)


@router.get("/orders/{client_order_id}", responses=declare(NotFound))
async def get_decision(
    account_id: AccountPath, client_order_id: OrderPath, engine: EngineDep, _: ReaderDep
) -> Decision:
    """Return the decision on an order, as it is answered now: one that a kill switch took back is denied."""
    return await handlers.get_decision(engine, account_id, client_order_id)


@router.put("/orders/{client_order_id}", responses=_CHANGED)
async def replace_order(
    account_id: AccountPath, client_order_id: OrderPath, request: OrderReplace, engine: EngineDep, caller: TraderDep
) -> Decision:
    """Ask whether an open order may be changed; the larger of old and new is held until it is acknowledged."""
    return await handlers.replace_order(engine, account_id, client_order_id, request, caller)


@router.post("/orders/{client_order_id}/acknowledge", responses=_CHANGED)
async def acknowledge_replace(
    account_id: AccountPath,
    client_order_id: OrderPath,
    request: ReplaceAcknowledgement,
    engine: EngineDep,
    caller: TraderDep,
) -> OrderView:
    """Report whether the venue took a replacement."""
    return await handlers.acknowledge_replace(engine, account_id, client_order_id, request, caller)


@router.post("/orders/{client_order_id}/cancel", responses=_CHANGED)
async def cancel_order(
    account_id: AccountPath, client_order_id: OrderPath, request: OrderClose, engine: EngineDep, caller: TraderDep
) -> OrderView:
    """Report that an order was cancelled; what it reserved is free."""
    return await handlers.close_order(engine, account_id, client_order_id, OrderStatus.CANCELLED, request, caller)


@router.post("/orders/{client_order_id}/reject", responses=_CHANGED)
async def reject_order(
    account_id: AccountPath, client_order_id: OrderPath, request: OrderClose, engine: EngineDep, caller: TraderDep
) -> OrderView:
    """Report that the venue rejected an order; what it reserved is free."""
    return await handlers.close_order(engine, account_id, client_order_id, OrderStatus.REJECTED, request, caller)


@router.post("/orders/{client_order_id}/expire", responses=_CHANGED)
async def expire_order(
    account_id: AccountPath, client_order_id: OrderPath, request: OrderClose, engine: EngineDep, caller: TraderDep
) -> OrderView:
    """Report that an order expired; what it reserved is free."""
    return await handlers.close_order(engine, account_id, client_order_id, OrderStatus.EXPIRED, request, caller)


@router.post("/fills", responses=_CHANGED)
async def apply_fill(account_id: AccountPath, fill: Fill, engine: EngineDep, caller: TraderDep) -> FillResult:
    """Report an execution. The same trade_id again changes nothing; another fill under it is 409.

    What the venue executed is booked even where it is more than was left of the order: `overfilled_quantity` says by
    how much.
    """
    return await handlers.apply_fill(engine, account_id, fill, caller)


@router.get("/decisions/{client_order_id}/explain", responses=declare(NotFound))
async def explain_decision(
    account_id: AccountPath, client_order_id: OrderPath, shared: ResourcesDep, engine: EngineDep, _: ReaderDep
) -> Explanation:
    """Rebuild the state a decision was made on, and show every check: its limit, its value, its utilisation."""
    return await journal.explain_decision(shared.database, engine.restore, account_id, client_order_id)
