"""The history of accounts: written by the leader alone, beside the decisions."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from prometheus_client import REGISTRY

from shared.clock import ManualClock
from shared.embedded import EmbeddedPostgres
from tests.harness import plain
from tests.integration.risk.client import until
from tests.integration.risk.conftest import Running
from tests.integration.risk.recorded import WIDE, buy, has, keeping, kept_at, points, soon

pytestmark = pytest.mark.integration


async def test_what_a_leader_that_was_cut_off_did_not_write_the_next_one_does(
    run_risk: Running, database_url: str
) -> None:
    async with run_risk() as risk:
        await risk.set_up(limits=WIDE)
        await buy(risk, "400")
        await has(risk, 1, "level")
        before = await points(risk)
    with psycopg.connect(plain(database_url), autocommit=True) as connection:
        connection.execute("DELETE FROM risk.portfolio_history; DELETE FROM risk.risk_metrics_history")
    async with run_risk() as risk:
        await has(risk, 1, "level")
        again = [each for each in await points(risk) if each["reason"] == "level"]
    lost = [each for each in before if each["reason"] == "level"]
    names = ("ts", "journal_seq", "level", "level_reason")
    assert [[each[name] for name in names] for each in again] == [[each[name] for name in names] for each in lost]


async def test_a_standby_writes_nothing_until_it_leads(run_risk: Running, database_url: str) -> None:
    async with AsyncExitStack() as first:
        leader = await first.enter_async_context(run_risk())
        await leader.set_up(limits=WIDE)
        await buy(leader, "10")
        async with (
            run_risk(ready=False) as standby,
            keeping(standby, database_url, every=timedelta(milliseconds=100)),
        ):
            async with keeping(leader, database_url, every=timedelta(milliseconds=500)):
                await has(leader, 3, "minute")
                # Of the two it is the leader's: on a standby there is nothing that could be read.
            # The leader's own keeper writes at the turn of a minute.
            if (second := datetime.now(UTC).second) > 54:
                await asyncio.sleep(61 - second)
            before = len(await points(leader))
            await asyncio.sleep(1)
            assert len(await points(leader)) == before
            # What the leader wrote can be read there all the same.
            assert await points(standby) == await points(leader)
            await first.aclose()
            await until(standby.ready)
            await has(standby, before + 2)


async def test_decisions_go_on_where_the_history_cannot_be_written_and_what_is_too_much_is_counted(
    run_risk: Running, database_url: str
) -> None:
    async with run_risk() as risk:
        await risk.set_up(limits=WIDE)
        await buy(risk, "10")
        before = REGISTRY.get_sample_value("risk_history_dropped_total") or 0
        with psycopg.connect(plain(database_url), autocommit=True) as connection:
            connection.execute("ALTER TABLE risk.portfolio_history RENAME TO gone")
            async with keeping(risk, database_url, every=timedelta(milliseconds=50), most_waiting=3):

                async def dropped() -> bool:
                    return (REGISTRY.get_sample_value("risk_history_dropped_total") or 0) > before

                await until(dropped)
                async with asyncio.timeout(2):
                    for number in range(20):
                        assert (await risk.order(f"later-{number}"))["decision"] == "APPROVED"
                assert await risk.ready()
                connection.execute("ALTER TABLE risk.gone RENAME TO portfolio_history")
                # What waited is written, and it goes on.
                await has(risk, 6)


async def test_a_moment_that_fits_no_column_holds_up_no_other(run_risk: Running, database_url: str) -> None:
    async with run_risk() as risk:
        await risk.set_up(limits=WIDE)
        await risk.set_up("rich", initial_cash="1000000000000000", limits=WIDE)
        await risk.set_up("last", limits=WIDE)
        before = REGISTRY.get_sample_value("risk_history_dropped_total") or 0
        with psycopg.connect(plain(database_url)) as connection:
            connection.execute("ALTER TABLE risk.portfolio_history ALTER COLUMN equity TYPE numeric(20, 10)")
            connection.execute("TRUNCATE risk.portfolio_history, risk.risk_metrics_history")
            # While the tables are held, the second and the third account wait for one statement.
            async with keeping(risk, database_url, every=timedelta(days=400)):
                await asyncio.sleep(1)
                await asyncio.to_thread(connection.commit)
                await has(risk, 1, account="last")
            assert await points(risk, account="rich") == []
        assert (REGISTRY.get_sample_value("risk_history_dropped_total") or 0) > before


async def test_postgresql_that_was_away_is_written_to_again(run_risk: Running, own_postgres: EmbeddedPostgres) -> None:
    url = own_postgres.start()
    clock = ManualClock(soon())
    async with run_risk(database_url=url, clock=clock) as risk:
        await risk.set_up(limits=WIDE)
        await buy(risk, "10")
        clock.advance(timedelta(minutes=1))
        await kept_at(risk, clock.now())
        await asyncio.to_thread(own_postgres.stop)
        clock.advance(timedelta(minutes=1))
        await asyncio.sleep(1)
        assert (await risk.call("POST", "/accounts/main/orders", {})).status_code in {422, 503}
        await asyncio.to_thread(own_postgres.start)
        await until(risk.ready)
        await risk.mark("100")
        assert (await risk.order("after"))["decision"] == "APPROVED"
        clock.advance(timedelta(minutes=1))
        await kept_at(risk, clock.now())
