"""Fail closed: while anything a decision rests on is gone or in doubt nothing is approved, and it comes back by itself.

Over HTTP against the service as a process of its own; its marks come over Redis, as marketdata sends them.
"""

import asyncio
from functools import partial

import psycopg
import pytest
from redis.asyncio import Redis

from shared.embedded import EmbeddedPostgres, EmbeddedValkey
from tests.harness import plain
from tests.integration.risk.client import until
from tests.integration.risk.closed import APPROVED, GONE, ORDERS, PATIENCE, locked_journal, states, trading
from tests.integration.risk.load import Load, journal
from tests.integration.risk.processes import RiskProcess, Start

pytestmark = pytest.mark.integration
EURO = {"symbol": "EURO", "currency": "EUR", "asset_class": "EQUITY", "tick_size": "0.01"}
RATE = {"symbol": "EUR/USD", "currency": "USD", "asset_class": "FX", "tick_size": "0.0001"}
BREAK = {
    "altered": b"UPDATE risk.journal SET body = replace(body, '1000000000', '9000000000') WHERE seq = %s",
    "cut": b"DELETE FROM risk.journal WHERE seq = %s",
}


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
                    await until(partial(_more, load, before), PATIENCE)
                    own_postgres.kill()
                    await asyncio.sleep(0.1)
                    own_postgres.start()
                before = len(load.approved)
                await until(partial(_more, load, before), PATIENCE)
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
                await until(lambda: _deciding(risk), PATIENCE)
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
                    await asyncio.sleep(3.2)
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
                    (row,) = [each for each in good if each.kind == "ACCOUNT_OPENED"] if how == "altered" else good[-1:]
                    connection.execute(BREAK[how], (row.seq,))
                    assert journal(database_url) != good
                    risk.start()
                    await desk.refuses(GONE)
                    assert not (await states(risk))["engine"]
                    connection.execute("DELETE FROM risk.journal WHERE seq = %s", (row.seq,))
                    connection.execute(
                        "INSERT INTO risk.journal VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
                        (row.seq, row.ts, row.epoch, row.account_id, row.kind, row.body, row.prev_hash, row.hash),
                    )
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
