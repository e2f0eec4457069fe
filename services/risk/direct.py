"""The routes that every order takes, answered directly."""

from services.risk.engine import Engine
from services.risk.handlers import orders as handlers
from services.risk.sharding import require_own
from shared.auth import Principal, Role
from shared.direct import Direct
from shared.schemas.orders import Order, OrderBatch

_ORDERS = "/api/v1/risk/accounts/{account_id}/orders"
_TRADERS = frozenset({Role.TRADER, Role.SERVICE})


def direct_routes(engine: Engine) -> list[Direct]:
    """Return what is answered directly: orders, batches of them, and what-ifs."""

    def own(path: dict[str, str]) -> str:
        account_id = path["account_id"]
        require_own(engine.shard, account_id)
        return account_id

    async def place(path: dict[str, str], order: Order, caller: Principal) -> str:
        return (await handlers.place_order(engine, own(path), order, caller)).text()

    async def place_all(path: dict[str, str], batch: OrderBatch, caller: Principal) -> str:
        return (await handlers.place_orders(engine, own(path), batch, caller)).text()

    async def check(path: dict[str, str], order: Order, _: Principal) -> str:
        return (await handlers.check_order(engine, own(path), order)).model_dump_json()

    return [
        Direct(_ORDERS, Order, _TRADERS, place),
        Direct(f"{_ORDERS}/batch", OrderBatch, _TRADERS, place_all),
        Direct(f"{_ORDERS}/check", Order, _TRADERS, check),
    ]
