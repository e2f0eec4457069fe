"""What a process does by itself says when it was done; what fails does not, and what another one does is left to it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest
from prometheus_client import REGISTRY

from services.marketdata import store
from services.marketdata.alone import key_of
from services.marketdata.backfills import Backfills, new_id
from services.marketdata.core.stream.news import News
from services.marketdata.feeds.connector import Batch
from services.marketdata.feeds.manager import Manager, Wiring
from services.marketdata.settings import MarketdataSettings
from shared.clock import SystemClock
from shared.database import Database
from shared.schemas.feeds import BackfillRequest
from shared.schemas.marketdata import Bar, IngestResult, Interval
from shared.tasks import stop
from tests.conftest import MakeSettings
from tests.harness import Tokens, plain
from tests.integration.marketdata.client import Client, bar, batch, client_of
from tests.integration.marketdata.feeds.desk import CALLS, running
from tests.integration.marketdata.feeds.sources import Polled, Sink, until
from tests.integration.marketdata.measured import done, forget, metric

pytestmark = pytest.mark.integration
CLOCK = SystemClock()
WATCHES = ("watch_times", "watch_clocks", "watch_prices", "watch_gaps", "watch_volumes")
WORKS = ("sources", "backfills", "roll_ups", "retention", *WATCHES)


@asynccontextmanager
async def quick(make_settings: MakeSettings, tokens: Tokens, **more: object) -> AsyncIterator[Client]:
    settings = make_settings(
        MarketdataSettings, marketdata_monitor_seconds=0.1, marketdata_roll_up_seconds=0.05, **more
    )
    async with client_of(settings, tokens) as client:
        yield client


def rename(url: str, table: str, to: str) -> None:
    with psycopg.connect(plain(url), autocommit=True) as connection:
        connection.execute(f"ALTER TABLE marketdata.{table} RENAME TO {to}".encode())


@asynccontextmanager
async def taken_by_another(url: str, key: int) -> AsyncIterator[None]:
    """Cut the connection that holds a lock of PostgreSQL, and hold it instead."""
    async with await psycopg.AsyncConnection.connect(plain(url), autocommit=True) as connection:
        cut = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND granted"
        assert (await (await connection.execute(cut, (key,))).fetchall()) == [(True,)]
        await connection.execute("SELECT pg_advisory_lock(%s)", (key,))
        yield


async def test_each_work_says_when_it_was_done(make_settings: MakeSettings, tokens: Tokens) -> None:
    forget(*WORKS)
    began = CLOCK.now().timestamp()
    async with quick(make_settings, tokens):
        await until(lambda: all(map(done, WORKS)), 20)
    for work in WORKS:
        assert began <= (metric("marketdata_work_timestamp_seconds", work=work) or 0) <= CLOCK.now().timestamp(), work


async def test_a_check_that_fails_is_not_done_and_the_others_are(
    make_settings: MakeSettings, tokens: Tokens, database_url: str
) -> None:
    rename(database_url, "row_volume", "gone")
    forget(*WATCHES)
    async with quick(make_settings, tokens):
        await until(lambda: all(done(watch) for watch in WATCHES if watch != "watch_volumes"), 20)
        await asyncio.sleep(0.5)
        assert not done("watch_volumes")


async def test_roll_ups_that_fail_are_not_done_until_they_can_be(
    make_settings: MakeSettings, tokens: Tokens, database_url: str
) -> None:
    async with quick(make_settings, tokens) as client:
        rename(database_url, "bar_roll_up", "gone")
        await client.post("/bars", batch(bar(0), simulation_id=None))
        await asyncio.sleep(0.3)
        forget("roll_ups")
        await asyncio.sleep(0.5)
        assert not done("roll_ups")
        rename(database_url, "gone", "bar_roll_up")
        await until(lambda: done("roll_ups"), 10)


async def test_sources_that_cannot_be_looked_at_are_not_driven() -> None:
    failing = True

    def waited(_: str, __: datetime, ___: datetime) -> float:
        if failing:
            raise LookupError("no calendar")
        return 0.0

    manager = Manager([Polled(lambda: asyncio.sleep(60))], CLOCK, Wiring(Sink(), waited=waited), CALLS)
    forget("sources")
    async with running(manager):
        await asyncio.sleep(0.5)
        assert not done("sources")
        failing = False
        await until(lambda: done("sources"))


class Historic(Polled):
    """A source with a minute of history."""

    async def fetch_bars(self, symbol: str, interval: Interval, start: datetime, end: datetime) -> list[Bar]:
        price = Decimal(1)
        row = Bar(
            symbol=symbol, interval=interval, ts=start, open=price, high=price, low=price, close=price, volume=price
        )
        return [row] if start < end else []


async def test_a_backfill_that_fails_is_counted_and_holds_up_no_other(database_url: str) -> None:
    sink = Sink()
    failing = True

    async def taken(batch: Batch, news: News | None = None) -> IngestResult:
        nonlocal failing
        if failing:
            failing = False
            raise ValueError("it will never be taken")
        return await sink(batch, news)

    database = Database(database_url, application_name="test")
    manager = Manager([Historic(lambda: asyncio.sleep(60), name="h")], CLOCK, Wiring(taken), CALLS)
    start = datetime(2024, 1, 2, tzinfo=UTC)
    request = BackfillRequest(
        source="h", symbol="X", interval="1m", start=start, end=start + timedelta(minutes=1), reason="history"
    )
    before = {state: metric("marketdata_backfills_total", state=state) or 0 for state in ("DONE", "FAILED")}
    names = [new_id(), new_id()]
    try:
        async with database.session() as session:
            for name in names:
                await store.put_backfill(session, name, request, "test", CLOCK.now())
        forget("backfills")
        task = asyncio.create_task(Backfills(database, manager, taken, CLOCK).run())
        await until(lambda: (metric("marketdata_backfills_total", state="DONE") or 0) > before["DONE"])
        await until(lambda: done("backfills"))
        await stop(task)
        async with database.session() as session:
            found = [await store.get_backfill(session, name) for name in names]
    finally:
        await database.dispose()
    assert sorted((each.state.value, each.error) for each in found if each is not None) == [
        ("DONE", None),
        ("FAILED", "ValueError: it will never be taken"),
    ]
    after = {state: metric("marketdata_backfills_total", state=state) or 0 for state in before}
    assert after == {state: count + 1 for state, count in before.items()}


async def is_shown_again(shown: Callable[[], bool], url: str, key: int) -> None:
    """Have another process take a lock, and let it go: what is shown goes and comes with it."""
    await until(shown, 20)
    async with taken_by_another(url, key):
        await until(lambda: not shown(), 20)
        await asyncio.sleep(0.5)
        assert not shown()
    await until(shown, 20)


async def test_who_does_not_drive_the_sources_any_more_shows_nothing_of_them(
    make_settings: MakeSettings, tokens: Tokens, database_url: str
) -> None:
    async with quick(make_settings, tokens, primary_source="one", marketdata_sources="two") as client:
        now = CLOCK.now().isoformat()
        row = {"symbol": "X", "ts": now, "trade_id": "1", "price": "100", "quantity": "1"}
        await client.post("/ticks", {"source": "one", "ticks": [row]})

        def gauges() -> set[str]:
            return {
                family.name
                for family in REGISTRY.collect()
                if family.type == "gauge" and any(each.labels.get("source") == "one" for each in family.samples)
            }

        await until(lambda: len(gauges()) == 6, 20)
        await is_shown_again(lambda: len(gauges()) > 0, database_url, key_of("sources"))
        await until(lambda: metric("marketdata_feed_priority", source="two") == 1)
    assert gauges() == set()


async def test_who_does_not_watch_any_more_shows_no_findings(
    make_settings: MakeSettings, tokens: Tokens, database_url: str
) -> None:
    async with quick(make_settings, tokens):

        def shown() -> bool:
            return metric("marketdata_monitor_findings", code="stale_age", severity="critical") is not None

        await is_shown_again(shown, database_url, key_of("watching"))
    assert not shown()
