"""A stop waits for no batch: it goes before what waits, and between the orders of a batch that is being decided."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.risk import batch as batch_module
from services.risk.core.commands import ActivateKillSwitch, PlaceOrder, PlaceOrders
from services.risk.core.orders import Answered
from services.risk.core.outcome import Refused
from services.risk.core.translate import order_terms
from services.risk.engine import Engine
from services.risk.store import Lease
from shared.problems import DependencyUnavailable
from shared.schemas.kill_switches import KillReason, KillScope, KillSwitchCreate, KillSwitchView
from shared.schemas.orders import Order
from tests.integration.risk.client import RiskClient, order
from tests.integration.risk.conftest import Running

pytestmark = pytest.mark.integration
STOP = ActivateKillSwitch("k", KillSwitchCreate(scope=KillScope.FIRM, reason="testing"), KillReason.MANUAL, "ada")


def orders(prefix: str, count: int, quantity: str = "1") -> tuple[PlaceOrder, ...]:
    bodies = [Order.model_validate(order(f"{prefix}{number}", quantity)) for number in range(count)]
    return tuple(PlaceOrder("main", order_terms(each), "ada") for each in bodies)


async def decided(risk: RiskClient, after: int) -> list[tuple[str, str]]:
    """Return kinds of rows after one, and whose: an order's or nobody's."""
    rows = (await risk.ok("GET", f"/journal?after={after}&limit=5000"))["items"]
    return [(row["kind"], row["body"].get("order", {}).get("client_order_id", "")) for row in rows]


async def last_seq(engine: Engine) -> int:
    return await engine.read(lambda state: state.last_seq)


async def test_a_stop_goes_before_every_batch_that_waits(run_risk: Running) -> None:
    async with run_risk() as risk:
        await risk.set_up()
        engine: Engine = risk.app.state.engine
        before = await last_seq(engine)
        # Put in without a pause between: the engine takes none before all are in, the stop as the last.
        batches = [asyncio.ensure_future(engine.submit_all(orders(f"b{number}-", 100))) for number in range(6)]
        stop = asyncio.ensure_future(engine.submit(STOP))
        assert isinstance(await stop, KillSwitchView)
        await asyncio.gather(*batches)
        rows = await decided(risk, before)
        assert rows[0] == ("KILL_SWITCH_ACTIVATED", "")
        assert rows[1:] == [("ORDER_DENIED", f"b{batch}-{number}") for batch in range(6) for number in range(100)]
        assert (await risk.ok("GET", "/journal/verify"))["ok"]


@pytest.mark.parametrize("sliced_by", ["number", "time"])
async def test_a_stop_comes_between_the_orders_of_a_batch(
    run_risk: Running, monkeypatch: pytest.MonkeyPatch, sliced_by: str
) -> None:
    if sliced_by == "time":
        monkeypatch.setattr(batch_module, "_MOST_SECONDS", 0)
    async with run_risk(risk_batch=1 if sliced_by == "number" else 256) as risk:
        await risk.set_up()
        engine: Engine = risk.app.state.engine
        before = await last_seq(engine)
        waiting = [asyncio.ensure_future(engine.submit_all(orders(f"b{number}-", 40))) for number in range(2)]
        await _durable_beyond(engine, before)
        assert isinstance(await engine.submit(STOP), KillSwitchView)
        assert not any(each.done() for each in waiting), "no batch was decided before the stop was answered"
        answers: list[Answered] = [each for batch in await asyncio.gather(*waiting) for each in batch]
        rows = await decided(risk, before)
        # What was asked first is decided first, but for the stop; some orders came before it and were taken back.
        kinds = [kind for kind, _ in rows]
        at = kinds.index("KILL_SWITCH_ACTIVATED")
        assert 0 < at < 40
        assert set(kinds[:at]) == {"ORDER_APPROVED"}
        assert set(kinds[at + 1 :]) == {"ORDER_DENIED"}
        asked = [f"b{batch}-{number}" for batch in range(2) for number in range(40)]
        assert [name for _, name in rows if name] == asked
        assert [each.body.order.client_order_id for each in answers] == asked
        # Answered once all of a batch is durable, as it is then: nothing is approved that is stopped.
        assert {each.approved for each in answers} == {False}
        account = await risk.ok("GET", "/accounts/main")
        assert account["open_orders"] == 0
        assert (await risk.ok("GET", "/journal/verify"))["ok"]


async def _durable_beyond(engine: Engine, seq: int) -> None:
    async with asyncio.timeout(10):
        while (tip := await engine.durable_tip()) is None or tip.seq <= seq:
            await asyncio.sleep(0)


async def test_a_batch_of_all_or_none_is_decided_at_once(run_risk: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_module, "_MOST_SECONDS", 0)
    async with run_risk(risk_batch=1) as risk:
        await risk.set_up()
        engine: Engine = risk.app.state.engine
        before = await last_seq(engine)
        singly = asyncio.ensure_future(engine.submit_all(orders("b", 10)))
        terms = tuple(each.order for each in orders("all", 40))
        together = asyncio.ensure_future(engine.submit(PlaceOrders("main", terms, True, "ada")))
        await _durable_beyond(engine, before + 9)
        # Nothing of it is durable, or all: the stop comes before it or after.
        await asyncio.gather(engine.submit(STOP), singly, together)
        kinds = [kind for kind, name in await decided(risk, before) if name.startswith("all")]
        assert kinds in (["ORDER_APPROVED"] * 40, ["ORDER_DENIED"] * 40)


async def test_a_full_queue_takes_a_stop(run_risk: Running) -> None:
    async with run_risk(risk_queue=4, risk_batch=1) as risk:
        await risk.set_up()
        engine: Engine = risk.app.state.engine
        before = await last_seq(engine)
        singles = [asyncio.ensure_future(engine.submit(each)) for each in orders("o", 20)]
        stop = asyncio.ensure_future(engine.submit(STOP))
        answers: list[Any] = await asyncio.gather(*singles, return_exceptions=True)
        assert any(isinstance(each, DependencyUnavailable) for each in answers)
        assert isinstance(await stop, KillSwitchView)
        assert (await decided(risk, before))[0] == ("KILL_SWITCH_ACTIVATED", "")


class Hurrying:
    """A clock that moves whenever somebody looks at it."""

    def __init__(self) -> None:
        self._now = datetime.now(UTC)

    def now(self) -> datetime:
        self._now += timedelta(milliseconds=10)
        return self._now


async def test_a_long_batch_does_not_keep_the_lease_from_being_renewed(
    run_risk: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewals = 0
    renew = Lease.renew

    async def counted(lease: Lease) -> None:
        nonlocal renewals
        renewals += 1
        await renew(lease)

    async with run_risk(clock=Hurrying(), risk_batch=1) as risk:
        await risk.set_up()
        engine: Engine = risk.app.state.engine
        await engine.submit_all(orders("o", 60))
        monkeypatch.setattr(Lease, "renew", counted)
        # All refused, as their ids were used for other orders: nothing is written that would renew it.
        found = await engine.submit_all(orders("o", 60, "2"))
        assert all(isinstance(each, Refused) for each in found)
        assert renewals >= 3
