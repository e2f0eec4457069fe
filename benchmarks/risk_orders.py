"""Where the time of an order goes: decided in memory, made durable, answered over HTTP.

Orders per second of each, in one run, as ratios to the first. `python -m benchmarks.risk_orders`
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal

import httpx
from fastapi import FastAPI

from benchmarks._servers import servers
from services.risk.core.bodies import Quote
from services.risk.core.commands import Command, OpenAccount, PlaceOrder, SetInstruments, SetMarks
from services.risk.core.outcome import Refused
from services.risk.core.state import FirmState
from services.risk.core.step import step
from services.risk.core.translate import order_terms
from services.risk.core.units import micros, units
from services.risk.engine import Engine
from services.risk.main import create
from services.risk.settings import RiskSettings
from shared.roles import Role
from shared.schemas.accounts import AccountCreate
from shared.schemas.instruments import AssetClass, Instrument
from shared.schemas.limits import Limits
from shared.schemas.orders import Order, Side

ORDERS = 2_000
AT_ONCE = 64
NOW = datetime.now(UTC)
STOCK = Instrument(symbol="X", currency="USD", asset_class=AssetClass.EQUITY, tick_size=Decimal("0.01"))
ACCOUNT = AccountCreate(
    account_id="main",
    base_currency="USD",
    initial_cash=Decimal(10**12),
    limits=Limits(max_mark_age_seconds=86_400, max_messages_per_second=10**9, max_message_burst=10**9),
)
SET_UP = (
    SetInstruments((STOCK,), "bench"),
    OpenAccount(ACCOUNT, "bench"),
    SetMarks(None, (Quote("X", units(Decimal(100)), micros(NOW)),)),
)


def order(number: int) -> Order:
    side = Side.BUY if number % 2 else Side.SELL
    return Order(client_order_id=f"o{number}", strategy_id="bench", symbol="X", side=side, quantity=Decimal(1))


def in_memory() -> float:
    """Return orders per second decided and folded, nothing stored."""
    state = FirmState()
    commands: list[Command] = [
        *SET_UP,
        *(PlaceOrder("main", order_terms(order(number)), "bench") for number in range(ORDERS)),
    ]
    started = time.perf_counter()
    for command in commands:
        assert not isinstance(step(state, command, micros(NOW)), Refused)
    return ORDERS / (time.perf_counter() - started)


async def spread(work: Callable[[int], Awaitable[object]], at_once: int) -> float:
    """Return calls per second, with so many under way at once."""
    numbers = iter(range(ORDERS))

    async def worker() -> None:
        for number in numbers:
            await work(number)

    started = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    return ORDERS / (time.perf_counter() - started)


async def over(app: FastAPI, token: str) -> dict[str, float]:
    """Return orders per second through the engine, and through HTTP on top of it."""
    engine: Engine = app.state.engine
    headers = {"Authorization": f"Bearer {token}"}
    async with app.router.lifespan_context(app):
        while await engine.problem() is not None:
            await asyncio.sleep(0.05)
        for command in SET_UP:
            await engine.submit(command)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://risk", headers=headers) as client:

            async def posted(number: int) -> None:
                body = order(number).model_copy(update={"client_order_id": f"h{at_once}-{number}"})
                answer = await client.post("/api/v1/risk/accounts/main/orders", content=body.model_dump_json())
                assert answer.status_code == 200, answer.text

            async def submitted(number: int) -> None:
                body = order(number).model_copy(update={"client_order_id": f"e{at_once}-{number}"})
                await engine.submit(PlaceOrder("main", order_terms(body), "bench"))

            found = {}
            for at_once in (1, AT_ONCE):
                found[f"durable, {at_once} at once"] = await spread(submitted, at_once)
            client.headers["Content-Type"] = "application/json"
            for at_once in (1, AT_ONCE):
                found[f"over HTTP, {at_once} at once"] = await spread(posted, at_once)
            return found


def main() -> None:
    with servers("risk") as found:
        token = found.token(Role.SERVICE)
        app = create(RiskSettings.model_validate(found.settings()))
        rates = {"in memory": in_memory(), **asyncio.run(over(app, token))}
    first = rates["in memory"]
    for what, rate in rates.items():
        print(f"{what:28} {rate:10,.0f} orders/s  {rate / first:6.3f}")


if __name__ == "__main__":
    main()
