"""How long until a kill switch stops the next order: in process, and across two replicas under a load of orders.

Milliseconds at the median, the 99th percentile and the worst: `python -m benchmarks.kill_switch`. The journal is
durable (fsync on). Asked are 10 ms in process and 100 ms across replicas at the 99th percentile. That nothing that
begins after the answer is approved is asserted on the way. The same commits of a journal with nothing else to do are
measured beside them: what the disk of this machine takes.
"""

import argparse
import asyncio
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg

from benchmarks._servers import answering, process, servers
from benchmarks.risk_http import WIDE, set_up
from benchmarks.risk_orders import ACCOUNT, SET_UP, order
from services.risk.core.commands import ActivateKillSwitch, OpenAccount, PlaceOrder, ReleaseKillSwitch
from services.risk.core.translate import order_terms
from services.risk.engine import Engine
from services.risk.main import create
from services.risk.settings import RiskSettings
from shared.roles import Role
from shared.schemas.kill_switches import KillReason, KillScope, KillSwitchCreate
from shared.schemas.limits import Limits

DRILLS = 300
CALLERS = 8
OPEN = (1_000, 10_000)
FIRM = KillSwitchCreate(scope=KillScope.FIRM, reason="drill")
RISK = "/api/v1/risk"


def named(name: str) -> dict[str, Any]:
    """Return an order under an id of its own."""
    body: dict[str, Any] = order(1).model_copy(update={"client_order_id": name}).model_dump(mode="json")
    return body


def show(what: str, times: Sequence[float]) -> None:
    ordered = sorted(times)
    p50, p99 = (ordered[int(len(ordered) * share)] * 1000 for share in (0.5, 0.99))
    print(f"{what:58} p50 {p50:7.2f}  p99 {p99:7.2f}  max {ordered[-1] * 1000:7.2f} ms", flush=True)


class Drill:
    """Pull and release a switch of the firm in the engine itself."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._count = 0

    async def pull(self) -> tuple[float, float]:
        """Return the seconds until the switch was answered, and until an order sent after it was refused."""
        self._count += 1
        name = f"drill-{self._count}"
        began = time.perf_counter()
        await self._engine.submit(ActivateKillSwitch(name, FIRM, KillReason.MANUAL, "bench"))
        answered = time.perf_counter() - began
        decision = await self.place(f"after-{name}")
        refused = time.perf_counter() - began
        assert decision == "DENIED"
        await self._engine.submit(ReleaseKillSwitch(name, "drill over", "bench"))
        return answered, refused

    async def place(self, name: str) -> str:
        body = order(1).model_copy(update={"client_order_id": name})
        decision = await self._engine.submit(PlaceOrder("main", order_terms(body), "bench"))
        return "APPROVED" if decision.approved else "DENIED"

    async def load(self, caller: int, stop: asyncio.Event) -> None:
        number = 0
        while not stop.is_set():
            await self.place(f"load-{caller}-{number}")
            number += 1


async def in_process(settings: RiskSettings) -> None:
    app = create(settings)
    engine: Engine = app.state.engine
    async with app.router.lifespan_context(app):
        while await engine.problem() is not None:
            await asyncio.sleep(0.05)
        instruments, _, marks = SET_UP
        account = OpenAccount(ACCOUNT.model_copy(update={"limits": Limits.model_validate(WIDE)}), "bench")
        for command in (instruments, account, marks):
            await engine.submit(command)
        drill = Drill(engine)
        await show_drills(drill, "in process, idle")
        stop = asyncio.Event()
        load = [asyncio.create_task(drill.load(caller, stop)) for caller in range(CALLERS)]
        await show_drills(drill, f"in process, {CALLERS} callers at once")
        stop.set()
        await asyncio.gather(*load)
        for count in OPEN:
            times = []
            for turn in range(20):
                # No more at once than may wait for the engine.
                for some in range(0, count, 1_000):
                    names = [f"open-{count}-{turn}-{some + number}" for number in range(1_000)]
                    assert set(await asyncio.gather(*map(drill.place, names))) == {"APPROVED"}
                times.append((await drill.pull())[0])
            show(f"in process, {count:,} open orders to cancel: answered", times)


async def show_drills(drill: Drill, what: str) -> None:
    found = [await drill.pull() for _ in range(DRILLS)]
    show(f"{what}: answered", [answered for answered, _ in found])
    show(f"{what}: the next order refused", [refused for _, refused in found])


def commits(url: str) -> list[float]:
    """Return the seconds of commits of one row, of about a switch's size."""
    times = []
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("CREATE TABLE drill (body text)")
        for _ in range(DRILLS):
            began = time.perf_counter()
            connection.execute("INSERT INTO drill VALUES (%s)", ("x" * 500,))
            times.append(time.perf_counter() - began)
    return times


