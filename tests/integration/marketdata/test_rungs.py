"""What the tables were made as is what serves them, whatever extension or licence the database has by now."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

import psycopg
import pytest
from sqlalchemy import event, text
from sqlalchemy.engine.interfaces import DBAPIConnection

from services.marketdata.roll_ups import RollUps
from services.marketdata.settings import MarketdataSettings
from services.marketdata.store import Partitions
from shared.clock import SystemClock
from shared.database import Database
from shared.timescale import Rung
from tests.conftest import MakeSettings
from tests.harness import Tokens, fresh_database, migrate_all, plain
from tests.integration.marketdata.client import START, Client, bar, batch, client_of

pytestmark = pytest.mark.integration


async def dependency(client: Client) -> tuple[int, dict[str, object]]:
    answer = await client.http.get("/readyz")
    found: dict[str, object] = answer.json()["dependencies"]["storage"]
    return answer.status_code, found


async def test_readiness_names_what_serves(
    make_settings: MakeSettings, tokens: Tokens, series_database_url: str
) -> None:
    async with client_of(make_settings(MarketdataSettings, database_url=series_database_url), tokens) as client:
        storage = await client.get("/storage")
        version = storage["extension_version"] or storage["server_version"]
        assert await dependency(client) == (200, {"ok": True, "detail": f"{storage['database']} {version}"})
    with psycopg.connect(plain(series_database_url)) as connection:
        query = "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"
        found = connection.execute(query).fetchone()
    assert storage["extension_version"] == (found[0] if found else None)
    assert (storage["database"] == Rung.PLAIN) == (found is None)


@pytest.fixture(params=[Rung.PLAIN, Rung.APACHE])
def earlier_database(
    request: pytest.FixtureRequest, timescaledb_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, Rung]]:
    """A database that was migrated before it had the extension, or while it had the licence of the Apache edition."""
    with fresh_database(timescaledb_url, "template0") as url:
        with monkeypatch.context() as then:
            if request.param is Rung.PLAIN:
                then.setattr("shared.timescale._LOADED", text("SELECT false"))
            else:
                then.setattr("shared.timescale.RUNG", text("SELECT 'apache'"))
            migrate_all(url)
        with psycopg.connect(plain(url), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
        yield url, request.param


async def test_a_licence_or_an_extension_that_came_later_changes_nothing(
    make_settings: MakeSettings, tokens: Tokens, earlier_database: tuple[str, Rung]
) -> None:
    url, made = earlier_database
    async with client_of(make_settings(MarketdataSettings, database_url=url), tokens) as client:
        assert (await client.get("/storage"))["database"] == made
        status, found = await dependency(client)
        assert (status, found["ok"]) == (200, True)
        assert str(found["detail"]).startswith(f"{made} ")
        for close, volume in (("100", 120), ("101", 121)):
            rows = [bar(minute, close, volume="1") for minute in range(120)]
            rows[60] = bar(60, close, volume="2" if close == "101" else "1")
            await client.post("/bars", batch(*rows, simulation_id=None))
            hours = await client.all("/bars?symbol=X&interval=1h")
            assert [(datetime.fromisoformat(each["ts"]), each["bars"]) for each in hours] == [
                (START + timedelta(hours=hour), 60) for hour in range(2)
            ]
            assert sum(Decimal(each["volume"]) for each in hours) == volume
            assert {each["close"] for each in hours} == {close}


async def test_aggregates_that_can_no_longer_be_refreshed_are_not_ready(
    make_settings: MakeSettings, tokens: Tokens, aggregates_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(MarketdataSettings, database_url=aggregates_database_url)
    async with client_of(settings, tokens) as client:
        monkeypatch.setattr("services.marketdata.store.rung.RUNG", text("SELECT 'apache'"))
        status, found = await dependency(client)
        assert (status, found["ok"]) == (503, False)
        assert "made as timescaledb-community, and served by timescaledb-apache" in str(found["detail"])


async def test_a_database_that_is_not_migrated_says_so(
    make_settings: MakeSettings, tokens: Tokens, postgres_url: str
) -> None:
    with fresh_database(postgres_url, "template0") as url:
        async with client_of(make_settings(MarketdataSettings, database_url=url), tokens) as client:
            status, found = await dependency(client)
            assert (status, found) == (503, {"ok": False, "detail": "not migrated; run `keelson migrate`"})
            migrate_all(url)
            assert (await dependency(client))[0] == 200


async def test_history_is_summed_a_week_and_not_ten_buckets_at_a_time(
    make_settings: MakeSettings, tokens: Tokens, aggregates_database_url: str
) -> None:
    with psycopg.connect(plain(aggregates_database_url)) as connection:
        connection.execute("""
            INSERT INTO marketdata.ohlcv_bar
                (scope, symbol, interval, ts, source, open, high, low, close, volume, revision, severity, ts_init)
            SELECT '', 'X', '1m', TIMESTAMPTZ '2024-01-01Z' + n * INTERVAL '1 minute', 'one', 1, 1, 1, 1, 1, 1, 0, now()
            FROM generate_series(0, 15 * 1440 - 1) AS n
        """)
        connection.execute("""
            INSERT INTO marketdata.roll_up_queue ("of", scope, symbol, source, from_ts, to_ts, queued_at)
            VALUES ('bar', '', 'X', 'one', '2024-01-01Z', '2024-01-16Z', now())
        """)
    database = Database(aggregates_database_url, application_name="test")

    @event.listens_for(database.engine.sync_engine, "connect")
    def _hasty(connection: DBAPIConnection, _: object) -> None:
        connection.cursor().execute("SET idle_in_transaction_session_timeout = '100ms'")
        connection.commit()

    try:
        # The transaction that took the work waits for longer than others may.
        assert await RollUps(database, Partitions(database), SystemClock(), 1.0).work()
    finally:
        await database.dispose()
    settings = make_settings(MarketdataSettings, database_url=aggregates_database_url)
    async with client_of(settings, tokens) as client:
        assert [each["bars"] for each in await client.all("/bars?symbol=X&interval=1d")] == [1440] * 15
    with psycopg.connect(plain(aggregates_database_url)) as connection:
        kept = connection.execute("""
            SELECT format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name)
            FROM timescaledb_information.continuous_aggregates WHERE view_name = 'ohlcv_5m'
        """).fetchone()
        assert kept is not None
        query = f"SELECT count(*), count(DISTINCT xmin::text) FROM {kept[0]}"
        assert connection.execute(query.encode()).fetchone() == (15 * 288, 3)
