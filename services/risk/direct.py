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

    async def place(path: dict[str, str], order: Order, caller: Principal) -> Decision:
        require_own(engine.shard, path["account_id"])
        return await handlers.place_order(engine, path["account_id"], order, caller)

    async def place_all(path: dict[str, str], batch: OrderBatch, caller: Principal) -> OrderBatchResult:
        require_own(engine.shard, path["account_id"])
        return await handlers.place_orders(engine, path["account_id"], batch, caller)

    async def check(path: dict[str, str], order: Order, _: Principal) -> DecisionContent:
        require_own(engine.shard, path["account_id"])
        return await handlers.check_order(engine, path["account_id"], order)

    return [
        Direct(_ORDERS, Order, Decision, _TRADERS, place),
        Direct(f"{_ORDERS}/batch", OrderBatch, OrderBatchResult, _TRADERS, place_all),
        Direct(f"{_ORDERS}/check", Order, DecisionContent, _TRADERS, check),
    ]
