"""The one writer: who leads, what waits for it, and what it says when the journal did not answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

import pytest
from prometheus_client import REGISTRY

from services.risk import batch as batch_module
from services.risk.core.commands import Command, PlaceOrder
from services.risk.core.decide import decide
from services.risk.core.outcome import Outcome
from services.risk.core.state import FirmState
from services.risk.engine import Engine
from services.risk.metrics import KILL_SWITCHES, MISMATCH
from shared.embedded import EmbeddedPostgres
from shared.problems import DependencyUnavailable
from shared.roles import Role
from tests.harness import frozen
from tests.integration.risk.client import RiskClient, order, until
from tests.integration.risk.conftest import Running

pytestmark = pytest.mark.integration
LOST = "the-lost-one"


class Wire:
    """A way to PostgreSQL that breaks around the statement that carries `LOST`."""

    def __init__(self, url: str, *, delivered: bool) -> None:
        self._upstream = urlsplit(url)
        self._delivered = delivered
        self._broken = False
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @asynccontextmanager
    async def url(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        address = self._upstream.netloc.rpartition("@")[0]
        async with server:
            yield self._upstream._replace(netloc=f"{address}@127.0.0.1:{port}").geturl()
        for writer in self._connections.values():
            writer.close()
        await asyncio.gather(*self._connections)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = writer
        there, back = await asyncio.open_connection(self._upstream.hostname, self._upstream.port)
        cut = asyncio.Event()
        pumps = [
            asyncio.create_task(self._pump(reader, back, cut, asking=True)),
            asyncio.create_task(self._pump(there, writer, cut, asking=False)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            writer.close()
            back.close()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, cut: asyncio.Event, *, asking: bool
    ) -> None:
        while data := await source.read(65_536):
            if asking and LOST.encode() in data and not self._broken:
                self._broken = True
                cut.set()
                if not self._delivered:
                    return
            elif not asking and cut.is_set():
                # It was carried out; nobody hears of it.
                return
            sink.write(data)
            await sink.drain()


@pytest.mark.parametrize("delivered", [True, False], ids=["the answer is lost", "the statement is lost"])
async def test_an_order_whose_commit_was_not_confirmed_is_one_order_when_sent_again(
    run_risk: Running, database_url: str, delivered: bool
) -> None:
    async with Wire(database_url, delivered=delivered).url() as url, run_risk(database_url=url) as risk:
        await risk.set_up()
        before = (await risk.order("o1"))["seq"]
        response = await risk.call("POST", "/accounts/main/orders", order(LOST, "60"))
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        await until(risk.ready)
        # Rebuilt from the journal, which alone knows whether it was committed.
        known = await risk.call("GET", f"/accounts/main/orders/{LOST}")
        assert known.status_code == (200 if delivered else 404)
        decision = await risk.order(LOST, "60")
        # Whoever leads again says so in a row of its own.
        assert (decision["decision"], decision["seq"]) == ("APPROVED", before + (1 if delivered else 2))
        assert await risk.order(LOST, "60") == decision
        account = await risk.ok("GET", "/accounts/main")
        assert (account["open_orders"], account["positions"][0]["open_buy_quantity"]) == (2, "61")
        assert (await risk.ok("GET", "/journal/verify"))["ok"]


async def test_a_standby_takes_over_within_two_seconds_and_knows_all_that_was_answered(run_risk: Running) -> None:
    async with AsyncExitStack() as first:
        leader = await first.enter_async_context(run_risk())
        await leader.set_up()
        decision = await leader.order("o1", "60")
        async with run_risk(ready=False) as standby:
            await until(lambda: _says(standby, "stands by"))
            refused = await standby.call("POST", "/accounts/main/orders", order("o2"))
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            await first.aclose()
            async with asyncio.timeout(2):
                while not await standby.ready():
                    await asyncio.sleep(0.02)
            assert await standby.order("o1", "60") == decision
            assert (await standby.order("o2", "41"))["decision"] == "DENIED"
            epochs = [row["epoch"] for row in (await standby.ok("GET", "/journal"))["items"]]
            # Its own start, and the one decision.
            assert set(epochs[:-2]) == {1}
            assert epochs[-2:] == [2, 2]
            assert (await standby.ok("GET", "/journal/verify"))["ok"]


async def _says(risk: RiskClient, text: str) -> bool:
    return text in (await risk.engine_state() or "")


async def test_more_than_the_queue_holds_is_told_to_come_back_and_nothing_is_lost(run_risk: Running) -> None:
    # A few places: what the service asks itself takes one now and then.
    async with run_risk(risk_queue=4, risk_batch=1) as risk:
        await risk.set_up()
        ids = [f"o{n}" for n in range(40)]
        answers = await asyncio.gather(*(risk.call("POST", "/accounts/main/orders", order(each)) for each in ids))
        turned_away = [answer for answer in answers if answer.status_code == 503]
        assert turned_away
        assert all(answer.headers["retry-after"] == "1" for answer in turned_away)
        assert {answer.status_code for answer in answers} == {200, 503}
        for each in ids:
            await risk.order(each)
        rows = (await risk.ok("GET", "/journal?kind=ORDER_APPROVED&kind=ORDER_DENIED"))["items"]
        assert sorted(row["body"]["order"]["client_order_id"] for row in rows) == sorted(ids)


async def test_one_order_of_a_batch_that_fails_takes_nothing_from_the_others(
    run_risk: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(state: FirmState, command: Command, now: int) -> Outcome:
        if isinstance(command, PlaceOrder) and command.order.client_order_id == "bad":
            raise RuntimeError("boom")
        return decide(state, command, now)

    async with run_risk() as risk:
        await risk.set_up()
        batch = {"orders": [order("o1", "1"), order("bad", "1"), order("o2", "1")]}
        with monkeypatch.context() as patch:
            patch.setattr(batch_module, "decide", failing)
            assert (await risk.call("POST", "/accounts/main/orders/batch", batch)).status_code == 500
        rows = (await risk.ok("GET", "/journal?kind=ORDER_APPROVED"))["items"]
        assert [row["body"]["order"]["client_order_id"] for row in rows] == ["o1", "o2"]
        again = await risk.ok("POST", "/accounts/main/orders/batch", batch)
        assert again["approved"] == 3
        assert [each["seq"] for each in again["decisions"]] == [rows[0]["seq"], rows[1]["seq"] + 1, rows[1]["seq"]]


async def test_a_stopped_engine_leaves_nobody_waiting(run_risk: Running) -> None:
    async with run_risk() as risk:
        engine: Engine = risk.app.state.engine

        async def ask() -> int:
            return await engine.read(_last_seq)

        assert await ask() == 1
    async with asyncio.timeout(2):
        with pytest.raises(DependencyUnavailable):
            await ask()


def _last_seq(state: FirmState) -> int:
    return state.last_seq


async def test_a_restart_does_not_look_like_the_release_of_a_kill_switch(run_risk: Running) -> None:
    async with run_risk() as risk:
        await risk.set_up()
        stop = await risk.ok("POST", "/emergency-stop", {"reason": "fire drill"}, Role.ADMIN)
    # As in a new process, whose metrics begin with nothing.
    KILL_SWITCHES.clear()
    async with run_risk() as risk:
        metrics = (await risk.http.get("/metrics")).text
        assert 'risk_kill_switch_active{scope="FIRM"} 1.0' in metrics
        assert 'risk_kill_switch_active{scope="ACCOUNT"} 0.0' in metrics
        await risk.ok("POST", f"/kill-switches/{stop['kill_switch_id']}/release", {"reason": "over"}, Role.ADMIN)
        assert 'risk_kill_switch_active{scope="FIRM"} 0.0' in (await risk.http.get("/metrics")).text


async def test_an_engine_that_fails_again_and_again_stops_the_firm(
    run_risk: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("as drawn")

    async with run_risk(risk_fault_limit=3) as risk:
        await risk.set_up()
        for number in range(3):
            assert (await risk.order(f"o{number}"))["decision"] == "APPROVED"
            with monkeypatch.context() as broken:
                broken.setattr("services.risk.batch.link", fail)
                response = await risk.call("POST", "/accounts/main/orders", order(f"f{number}"))
            assert response.status_code == 503
            await until(risk.ready)
        (switch,) = (await risk.ok("GET", "/kill-switches?active=true"))["items"]
        assert (switch["kind"], switch["scope"], switch["activated_by"]) == ("SYSTEM_ERROR", "FIRM", "engine")
        assert (await risk.order("o9"))["reasons"][0]["code"] == "KILL_SWITCH_ACTIVE"


@pytest.mark.parametrize(("batch", "differs"), [(256, 0.0), (255, 1.0)])
async def test_a_standby_that_would_decide_otherwise_says_so(run_risk: Running, batch: int, differs: float) -> None:
    MISMATCH.set(-1)
    async with run_risk(risk_batch=256) as leader:
        await leader.set_up()
        async with run_risk(ready=False, risk_batch=batch):

            async def compared() -> bool:
                return bool(REGISTRY.get_sample_value("risk_configuration_mismatch") == differs)

            await until(compared)


async def test_a_database_that_hangs_is_a_503_soon_and_nothing_is_lost_or_doubled(
    run_risk: Running, own_postgres: EmbeddedPostgres
) -> None:
    url = own_postgres.start()
    async with run_risk(database_url=url, risk_commit_seconds=0.5) as risk:
        await risk.set_up()
        with frozen(url):
            async with asyncio.timeout(3):
                waiting = [risk.call("POST", "/accounts/main/orders", order(f"o{number}")) for number in range(5)]
                assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {503}
            async with asyncio.timeout(0.5):
                # Known to be away by now: nobody waits any more, and a stop least of all.
                stop = await risk.call("POST", "/emergency-stop", {"reason": "fire drill"}, Role.ADMIN)
                status = await risk.call("GET", "/accounts/main/status")
            assert (stop.status_code, status.status_code) == (503, 503)
        await until(risk.ready, 30)
        for number in range(5):
            assert (await risk.order(f"o{number}"))["decision"] == "APPROVED"
        rows = (await risk.ok("GET", "/journal?limit=5000"))["items"]
        approved = [row["body"]["order"]["client_order_id"] for row in rows if row["kind"] == "ORDER_APPROVED"]
        assert sorted(approved) == [f"o{number}" for number in range(5)]
        assert (await risk.ok("GET", "/journal/verify"))["ok"]
