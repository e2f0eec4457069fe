"""What the risk service takes of memory, in MiB resident: idle, with 1,000 accounts of 50 positions, and in use.

In use, every position has had an order and a fill of today; started again, all of it is read from the journal. As
ratios to the idle service, in one run: `python -m benchmarks.memory`, in machine code after `keelson compile`.
"""

import asyncio
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx

from benchmarks._servers import answering, process, servers
from services.risk.compiled import compiled
from shared.roles import Role

ACCOUNTS = 1_000
SYMBOLS = [f"X{number}" for number in range(50)]
CONNECTIONS = 8
PRICE = "100"
NOW = datetime.now(UTC).isoformat()
Request = tuple[str, str, dict[str, Any]]


def instruments() -> Iterator[Request]:
    known = [{"symbol": symbol, "currency": "USD", "asset_class": "EQUITY", "tick_size": "0.01"} for symbol in SYMBOLS]
    yield "PUT", "/instruments", {"instruments": known}


def marks() -> Iterator[Request]:
    yield "POST", "/marks", {"marks": [{"symbol": symbol, "price": PRICE, "ts_event": NOW} for symbol in SYMBOLS]}


def accounts() -> Iterator[Request]:
    limits = {
        "max_mark_age_seconds": 86_400,
        "max_messages_per_second": 10**6,
        "max_message_burst": 10**6,
        "max_repeated_executions": 10**6,
    }
    for number in range(ACCOUNTS):
        account = {"account_id": f"a{number}", "base_currency": "USD", "initial_cash": "1000000", "limits": limits}
        yield "POST", "/accounts", account


def positions() -> Iterator[Request]:
    broker = {
        "positions": [{"symbol": symbol, "quantity": "10", "average_price": PRICE} for symbol in SYMBOLS],
        "cash": "950000",
        "adopt": True,
        "reason": "bench",
    }
    for number in range(ACCOUNTS):
        yield "POST", f"/accounts/a{number}/reconcile", broker


def orders() -> Iterator[Request]:
    for number in range(ACCOUNTS):
        asked = [
            {
                "client_order_id": f"order-{number}-{symbol}",
                "strategy_id": "bench",
                "symbol": symbol,
                "side": "BUY",
                "quantity": "1",
            }
            for symbol in SYMBOLS
        ]
        yield "POST", f"/accounts/a{number}/orders/batch", {"orders": asked}


def fills() -> Iterator[Request]:
    for number in range(ACCOUNTS):
        for symbol in SYMBOLS:
            fill = {"client_order_id": f"order-{number}-{symbol}", "quantity": "1", "price": PRICE, "ts_event": NOW}
            yield "POST", f"/accounts/a{number}/fills", {"trade_id": f"trade-{number}-{symbol}", **fill}


def resident(url: str, token: str) -> float:
    """Return the service's resident memory, in MiB."""
    for line in httpx.get(url + "/metrics", headers={"Authorization": f"Bearer {token}"}).text.splitlines():
        if line.startswith("process_resident_memory_bytes "):
            return float(line.split()[1]) / 2**20
    raise SystemExit("the service does not say what memory it takes")


async def send(url: str, token: str, requests: Iterable[Request]) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    waiting = iter(requests)
    async with httpx.AsyncClient(base_url=url + "/api/v1/risk", headers=headers, timeout=60) as client:

        async def one() -> None:
            for method, path, content in waiting:
                answer = await client.request(method, path, json=content)
                assert answer.is_success, answer.text
                assert "DENIED" not in answer.text, answer.text

        await asyncio.gather(*(one() for _ in range(CONNECTIONS)))


def main() -> None:
    print("in machine code" if compiled() else "by the interpreter")
    with servers("risk") as found:
        token, trader = found.token(Role.ADMIN), found.token(Role.TRADER)
        base = 0.0

        def show(what: str, url: str) -> None:
            nonlocal base
            mebibytes = resident(url, token)
            base = base or mebibytes
            print(f"{what:48} {mebibytes:6.0f} MiB  {mebibytes / base:5.2f}", flush=True)

        with process(["cli.supervisor.serve", "risk"], found.environment()) as risk:
            answering([risk], "/readyz")
            show("idle", risk)
            for made in (instruments(), marks(), accounts(), positions()):
                asyncio.run(send(risk, token, made))
            show(f"{ACCOUNTS:,} accounts of {len(SYMBOLS)} positions", risk)
            for made in (orders(), fills()):
                asyncio.run(send(risk, trader, made))
            show("and an order and a fill each", risk)
        with process(["cli.supervisor.serve", "risk"], found.environment()) as risk:
            answering([risk], "/readyz")
            show("the same after a restart", risk)


if __name__ == "__main__":
    main()
