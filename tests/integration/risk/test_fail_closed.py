"""Fail closed: while anything a decision rests on is gone or in doubt nothing is approved, and it comes back by itself.

Over HTTP against the service as a process of its own; its marks come over Redis, as marketdata sends them.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.risk.core.chain import Tip, follow
from shared.embedded import EmbeddedPostgres, EmbeddedValkey
from shared.events import MARKS_STREAM, publish
from shared.schemas.marketdata import MarkMessage
from shared.tasks import stop
from tests.harness import plain
from tests.integration.risk.client import order, until
from tests.integration.risk.load import Load, journal, set_up, verified
from tests.integration.risk.processes import RiskProcess, Start

pytestmark = pytest.mark.integration
ORDERS = "/accounts/main/orders"
GONE = "503"
APPROVED = "APPROVED"
RESTING = "resting"
EURO = {"symbol": "EURO", "currency": "EUR", "asset_class": "EQUITY", "tick_size": "0.01"}
RATE = {"symbol": "EUR/USD", "currency": "USD", "asset_class": "FX", "tick_size": "0.0001"}


class Feed:
    """Marks over Redis again and again, as long as it is there; what has no price is silent."""

    def __init__(self) -> None:
        self.prices = {"STOCK": "100"}
        self.severity = "ok"

    async def run(self, url: str) -> None:
        async with Redis.from_url(url, decode_responses=True) as redis:
            while True:
                now = datetime.now(UTC)
                marks = [
                    MarkMessage.model_validate(
                        {"symbol": symbol, "price": price, "severity": self.severity, "ts_event": now, "source": "test"}
                    )
                    for symbol, price in self.prices.items()
                ]
                with suppress(RedisError, OSError):
                    await publish(redis, MARKS_STREAM, marks)
                await asyncio.sleep(0.1)


class Desk:
    """A caller of one service, who remembers what it was told is approved."""

    def __init__(self, risk: RiskProcess, client: httpx.AsyncClient, feed: Feed) -> None:
        self.risk = risk
        self.client = client
        self.feed = feed
        self.approved: dict[str, int] = {}
        self._count = 0

    async def send(self, **fields: Any) -> str:
        """Send an order; return APPROVED, the codes of its denial, or GONE."""
        return self._heard(await self.client.post(ORDERS, json=self._order(**fields)))

    async def passes(self, **fields: Any) -> None:
        async def approved() -> bool:
            return await self.send(**fields) == APPROVED

        await until(approved)

    async def refuses(self, expected: str, seconds: float = 1, *, at_once: bool = True, **fields: Any) -> None:
        """Hold that no way in approves anything, for so long; where not at once, from the first refusal on."""
        if not at_once:

            async def refused() -> bool:
                return await self.send(**fields) != APPROVED

            await until(refused)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for answer in await self._every_way(**fields):
                assert expected in answer.split(), answer

    async def audit(self, database_url: str) -> None:
        """Hold that the journal is whole, and nothing approved to this caller is missing in it."""
        assert await verified(self.risk)
        rows = journal(database_url)
        assert follow(Tip(), rows)[1] is None
        decided = {
            json.loads(row.body)["order"]["client_order_id"]: row for row in rows if row.kind == "ORDER_APPROVED"
        }
        assert len(self.approved) >= 2
        assert self.approved.items() <= {name: row.seq for name, row in decided.items()}.items()

    async def put(self, *instruments: dict[str, Any]) -> None:
        (await self.client.put("/instruments", json={"instruments": list(instruments)})).raise_for_status()

    async def _every_way(self, **fields: Any) -> list[str]:
        """Send an order by itself, in both kinds of batches, as a question, and as a larger replacement."""
        answers = [await self.client.post(ORDERS, json=self._order(**fields))]
        answers.append(await self.client.post(f"{ORDERS}/check", json=self._order(**fields)))
        found = [self._heard(answer) for answer in answers]
        for all_or_none in (False, True):
            body = {"orders": [self._order(**fields), self._order(**fields)], "all_or_none": all_or_none}
            answer = await self.client.post(f"{ORDERS}/batch", json=body)
            decisions = answer.json()["decisions"] if answer.status_code == 200 else [None]
            found += [self._heard(answer, decision) for decision in decisions]
        if not fields:
            self._count += 1
            body = {"replace_id": f"r{self._count}", "quantity": "3"}
            found.append(self._heard(await self.client.put(f"{ORDERS}/{RESTING}", json=body)))
        return found

    def _order(self, **fields: Any) -> dict[str, Any]:
        self._count += 1
        return order(f"o{self._count}", **fields)

    def _heard(self, answer: httpx.Response, decision: dict[str, Any] | None = None) -> str:
        if answer.status_code == 503:
            assert answer.headers["content-type"] == "application/problem+json"
            assert int(answer.headers["retry-after"]) > 0
            return GONE
        assert answer.status_code == 200, answer.text
        decision = decision or answer.json()
        if decision["decision"] == APPROVED:
            self.approved[decision["client_order_id"]] = decision["seq"]
            return APPROVED
        return " ".join(reason["code"] for reason in decision["reasons"])


@asynccontextmanager
async def trading(risk: RiskProcess, redis_url: str, mark_age: int = 1) -> AsyncIterator[Desk]:
    """Yield a desk whose orders pass; its marks are old after a second."""
    await asyncio.to_thread(risk.await_ready)
    await set_up(risk, "1000000000", max_mark_age_seconds=mark_age)
    async with risk.client(timeout=30) as client:
        desk = Desk(risk, client, Feed())
        running = asyncio.create_task(desk.feed.run(redis_url))
        try:
            await desk.passes()
            (await client.post(ORDERS, json=order(RESTING, "2"))).raise_for_status()
            yield desk
        finally:
            await stop(running)


@contextmanager
def locked_journal(database_url: str) -> Iterator[None]:
    """Keep everybody from reading or writing the journal."""
    with psycopg.connect(plain(database_url)) as connection:
        connection.execute("LOCK TABLE risk.journal IN ACCESS EXCLUSIVE MODE")
        yield


async def states(risk: RiskProcess) -> dict[str, bool]:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{risk.url}/readyz", timeout=10)
    return {name: state["ok"] for name, state in answer.json()["dependencies"].items()}


class TestPostgres:
    @pytest.mark.parametrize("how", ["stopped", "killed"])
    async def test_gone_is_503_and_it_comes_back_by_itself(
        self, start: Start, own_postgres: EmbeddedPostgres, redis_url: str, how: str
    ) -> None:
        url = own_postgres.start()
        with start(database_url=url) as risk:
            async with trading(risk, redis_url) as desk:
                own_postgres.stop() if how == "stopped" else own_postgres.kill()
                await desk.refuses(GONE)
                assert (await states(risk)) == {"database": False, "redis": True, "engine": False}
                own_postgres.start()
                await desk.passes()
                await desk.audit(url)

    async def test_gone_at_start_is_503_until_it_is_there(
        self, start: Start, own_postgres: EmbeddedPostgres, redis_url: str
    ) -> None:
        url = own_postgres.start()
        with start(database_url=url) as risk:
            async with trading(risk, redis_url) as desk:
                risk.kill()
                own_postgres.stop()
                risk.start()
                await desk.refuses(GONE)
                own_postgres.start()
                await desk.passes()
                await desk.audit(url)

    async def test_lost_again_and_again_under_load_it_loses_no_answered_decision(
        self, start: Start, own_postgres: EmbeddedPostgres, redis_url: str
    ) -> None:
        url = own_postgres.start()
        with start(database_url=url) as risk:
            async with trading(risk, redis_url) as desk:
                load = Load("w")
                task = asyncio.create_task(load.run(lambda body: desk.client.post(ORDERS, json=body), callers=4))
                for _ in range(3):
                    before = len(load.approved)
                    await until(lambda known=before: _more(load, known))
                    own_postgres.kill()
                    await asyncio.sleep(0.1)
                    own_postgres.start()
                before = len(load.approved)
                await until(lambda: _more(load, before))
                load.stop.set()
                await task
                desk.approved |= load.approved
                await desk.audit(url)


async def _more(load: Load, known: int) -> bool:
    return len(load.approved) > known + 10


class TestRedis:
    async def test_gone_makes_marks_old_and_nothing_passes_until_it_is_back(
        self, start: Start, database_url: str, own_valkey: EmbeddedValkey
    ) -> None:
        url = own_valkey.start()
        with start(redis_url=url) as risk:
            async with trading(risk, url) as desk:
                own_valkey.stop()
                await desk.refuses("MARK_STALE", at_once=False)
                assert (await states(risk)) == {"database": True, "redis": False, "engine": True}
                # Nor does a new process take its old marks for fresh ones.
                risk.kill()
                risk.start()
                await until(lambda: _deciding(risk))
                await desk.refuses("MARK_STALE")
                own_valkey.start()
                await desk.passes()
                assert (await states(risk))["redis"]
                await desk.audit(database_url)

    async def test_one_that_lost_all_it_had_is_read_again(
        self, start: Start, database_url: str, redis_url: str
    ) -> None:
        with start() as risk:
            async with trading(risk, redis_url) as desk, Redis.from_url(redis_url) as redis:
                for _ in range(3):
                    # In the middle of a read as between two: it waits for what is new most of the time.
                    await redis.flushall()
                    await asyncio.sleep(1.2)
                    await desk.passes()
                await desk.audit(database_url)


async def _deciding(risk: RiskProcess) -> bool:
    return (await states(risk))["engine"]


class TestMarks:
    async def test_old_ones_deny_until_new_ones_come(self, start: Start, database_url: str, redis_url: str) -> None:
        with start() as risk:
            async with trading(risk, redis_url) as desk:
                desk.feed.prices.clear()
                await desk.refuses("MARK_STALE", at_once=False)
                desk.feed.prices["STOCK"] = "101"
                await desk.passes()
                await desk.audit(database_url)

    async def test_critical_ones_deny_until_a_better_one_comes(
        self, start: Start, database_url: str, redis_url: str
    ) -> None:
        with start() as risk:
            async with trading(risk, redis_url) as desk:
                desk.feed.severity = "critical"
                desk.feed.prices["STOCK"] = "107"
                await desk.refuses("MARK_QUALITY", at_once=False)
                account = (await desk.client.get("/marks?symbol=STOCK")).json()["items"][0]
                assert (account["price"], account["quality"]) == ("100", "critical")
                desk.feed.severity = "ok"
                await desk.passes()
                await desk.audit(database_url)

    async def test_a_missing_or_old_rate_of_a_currency_denies(
        self, start: Start, database_url: str, redis_url: str
    ) -> None:
        with start() as risk:
            async with trading(risk, redis_url) as desk:
                await desk.put(EURO, RATE)
                desk.feed.prices["EURO"] = "10"
                await desk.refuses("FX_RATE_MISSING", symbol="EURO")
                desk.feed.prices["EUR/USD"] = "1.1"
                await desk.passes(symbol="EURO")
                del desk.feed.prices["EUR/USD"]
                await desk.refuses("MARK_STALE", at_once=False, symbol="EURO")
                assert await desk.send() == APPROVED
                desk.feed.prices["EUR/USD"] = "1.1"
                await desk.passes(symbol="EURO")
                await desk.audit(database_url)

    async def test_an_unknown_symbol_is_denied_until_it_is_known_and_marked(
        self, start: Start, database_url: str, redis_url: str
    ) -> None:
        with start() as risk:
            async with trading(risk, redis_url) as desk:
                await desk.refuses("INSTRUMENT_UNKNOWN", symbol="NOVEL")
                await desk.put({**EURO, "symbol": "NOVEL", "currency": "USD"})
                await desk.refuses("MARK_MISSING", symbol="NOVEL")
                desk.feed.prices["NOVEL"] = "10"
                await desk.passes(symbol="NOVEL")
                await desk.audit(database_url)


class TestJournal:
    @pytest.mark.parametrize("how", ["altered", "cut"])
    async def test_a_broken_one_stops_everything_until_it_is_whole(
        self, start: Start, database_url: str, redis_url: str, how: str
    ) -> None:
        with start() as risk:
            async with trading(risk, redis_url) as desk:
                risk.kill()
                good = journal(database_url)
                with psycopg.connect(plain(database_url), autocommit=True) as connection:
                    connection.execute("ALTER TABLE risk.journal DISABLE TRIGGER append_only")
                    if how == "altered":
                        (row,) = [each for each in good if each.kind == "ACCOUNT_OPENED"]
                        richer = row.body.replace("1000000000", "9000000000")
                        assert richer != row.body
                        query = "UPDATE risk.journal SET body = %s WHERE seq = %s"
                        connection.execute(query, (richer, row.seq))
                        mend, values = query, (row.body, row.seq)
                    else:
                        row = good[-1]
                        connection.execute("DELETE FROM risk.journal WHERE seq = %s", (row.seq,))
                        mend = "INSERT INTO risk.journal VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
                        values = (
                            row.seq,
                            row.ts,
                            row.epoch,
                            row.account_id,
                            row.kind,
                            row.body,
                            row.prev_hash,
                            row.hash,
                        )
                    risk.start()
                    await desk.refuses(GONE)
                    assert not (await states(risk))["engine"]
                    connection.execute(mend.encode(), values)
                    connection.execute("ALTER TABLE risk.journal ENABLE TRIGGER append_only")
                await desk.passes()
                await desk.audit(database_url)

    async def test_until_the_state_is_rebuilt_from_it_nothing_passes(
        self, start: Start, database_url: str, redis_url: str
    ) -> None:
        with start() as risk:
            async with trading(risk, redis_url) as desk:
                risk.kill()
                with locked_journal(database_url):
                    risk.start()
                    await desk.refuses(GONE, 2)
                    assert not (await states(risk))["engine"]
                await desk.passes()
                await desk.audit(database_url)

    async def test_more_than_the_queue_holds_is_told_to_come_back_and_nothing_is_lost(
        self, start: Start, database_url: str, redis_url: str
    ) -> None:
        with start(risk_queue=3, risk_batch=1) as risk:
            async with trading(risk, redis_url, mark_age=60) as desk:
                with locked_journal(database_url):
                    # One is being written, three wait; marks wait among them.
                    waiting = [asyncio.create_task(desk.send()) for _ in range(12)]
                    await asyncio.sleep(0.5)
                    await desk.refuses(GONE)
                    assert sum(not each.done() for each in waiting) <= 4
                answers = await asyncio.gather(*waiting)
                assert GONE in answers
                assert APPROVED in answers
                await desk.passes()
                await desk.audit(database_url)
                told = [row for row in journal(database_url) if row.kind == "ORDER_APPROVED"]
                # What was turned away was not decided behind its caller's back.
                assert len(told) == len(desk.approved) + 1
