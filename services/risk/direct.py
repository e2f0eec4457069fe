"""The routes that every order takes, answered directly."""

from services.risk.engine import Engine
from services.risk.handlers import orders as handlers
from services.risk.sharding import require_own
from shared.auth import Principal, Role
from shared.direct import Direct
from shared.schemas.decisions import Decision, DecisionContent
from shared.schemas.orders import Order, OrderBatch, OrderBatchResult

_ORDERS = "/api/v1/risk/accounts/{account_id}/orders"
_TRADERS = frozenset({Role.TRADER, Role.SERVICE})


def direct_routes(engine: Engine) -> list[Direct]:
    """Return what is answered directly: orders, batches of them, and what-ifs."""

    def own(path: dict[str, str]) -> str:
        account_id = path["account_id"]
        require_own(engine.shard, account_id)
        return account_id

    async def place(path: dict[str, str], order: Order, caller: Principal) -> Decision:
        return await handlers.place_order(engine, own(path), order, caller)

    async def place_all(path: dict[str, str], batch: OrderBatch, caller: Principal) -> OrderBatchResult:
        return await handlers.place_orders(engine, own(path), batch, caller)

    async def check(path: dict[str, str], order: Order, _: Principal) -> DecisionContent:
        return await handlers.check_order(engine, own(path), order)

    return [
        Direct(_ORDERS, Order, Decision, _TRADERS, place),
        Direct(f"{_ORDERS}/batch", OrderBatch, OrderBatchResult, _TRADERS, place_all),
        Direct(f"{_ORDERS}/check", Order, DecisionContent, _TRADERS, check),
    ]
