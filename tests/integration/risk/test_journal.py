import asyncio
from datetime import UTC, datetime

import psycopg
import pytest
from redis.asyncio import Redis

from shared.embedded import EmbeddedPostgres
from shared.events import MARKS_STREAM, publish
from shared.journal import GENESIS_HASH, canonical, row_hash
from shared.schemas.journal import JournalPage
from shared.schemas.marketdata import MarkMessage
from tests.harness import plain
from tests.integration.risk.client import RiskClient, order, until
from tests.integration.risk.conftest import Running

pytestmark = pytest.mark.integration


async def test_any_reader_can_follow_the_chain(risk: RiskClient) -> None:
    telemetry = {
        "prediction_id": "p",
        "model_name": "m",
        "model_version": "1.0.0",
        "model_hash": "0" * 16,
        "features": {"a": 0.1 + 0.2, "b": 1e-17, "c": 5e-324, "d": -0.0, "e": 1.0},
        "raw_confidence": 1 / 3,
        "calibrated_confidence": 0.5,
        "uncertainty": 0.9,
        "regime": "calm",
    }
    await risk.order("o1", telemetry=telemetry)
    page = JournalPage.model_validate(await risk.ok("GET", "/journal"))
    previous = GENESIS_HASH
    for number, row in enumerate(page.items, start=1):
        assert row.seq == number
        assert row.prev_hash == previous
        body = canonical(row.body)
        assert row.hash == row_hash(row.seq, row.ts, row.epoch, row.account_id, row.kind, body, row.prev_hash)
        previous = row.hash
    assert page.last_seq == page.next_after == len(page.items)


async def test_pages_by_kind_never_skip_and_always_move_on(risk: RiskClient) -> None:
    for number in range(5):
        await risk.order(f"o{number}")
        await risk.mark(str(100 + number))
    after, seqs = 0, []
    for _ in range(10):
        page = await risk.ok("GET", f"/journal?after={after}&limit=2&kind=ORDER_APPROVED&kind=ORDER_DENIED")
        seqs += [row["seq"] for row in page["items"]]
        if page["next_after"] == page["last_seq"]:
            break
        after = page["next_after"]
    assert len(seqs) == 5
    assert seqs == sorted(seqs)


async def test_the_journal_refuses_to_be_changed(risk: RiskClient, database_url: str) -> None:
    with psycopg.connect(plain(database_url), autocommit=True) as connection:
        for statement in (
            "UPDATE risk.journal SET body = '{}'",
            "DELETE FROM risk.journal",
            "TRUNCATE risk.journal",
        ):
            with pytest.raises(psycopg.errors.RaiseException, match="append only"):
                connection.execute(statement.encode())


@pytest.mark.parametrize(
    ("tamper", "seq", "problem"),
    [
        ("UPDATE risk.journal SET body = replace(body, '\"BUY\"', '\"SELL\"') WHERE seq = 6", 6, "does not match"),
        ("UPDATE risk.journal SET hash = repeat('0', 64) WHERE seq = 2", 2, "does not match"),
        ("DELETE FROM risk.journal WHERE seq = 3", 4, "missing"),
        ("DELETE FROM risk.journal WHERE seq > 4", 5, "missing"),
    ],
)
async def test_one_altered_byte_or_missing_row_is_found(
    run_risk: Running, database_url: str, tamper: str, seq: int, problem: str
) -> None:
    async with run_risk() as risk:
        await risk.set_up()
        await risk.order("o1")
        await risk.order("o2")
        assert (await risk.ok("GET", "/journal/verify"))["ok"]
        with psycopg.connect(plain(database_url), autocommit=True) as connection:
            connection.execute("ALTER TABLE risk.journal DISABLE TRIGGER append_only")
            connection.execute(tamper.encode())
        found = await risk.ok("GET", "/journal/verify")
        assert (found["ok"], found["first_bad_seq"]) == (False, seq)
        assert problem in found["problem"]


