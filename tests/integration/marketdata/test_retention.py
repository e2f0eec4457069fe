"""What is kept and for how long, on plain PostgreSQL and on TimescaleDB; and what GET /storage tells of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from services.marketdata.core.catalogue import Subject
from services.marketdata.core.retention import Retention
from services.marketdata.core.widths import WIDTHS, Span
from services.marketdata.maintenance import Maintenance
from services.marketdata.roll_ups import RollUps
from services.marketdata.settings import MarketdataSettings
from services.marketdata.store import Partitions
from shared.clock import SystemClock
from shared.database import Database
from shared.timescale import Rung
from tests.conftest import MakeSettings
from tests.harness import Tokens, plain
from tests.integration.marketdata.client import BASE, bar, batch, client_of
from tests.integration.marketdata.measured import metric

pytestmark = pytest.mark.integration
CLOCK = SystemClock()
ALWAYS = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


def tick(at: datetime, number: int = 1) -> dict[str, Any]:
    return {"symbol": "X", "ts": at.isoformat(), "trade_id": str(number), "price": "100", "quantity": "1"}


async def maintain(url: str, retention: Retention) -> bool:
    """Remove what is no longer kept; return whether all of it could go."""
    database = Database(url, application_name="test")
    try:
        partitions = Partitions(database, retention)
        await RollUps(database, partitions, CLOCK, 1.0).current(Subject.TICK, Span("", "X", "", *ALWAYS))
        return await Maintenance(database, partitions, CLOCK).work()
    finally:
        await database.dispose()


def count(url: str, table: str) -> int:
    with psycopg.connect(plain(url)) as connection:
        row = connection.execute(f"SELECT count(*) FROM marketdata.{table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def run_jobs(url: str, *procedures: str) -> int:
    """Have TimescaleDB run its policies now; return how many there were."""
    query = "SELECT job_id FROM timescaledb_information.jobs WHERE proc_name = ANY(%s) ORDER BY job_id"
    with psycopg.connect(plain(url), autocommit=True) as connection:
        jobs = connection.execute(query, [list(procedures)]).fetchall()
        for job in jobs:
            connection.execute("CALL run_job(%s)", job)
    return len(jobs)


async def test_rows_are_removed_by_the_partition_and_their_roll_ups_stay(
    make_settings: MakeSettings, tokens: Tokens, series_database_url: str
) -> None:
    url, now = series_database_url, CLOCK.now()
    old, recent = now - timedelta(days=400), now - timedelta(days=3)
    async with client_of(make_settings(MarketdataSettings, database_url=url), tokens) as client:
        ticks = [tick(old, 1), tick(recent, 2)]
        await client.post("/ticks", {"source": "one", "ticks": ticks})
        await client.post("/ticks", {"source": "one", "ticks": [{**tick(old, 1), "price": "101"}]})
        await client.post("/bars", batch(bar(0)))
        assert (count(url, "trade_tick"), count(url, "trade_tick_revision")) == (2, 1)
        before = await client.all("/trade-volume/hourly?symbol=X")
        assert len(before) == 2
        assert await maintain(url, Retention({Subject.TICK: 90}))
        database = (await client.get("/storage"))["database"]
        if database == Rung.COMMUNITY:
            assert run_jobs(url, "policy_retention") == 1
            run_jobs(url, "policy_refresh_continuous_aggregate")
        assert (count(url, "trade_tick"), count(url, "trade_tick_revision")) == (1, 0)
        assert count(url, "ohlcv_bar") == 1
        assert await client.all("/trade-volume/hourly?symbol=X") == before
        policies = (await client.get("/storage"))["policies"]
        (run,) = [each for each in policies if each["subject"] == "trade_tick" and "etention" in each["policy"]]
        removed = {Rung.PLAIN: "removed trade_tick_", Rung.APACHE: "removed _timescaledb_internal._hyper_"}
        assert run["policy"] == ("retention" if database in removed else "Retention Policy")
        if database in removed:
            assert run["last_status"] == "Success"
            assert removed[database] in run["detail"]
        body = {"source": "one", "ticks": [tick(old, 9)]}
        if database == Rung.PLAIN:
            # Another process removed the partition: the first who misses it is told so, the next finds a new one.
            assert (await client.http.post(f"{BASE}/ticks", json=body)).status_code == 503
        await client.post("/ticks", body)
        assert count(url, "trade_tick") == 2


async def test_what_waits_to_be_rolled_up_is_not_removed(
    make_settings: MakeSettings, tokens: Tokens, series_database_url: str
) -> None:
    url, old = series_database_url, CLOCK.now() - timedelta(days=400)
    settings = make_settings(MarketdataSettings, database_url=url, marketdata_roll_up_seconds=3600)
    async with client_of(settings, tokens) as client:
        await client.post("/ticks", {"source": "one", "ticks": [tick(old)]})
        database = (await client.get("/storage"))["database"]
    # As was told before anything waited.
    await maintain(url, Retention({Subject.TICK: 1_000}))
    with psycopg.connect(plain(url), autocommit=True) as connection:
        connection.execute(
            "INSERT INTO marketdata.roll_up_queue (of, scope, symbol, source, from_ts, to_ts, queued_at)"
            " VALUES ('tick', '', 'Y', 'one', %s, %s, now())",
            (old, old + timedelta(hours=1)),
        )
    assert not await maintain(url, Retention({Subject.TICK: 90}))
    if database == Rung.COMMUNITY:
        assert run_jobs(url, "policy_retention") == 0
    else:
        with psycopg.connect(plain(url)) as connection:
            query = "SELECT succeeded, detail FROM marketdata.policy_run WHERE subject = 'trade_tick' ORDER BY run_id"
            assert connection.execute(query).fetchall()[-1] == (False, "rows still wait to be rolled up")
    assert count(url, "trade_tick") == 1
    with psycopg.connect(plain(url), autocommit=True) as connection:
        connection.execute("DELETE FROM marketdata.roll_up_queue")
    await maintain(url, Retention({Subject.TICK: 90}))
    if database == Rung.COMMUNITY:
        assert run_jobs(url, "policy_retention") == 1
    assert count(url, "trade_tick") == 0


async def test_a_refresh_that_looks_back_further_than_rows_are_kept_takes_no_roll_up_away(
    make_settings: MakeSettings, tokens: Tokens, aggregates_database_url: str
) -> None:
    url, now = aggregates_database_url, CLOCK.now()
    async with client_of(make_settings(MarketdataSettings, database_url=url), tokens) as client:
        ticks = [tick(now - timedelta(days=days), days) for days in (20, 3)]
        await client.post("/ticks", {"source": "one", "ticks": ticks})
        before = await client.all("/trade-volume/hourly?symbol=X")
        assert len(before) == 2
        await maintain(url, Retention({Subject.TICK: 10}))
        assert run_jobs(url, "policy_retention") == 1
        # Those of bars look back further than ten days too, but their rows are kept.
        refreshed = run_jobs(url, "policy_refresh_continuous_aggregate")
        assert count(url, "trade_tick") == 1
        assert await client.all("/trade-volume/hourly?symbol=X") == before
        assert refreshed == len(WIDTHS)
        # What comes late into what is kept is still rolled up.
        await client.post("/ticks", {"source": "one", "ticks": [tick(now - timedelta(days=5), 5)]})
        assert len(await client.all("/trade-volume/hourly?symbol=X")) == 3


async def test_what_is_older_than_is_kept_is_refused(make_settings: MakeSettings, tokens: Tokens) -> None:
    now = CLOCK.now()
    old, recent = now - timedelta(days=40), now - timedelta(days=3)
    settings = make_settings(MarketdataSettings, marketdata_keep_ticks_days=30, marketdata_keep_market_states_days=30)
    async with client_of(settings, tokens) as client:
        answer = await client.post("/ticks", {"source": "one", "ticks": [tick(old, 1), tick(recent, 2)]})
        assert (answer["stored"], answer["rejected_count"], answer["received"]) == (1, 1, 2)
        assert answer["rejected"][0]["index"] == 0
        assert "older than what is kept" in answer["rejected"][0]["reason"]
        state = {"symbol": "X", "timestamp": old.isoformat(), "spot_price": "100"}
        for path, body in (
            ("/ticks", {"source": "one", "ticks": [tick(old)]}),
            ("/market-states", {"source": "one", "states": [state]}),
        ):
            counted = {"kind": "tick" if path == "/ticks" else "market_state", "outcome": "rejected"}
            before = metric("marketdata_rows_total", **counted) or 0
            response = await client.http.post(BASE + path, json=body)
            assert response.status_code == 422
            assert metric("marketdata_rows_total", **counted) == before + 1
            assert "older than what is kept" in response.json()["errors"][0]["message"]


async def test_the_storage_is_told(make_settings: MakeSettings, tokens: Tokens, series_database_url: str) -> None:
    settings = make_settings(MarketdataSettings, database_url=series_database_url, marketdata_keep_ticks_days=1_000)
    async with client_of(settings, tokens) as client:
        await client.post("/bars", batch(*(bar(minute) for minute in range(100))))
        await maintain(series_database_url, settings.retention)
        storage = await client.get("/storage")
        series = {each["table"]: each for each in storage["series"]}
        assert series["ohlcv_bar"]["chunks"] == 1
        assert series["ohlcv_bar"]["bytes"] > 0
        # What the database counted last, and named so: there is no count that costs nothing.
        assert "rows" not in series["ohlcv_bar"]
        with psycopg.connect(plain(series_database_url), autocommit=True) as connection:
            connection.execute("ANALYZE marketdata.ohlcv_bar")
        (bars,) = [s for s in (await client.get("/storage"))["series"] if s["table"] == "ohlcv_bar"]
        assert bars["rows_estimated"] == 100
        assert storage["roll_ups_waiting"] == 0
        assert (storage["database"] == Rung.PLAIN) == (storage["extension_version"] is None)
        policies = {(each["policy"], each["subject"]) for each in storage["policies"]}
        if storage["database"] != Rung.COMMUNITY:
            assert policies == {
                ("retention", each) for each in ("trade_tick", "liquidation_event", "order_book_snapshot")
            }
            assert series["ohlcv_bar"]["compressed_chunks"] == 0
            return
        assert ("Columnstore Policy", "ohlcv_bar") in policies
        assert ("Retention Policy", "trade_tick") in policies
        assert ("Refresh Continuous Aggregate Policy", "ohlcv_1d_nse") in policies
        with psycopg.connect(plain(series_database_url), autocommit=True) as connection:
            connection.execute("SELECT compress_chunk(c) FROM show_chunks('marketdata.ohlcv_bar') AS c")
        (packed,) = [s for s in (await client.get("/storage"))["series"] if s["table"] == "ohlcv_bar"]
        assert packed["compressed_chunks"] == 1
        assert packed["compression_ratio"] > 0
        # What is compressed can be corrected, and is still read.
        answer = await client.post("/bars", batch(bar(50, "101"), bar(200)))
        assert (answer["stored"], answer["revised"]) == (2, 1)
        assert len(await client.all("/bars?symbol=X&interval=1m&simulation_id=s1&limit=1000")) == 101


async def test_a_policy_of_timescaledb_follows_the_settings(aggregates_database_url: str) -> None:
    def kept() -> list[str]:
        with psycopg.connect(plain(aggregates_database_url)) as connection:
            rows = connection.execute(
                "SELECT hypertable_name || ' ' || (config ->> 'drop_after') FROM timescaledb_information.jobs"
                " WHERE proc_name = 'policy_retention' ORDER BY 1"
            ).fetchall()
        return [str(row[0]) for row in rows]

    for days, expected in ((100, ["trade_tick 100 days"]), (200, ["trade_tick 200 days"]), (0, [])):
        for _ in range(2):
            await maintain(aggregates_database_url, Retention({Subject.TICK: days}))
            assert kept() == expected
