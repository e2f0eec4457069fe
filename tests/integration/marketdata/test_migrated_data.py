"""What the first tables held is there after the migrations, and rolled up, on PostgreSQL and on TimescaleDB."""

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from alembic import command

from services.marketdata.settings import MarketdataSettings
from shared import migrations
from tests.conftest import MakeSettings
from tests.harness import Tokens, fresh_database, migrate_all, plain
from tests.integration.marketdata.client import START, client_of

pytestmark = pytest.mark.integration
# Across the end of a month.
FIRST, MINUTES = START + timedelta(days=28), 4 * 24 * 60
ISSUE = {"code": "bar_prices", "severity": "critical", "message": "high is below low"}


@pytest.fixture(params=["postgres_url", "timescaledb_url"])
def first_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database with the tables of the first migration."""
    with fresh_database(request.getfixturevalue(request.param), "template0") as url:
        config = migrations._config("marketdata")
        config.attributes["database_url"] = url
        command.upgrade(config, "0001")
        yield url


def fill(url: str) -> None:
    bars = """
        INSERT INTO marketdata.ohlcv_bar
            (scope, symbol, interval, ts, source, open, high, low, close, volume, revision, severity, issues, ts_init)
        SELECT '', 'X', '1m', %(start)s::timestamptz + n * interval '1 minute', 'one', 100, 100 + n %% 7, 99, 100.5, 1,
            1, CASE WHEN n = 5 THEN 'critical' ELSE 'ok' END,
            (CASE WHEN n = 5 THEN %(issues)s ELSE '[]' END)::json, %(start)s
        FROM generate_series(0, %(minutes)s - 1) AS n
    """
    state = """
        INSERT INTO marketdata.market_state
            (market_state_id, scope, source, symbol, ts, spot_price, option_chain, content_hash, ts_init,
             severity, issues)
        VALUES (%s, '', 'one', 'X', %s, %s, %s, %s, %s, 'ok', '[]')
    """
    with psycopg.connect(plain(url)) as connection:
        connection.execute(bars.encode(), {"start": FIRST, "minutes": MINUTES, "issues": json.dumps([ISSUE])})
        for number, (name, ts, price) in enumerate((("a", FIRST, 100), ("b", FIRST, 101), ("c", None, 102))):
            values = (name, ts, price, json.dumps([]), name, FIRST + timedelta(hours=number))
            connection.execute(state.encode(), values)


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(plain(url)) as connection:
        return connection.execute(query.encode()).fetchall()


async def test_what_was_there_is_kept_and_rolled_up(
    make_settings: MakeSettings, tokens: Tokens, first_database: str
) -> None:
    url = first_database
    fill(url)
    kept = "SELECT symbol, ts, source, open, high, low, close, volume, revision, ts_init FROM marketdata.ohlcv_bar"
    before = sorted(rows(url, kept))
    migrations.upgrade("marketdata", url)
    assert sorted(rows(url, kept)) == before
    assert len(before) == MINUTES
    assert rows(url, "SELECT ts, severity, issues FROM marketdata.ohlcv_bar WHERE severity > 0") == [
        (FIRST + timedelta(minutes=5), 2, [ISSUE])
    ]
    states = "SELECT market_state_id, revision, timestamp, ts FROM marketdata.{} ORDER BY market_state_id"
    later = FIRST + timedelta(hours=2)
    assert rows(url, states.format("market_state")) == [("b", 2, FIRST, FIRST), ("c", 1, None, later)]
    assert rows(url, states.format("market_state_revision")) == [("a", 1, FIRST, FIRST)]
    migrate_all(url)
    async with client_of(make_settings(MarketdataSettings, database_url=url), tokens) as client:
        hours = await client.all("/bars?symbol=X&interval=1h")
        assert [each["bars"] for each in hours] == [59, *[60] * (MINUTES // 60 - 1)]
        assert sum(Decimal(each["volume"]) for each in hours) == MINUTES - 1
        days = await client.all("/bars?symbol=X&interval=1d")
        assert [each["bars"] for each in days] == [1439, *[1440] * (MINUTES // 1440 - 1)]
        for found in (hours, days):
            assert [each["left_out"] for each in found] == [1, *[0] * (len(found) - 1)]
            assert [each["severity"] for each in found] == ["warning", *["ok"] * (len(found) - 1)]
        minutes = await client.all("/bars?symbol=X&interval=1m&limit=1000")
        assert len(minutes) == MINUTES