class TestFaults:
    async def test_only_one_process_leads_and_the_other_takes_over(self, run_risk: Running) -> None:
        async with run_risk() as first:
            await first.set_up()
            await first.order("o1", "60")
            async with run_risk(ready=False) as second:

                async def standing_by() -> bool:
                    return "stands by" in (await second.engine_state() or "")

                await until(standing_by)
                assert (await second.call("POST", "/accounts/main/orders", order("o2"))).status_code == 503
        async with run_risk() as third:
            assert (await third.order("o2", "41"))["decision"] == "DENIED"

    async def test_a_deposed_leader_cannot_write(self, run_risk: Running, database_url: str) -> None:
        async with run_risk() as risk:
            await risk.set_up()
            # What a new leader does first, while this one still believes it leads.
            with psycopg.connect(plain(database_url), autocommit=True) as connection:
                connection.execute("UPDATE risk.leader SET epoch = epoch + 1")
            response = await risk.call("POST", "/accounts/main/orders", order("o1"))
            assert response.status_code == 503
            await until(risk.ready)
            assert (await risk.order("o1"))["decision"] == "APPROVED"
            assert (await risk.ok("GET", "/journal/verify"))["ok"]

    async def test_a_lost_lease_is_noticed_without_an_order(self, run_risk: Running, database_url: str) -> None:
        async with run_risk() as risk:
            await risk.set_up()
            with psycopg.connect(plain(database_url), autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'keelson-risk-engine'"
                )

            async def rebuilt() -> bool:
                epoch = 0
                with psycopg.connect(plain(database_url), autocommit=True) as connection:
                    row = connection.execute("SELECT epoch FROM risk.leader").fetchone()
                    epoch = row[0] if row else 0
                return epoch == 2 and await risk.ready()

            await until(rebuilt)
            assert (await risk.order("o1"))["decision"] == "APPROVED"


class TestMarks:
    def message(self, price: str, **fields: object) -> MarkMessage:
        values = {"symbol": "STOCK", "price": price, "ts_event": datetime.now(UTC).isoformat(), "source": "test"}
        return MarkMessage.model_validate({**values, **fields})

    async def price(self, risk: RiskClient, simulation: str = "") -> str | None:
        page = await risk.ok("GET", f"/marks?symbol=STOCK{simulation}")
        return page["items"][0]["price"] if page["items"] else None

    async def test_marks_of_the_stream_are_taken_apart_by_simulation(self, risk: RiskClient, redis_url: str) -> None:
        async with Redis.from_url(redis_url, decode_responses=True) as redis:
            await publish(redis, MARKS_STREAM, [self.message("7", simulation_id="s1"), self.message("113")])

        async def taken() -> bool:
            return await self.price(risk) == "113" and await self.price(risk, "&simulation_id=s1") == "7"

        await until(taken)

    async def test_whoever_sends_marks_is_told_what_became_of_each(self, risk: RiskClient) -> None:
        now = datetime.now(UTC).isoformat()
        marks = [
            {"symbol": "NOPE", "price": "1", "ts_event": now},
            {"symbol": "STOCK", "price": "101", "ts_event": now},
            {"symbol": "OTHER", "price": "5", "quality": "critical", "ts_event": now},
        ]
        told = await risk.ok("POST", "/marks", {"marks": marks})
        assert told["count"] == 1
        assert told["ignored"] == [{"symbol": "NOPE", "reason": "not a known instrument"}]
        assert [each["symbol"] for each in told["doubted"]] == ["OTHER"]

    async def test_marks_wait_in_the_stream_while_the_database_is_away(
        self, own_postgres: EmbeddedPostgres, run_risk: Running, redis_url: str
    ) -> None:
        url = own_postgres.start()
        async with run_risk(database_url=url) as risk:
            await risk.set_up()
            own_postgres.stop()
            async with Redis.from_url(redis_url, decode_responses=True) as redis:
                await publish(redis, MARKS_STREAM, [self.message("104")])
            await asyncio.sleep(0.8)
            own_postgres.start()
            await until(risk.ready)

            async def taken() -> bool:
                return await self.price(risk) == "104"

            await until(taken)
