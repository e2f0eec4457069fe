"""What a decision costs over HTTP, against an empty route with the same models on the same server.

Requests per second and p99, in one run, as ratios to the empty route: `python -m benchmarks.risk_http`. The journal is
durable (fsync on). The caller is a process of its own that writes prepared requests to sockets, so that it takes as
little of the machine as it can.
"""

import argparse
import asyncio
import json
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import uvicorn
from fastapi import FastAPI

from benchmarks._servers import answering, process, servers
from shared.roles import Role
from shared.schemas.decisions import Decision
from shared.schemas.orders import Order

CONNECTIONS = 16
SECONDS = 8.0
BATCH = 100
PATH = "/api/v1/risk/accounts/main/orders"
WIDE = {
    "max_mark_age_seconds": 86_400,
    "max_messages_per_second": 10**9,
    "max_message_burst": 10**9,
    "max_repeated_executions": 10**9,
    "max_open_orders": 10**9,
}
ANSWER = Decision.model_validate(
    {
        "decision": "APPROVED",
        "account_id": "main",
        "client_order_id": "o",
        "risk_score": 0.1,
        "risk_level": "GREEN",
        "ts_event": datetime.now(UTC).isoformat(),
        "seq": 1,
    }
)


def empty() -> FastAPI:
    """Return an app with a route that reads an order and answers a decision, and does nothing else."""
    app = FastAPI()

    @app.post("/api/v1/risk/accounts/{account_id}/orders")
    async def place_order(account_id: str, order: Order) -> Decision:
        return ANSWER

    return app


def body(number: str) -> dict[str, str]:
    return {
        "client_order_id": number,
        "strategy_id": "bench",
        "symbol": "X",
        "side": "BUY" if len(number) % 2 else "SELL",
        "quantity": "1",
    }


def prepared(token: str, path: str, content: Callable[[int, int], bytes]) -> Callable[[int, int], bytes]:
    """Return what makes the bytes of a connection's n-th request."""

    def request(connection: int, number: int) -> bytes:
        payload = content(connection, number)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: risk\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
        )
        return head.encode() + payload

    return request


async def load(url: str, request: Callable[[int, int], bytes], connections: int) -> tuple[float, float]:
    """Return requests per second and the 99th percentile of their time, in seconds."""
    host, port = url.removeprefix("http://").split(":")
    times: list[float] = []
    stop = time.perf_counter() + SECONDS

    async def one(connection: int) -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        number = 0
        while (began := time.perf_counter()) < stop:
            writer.write(request(connection, number))
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            times.append(time.perf_counter() - began)
            number += 1
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(one(connection) for connection in range(connections)))
    took = time.perf_counter() - began
    return len(times) / took, sorted(times)[int(len(times) * 0.99)]


def set_up(url: str, token: str) -> None:
    with httpx.Client(base_url=url + "/api/v1/risk", headers={"Authorization": f"Bearer {token}"}) as client:
        instrument = {"symbol": "X", "currency": "USD", "asset_class": "EQUITY", "tick_size": "0.01"}
        mark = {"symbol": "X", "price": "100", "ts_event": datetime.now(UTC).isoformat()}
        account = {"account_id": "main", "base_currency": "USD", "initial_cash": str(10**12), "limits": WIDE}
        client.put("/instruments", json={"instruments": [instrument]}).raise_for_status()
        client.post("/accounts", json=account).raise_for_status()
        client.post("/marks", json={"marks": [mark]}).raise_for_status()


def one_order(run: str) -> Callable[[int, int], bytes]:
    return lambda connection, number: json.dumps(body(f"{run}-{connection}-{number}")).encode()


def many_orders(connection: int, number: int) -> bytes:
    orders = [body(f"b-{connection}-{number}-{each}") for each in range(BATCH)]
    return json.dumps({"orders": orders}).encode()


def serve_empty(descriptor: int) -> None:
    config = uvicorn.Config(empty(), loop="uvloop", http="httptools", access_log=False, log_config=None)
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])


def main() -> None:
    with servers("risk") as found:
        token = found.token(Role.SERVICE)
        with process(["benchmarks.risk_http", "--empty"], {}) as nothing:
            answering([nothing], "/docs")
            base = asyncio.run(load(nothing, prepared(token, PATH, one_order("e")), CONNECTIONS))
        print(f"{'empty route':32} {base[0]:9,.0f} requests/s  p99 {base[1] * 1000:6.2f} ms  1.000", flush=True)
        with process(["cli.supervisor.serve", "risk"], found.environment()) as risk:
            set_up(answering([risk], "/readyz"), token)
            one = asyncio.run(load(risk, prepared(token, PATH, one_order("o")), CONNECTIONS))
            print(
                f"{'a decision, durable':32} {one[0]:9,.0f} requests/s  p99 {one[1] * 1000:6.2f} ms "
                f" {one[0] / base[0]:.3f}",
                flush=True,
            )
            batch = asyncio.run(load(risk, prepared(token, PATH + "/batch", many_orders), 4))
            print(
                f"{f'batches of {BATCH}, durable':32} {batch[0] * BATCH:9,.0f} decisions/s p99 "
                f"{batch[1] * 1000:6.2f} ms  {batch[0] * BATCH / base[0]:.3f}",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--empty", action="store_true")
    parser.add_argument("--fd", type=int)
    parser.add_argument("--lifeline", type=int)
    given = parser.parse_args()
    if given.empty:
        serve_empty(given.fd)
    else:
        main()
