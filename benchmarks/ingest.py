"""How fast bars come in and go out, as ratios to what PostgreSQL does by itself: `python -m benchmarks.ingest`.

In: 50,000 bars of one minute a request, as Arrow, CSV and JSON, through reading, judging and writing, new and once
more, against a bare binary COPY of the same finished rows into a table like it, key and partitions and all, with its
commit. Out: 86,400 bars of one minute as Arrow, and a year of days from the roll-up.
"""

import asyncio
import io
import json
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv
from sqlalchemy import text

from benchmarks._servers import servers
from services.marketdata import store
from services.marketdata.core.catalogue import Subject
from services.marketdata.core.widths import width_of
from services.marketdata.handlers.ingest import ingest_rows
from services.marketdata.handlers.reads import current, list_rows
from services.marketdata.handlers.tables import read_whole
from services.marketdata.roll_ups import RollUps
from services.marketdata.rows.forms import ARROW, CSV, JSON, From
from services.marketdata.rows.kinds import BARS
from services.marketdata.rows.read import read_rows
from services.marketdata.store import Origin, Partitions, Wanted
from services.marketdata.store.binary import encode
from services.marketdata.store.put import driver, full_rows
from shared.clock import SystemClock
from shared.database import Database
from shared.money import format_decimal
from shared.schemas.marketdata import StoredBar

ROWS = 50_000
ROUNDS = 7
START = datetime(2024, 1, 1, tzinfo=UTC)


def bars(first: datetime) -> pa.Table:
    """Return bars of one minute of a random walk."""
    draw = np.random.default_rng(7)
    close = 6_000_000 + np.cumsum(draw.integers(-400, 401, ROWS))
    opened = np.concatenate([[6_000_000], close[:-1]])
    high, low = np.maximum(opened, close) + 300, np.minimum(opened, close) - 300
    moments = np.datetime64(first.replace(tzinfo=None), "us") + np.arange(ROWS) * np.timedelta64(1, "m")

    def money(values: npt.NDArray[np.int64]) -> pa.Array:
        return pa.array([f"{value / 100:.2f}" for value in values]).cast(pa.decimal128(28, 10))

    return pa.table(
        {
            "symbol": pa.array(["BTCUSDT"] * ROWS),
            "interval": pa.array(["1m"] * ROWS),
            "ts": pa.array(moments).cast(pa.timestamp("us", "UTC")),
            "open": money(opened),
            "high": money(high),
            "low": money(low),
            "close": money(close),
            "volume": money(draw.integers(1, 10**6, ROWS)),
        }
    )


def bodies(table: pa.Table) -> dict[str, bytes]:
    arrow, csv = io.BytesIO(), io.BytesIO()
    with pa.ipc.new_stream(arrow, table.schema) as stream:
        stream.write_table(table)
    texts = {
        name: [format_decimal(value) if isinstance(value, Decimal) else value for value in table[name].to_pylist()]
        for name in table.column_names
    }
    texts["ts"] = [moment.isoformat() for moment in table["ts"].to_pylist()]
    pa_csv.write_csv(pa.table(texts), csv)
    rows = [dict(zip(texts, row, strict=True)) for row in zip(*texts.values(), strict=True)]
    return {
        ARROW: arrow.getvalue(),
        CSV: csv.getvalue(),
        JSON: json.dumps({"bars": rows}).encode(),
    }


async def timed(work: Callable[[], Awaitable[None]]) -> float:
    started = time.perf_counter()
    await work()
    return time.perf_counter() - started


async def bare(database: Database, table: pa.Table) -> float:
    """Return how long the COPY of rows takes that are finished and encoded before."""
    series = store.TABLES[Subject.BAR]
    origin = Origin("bare", "bench", START)
    table = table.append_column("amount", pa.nulls(len(table), pa.decimal128(28, 10)))
    rows = full_rows(series, origin, table, np.zeros(len(table), np.int16), {})
    blocks = list(encode([rows[name].combine_chunks() for name in series.columns]))
    names = ", ".join(f'"{name}"' for name in series.columns)

    async def copy() -> None:
        async with database.session() as session:
            connection = await driver(session)
            query = f"COPY marketdata.ohlcv_bar ({names}) FROM STDIN (FORMAT BINARY)"
            async with connection.cursor() as cursor, cursor.copy(query) as into:
                for block in blocks:
                    await into.write(block)

    return await timed(copy)