def across_replicas(environment: dict[str, str], admin: str, service: str) -> None:
    risk = ["cli.supervisor.serve", "risk"]
    with process(risk, environment) as first, process(risk, environment) as second:
        leader = answering([first, second], "/readyz")
        set_up(leader, service)
        show_replicas("two replicas, idle", *drills(leader, [first, second], admin, service, "i"))
        # A process of its own, so that what it does is not in the figures.
        load = subprocess.Popen([sys.executable, "-m", "benchmarks.kill_switch", "--load", leader, "--token", service])
        try:
            found = drills(leader, [first, second], admin, service, "l")
        finally:
            load.kill()
            load.wait()
        show_replicas(f"two replicas, {CALLERS} connections of orders", *found)


def show_replicas(what: str, answered: list[float], refused: list[float]) -> None:
    show(f"{what}: POST answered", answered)
    show(f"{what}: refused by both", refused)


def drills(leader: str, urls: Sequence[str], admin: str, service: str, run: str) -> tuple[list[float], list[float]]:
    answered, refused = [], []
    trader = {"Authorization": f"Bearer {service}"}
    with httpx.Client(headers={"Authorization": f"Bearer {admin}"}, timeout=10) as client:
        for number in range(DRILLS):
            began = time.perf_counter()
            stop = client.post(f"{leader}{RISK}/kill-switches", json={"scope": "FIRM", "reason": "drill"})
            answered.append(time.perf_counter() - began)
            for which, url in enumerate(urls):
                path = f"{url}{RISK}/accounts/main/orders"
                answer = client.post(path, json=named(f"{run}-{number}-{which}"), headers=trader)
                assert answer.status_code == 503 or answer.json()["decision"] == "DENIED", answer.text
            refused.append(time.perf_counter() - began)
            name = stop.raise_for_status().json()["kill_switch_id"]
            client.post(f"{leader}{RISK}/kill-switches/{name}/release", json={"reason": "over"}).raise_for_status()
    return answered, refused


async def load(url: str, token: str) -> None:
    """Send orders, and cancel each that is approved, until killed."""

    async def caller(client: httpx.AsyncClient, which: int) -> None:
        number = 0
        while True:
            name = f"l-{which}-{number}-{datetime.now(UTC).timestamp()}"
            answer = await client.post("/accounts/main/orders", json=named(name))
            if answer.json()["decision"] == "APPROVED":
                await client.post(f"/accounts/main/orders/{name}/cancel", json={"reason": "as told"})
            number += 1

    async with httpx.AsyncClient(base_url=url + RISK, headers={"Authorization": f"Bearer {token}"}) as client:
        await asyncio.gather(*(caller(client, which) for which in range(CALLERS)))


def main() -> None:
    with servers("risk") as found:
        show("a commit of one row, nothing else", commits(found.database_url))
        admin, service = found.token(Role.ADMIN), found.token(Role.SERVICE)
        across_replicas(found.environment(TRADING_LOG_LEVEL="ERROR"), admin, service)
    # A journal of its own.
    with servers("risk") as found:
        asyncio.run(in_process(RiskSettings.model_validate(found.settings(log_stdout=False))))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--load")
    parser.add_argument("--token")
    given = parser.parse_args()
    if given.load:
        asyncio.run(load(given.load, given.token))
    else:
        main()