async def ours(database: Database, partitions: Partitions, form: str, body: bytes, source: str) -> float:
    async def take() -> None:
        async with database.session() as session:
            rows = await asyncio.to_thread(read_rows, BARS, form, body, From(source, None))
            result = await ingest_rows(session, partitions, BARS, rows, "lenient", datetime.now(UTC))
            assert result.received == ROWS
            assert result.rejected_count == 0

    return await timed(take)


async def reads(database: Database, partitions: Partitions, bare_seconds: float) -> None:
    roll_ups = RollUps(database, partitions, SystemClock(), 1.0)
    minutes = Wanted(
        Subject.BAR, "", "BTCUSDT", (START, START + timedelta(days=60)), 86_400, source="read", interval="1m"
    )
    end = START + timedelta(days=366)
    width = width_of("1d", "24x7")
    assert width is not None
    days = Wanted(Subject.BAR, "", "BTCUSDT", (START, end), 1_000, source="read", interval="1d", roll_up=width)

    async def arrow() -> None:
        async with database.session() as session:
            whole = await read_whole(session, BARS, minutes, ARROW)
            with pa.ipc.open_stream(whole.body) as stream:
                assert stream.read_all().num_rows == 86_400

    async def a_year() -> None:
        await current(roll_ups, Subject.BAR, width, days)
        async with database.session() as session:
            whole = await read_whole(session, BARS, days, ARROW)
            with pa.ipc.open_stream(whole.body) as stream:
                assert stream.read_all().num_rows == 366

    async def a_year_as_json() -> None:
        await current(roll_ups, Subject.BAR, width, days)
        async with database.session() as session:
            page = await list_rows(session, StoredBar, days)
            assert page.model_dump_json().count("open") == 366

    await current(roll_ups, Subject.BAR, width, days)
    works: list[tuple[str, Callable[[], Awaitable[None]], int]] = [
        ("86,400 minutes as Arrow", arrow, 150),
        ("366 days as Arrow", a_year, 5),
        ("366 days as JSON", a_year_as_json, 0),
    ]
    for name, work, asked in works:
        times = []
        for _ in range(ROUNDS):
            times.append(await timed(work))
        best = min(times)
        goal = f"(asked {asked} ms), " if asked else ""
        print(f"read  {name:<24} {best * 1000:8.1f} ms  {goal}{best / bare_seconds:.2f} of the bare COPY")


async def main() -> None:
    with servers("marketdata") as running:
        database = Database(running.database_url, application_name="bench")
        partitions = Partitions(database)
        try:
            found: dict[str, list[float]] = {}
            for _ in range(ROUNDS):
                table = bars(START)
                await partitions.ensure("ohlcv_bar", [START + timedelta(days=day) for day in range(0, 367, 20)])
                found.setdefault("bare", []).append(await bare(database, table))
                for form, body in bodies(table).items():
                    source = form.rpartition("/")[2]
                    for which in ("new", "again"):
                        seconds = await ours(database, partitions, form, body, source)
                        found.setdefault(f"{source} {which}", []).append(seconds)
                async with database.session() as session:
                    await session.execute(text("TRUNCATE marketdata.ohlcv_bar"))
                    await session.execute(text("TRUNCATE marketdata.roll_up_queue"))
            best = min(found["bare"])
            for name, took in found.items():
                share = best / min(took)
                print(f"write {name:<42} {min(took) * 1000:8.1f} ms  {ROWS / min(took):9,.0f} rows/s  {share:5.2f}")
            for day in range(0, 366, 30):
                body = bodies(bars(START + timedelta(days=day)))[ARROW]
                await ours(database, partitions, ARROW, body, "read")
            await reads(database, partitions, best)
        finally:
            await database.dispose()


if __name__ == "__main__":
    asyncio.run(main())
