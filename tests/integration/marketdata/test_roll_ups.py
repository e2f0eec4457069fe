"""Roll-ups equal what Python sums from the same rows, whenever they came, on plain PostgreSQL and on TimescaleDB."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from services.marketdata.core.catalogue import Subject
from services.marketdata.core.widths import VOLUME, WIDTHS, Span
from services.marketdata.roll_ups import RollUps
from services.marketdata.settings import MarketdataSettings
from services.marketdata.store import Partitions
from shared.clock import SystemClock
from shared.database import Database
from tests.conftest import MakeSettings
from tests.harness import Tokens, plain
from tests.integration.marketdata.client import Client, client_of

pytestmark = pytest.mark.integration
ZONES = {
    "ohlcv_1d": "UTC",
    "ohlcv_1d_nse": "Asia/Kolkata",
    "ohlcv_1d_cn": "Asia/Shanghai",
    "ohlcv_1d_us": "America/New_York",
}
SHIFTS = {
    "ohlcv_5m": (5, 0),
    "ohlcv_15m": (15, 0),
    "ohlcv_1h": (60, 0),
    "ohlcv_1h_us": (60, 30),
    "ohlcv_1h_nse": (60, 45),
}
Minutes = dict[tuple[str, str, datetime], dict[str, Any]]


@pytest.fixture
async def client(make_settings: MakeSettings, tokens: Tokens, series_database_url: str) -> AsyncIterator[Client]:
    settings = make_settings(MarketdataSettings, database_url=series_database_url)
    async with client_of(settings, tokens) as found:
        yield found


def bucket(name: str, moment: datetime) -> datetime:
    if name in ZONES:
        local = moment.astimezone(ZoneInfo(ZONES[name]))
        return local.replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
    if name == "ohlcv_1h_cn":
        morning = moment.astimezone(ZoneInfo("Asia/Shanghai")).hour < 12
        name = "ohlcv_1h_us" if morning else "ohlcv_1h"
    length, shift = SHIFTS[name]
    minutes = int(moment.timestamp()) // 60
    return datetime.fromtimestamp(((minutes - shift) // length * length + shift) * 60, UTC)


def summed(name: str, minutes: Minutes) -> dict[tuple[str, str, datetime], tuple[Any, ...]]:
    groups: dict[tuple[str, str, datetime], list[dict[str, Any]]] = {}
    for (symbol, source, ts), row in sorted(minutes.items()):
        if row["usable"]:
            groups.setdefault((symbol, source, bucket(name, ts)), []).append(row)
    return {
        key: (
            Decimal(rows[0]["open"]),
            max(Decimal(row["high"]) for row in rows),
            min(Decimal(row["low"]) for row in rows),
            Decimal(rows[-1]["close"]),
            sum(Decimal(row["volume"]) for row in rows),
            sum(Decimal(row["amount"]) for row in rows) if all("amount" in row for row in rows) else None,
            len(rows),
        )
        for key, rows in groups.items()
    }


def stored(url: str, name: str) -> dict[tuple[str, str, datetime], tuple[Any, ...]]:
    with psycopg.connect(plain(url)) as connection:
        query = f"SELECT symbol, source, ts, open, high, low, close, volume, amount, bars FROM marketdata.{name}"
        rows = connection.execute(query.encode()).fetchall()
    found = {(symbol, source, ts): tuple(rest) for symbol, source, ts, *rest in rows}
    assert len(found) == len(rows)
    return found


def minute(ts: datetime, draw: random.Random, symbol: str) -> dict[str, Any]:
    prices = sorted(Decimal(draw.randrange(9_900_000, 10_100_000)) / 1000 for _ in range(4))
    opened, close = draw.sample(prices[1:3], 2)
    row = {
        "symbol": symbol,
        "interval": "1m",
        "ts": ts.isoformat(),
        "open": str(opened),
        "high": str(prices[3]),
        "low": str(prices[0]),
        "close": str(close),
        "volume": str(Decimal(draw.randrange(1, 10**9)) / 10**6),
    }
    if draw.random() < 0.98:
        row["amount"] = str(Decimal(row["volume"]) * (prices[0] + prices[3]) / 2)[:20]
    return row


async def send(client: Client, rows: list[dict[str, Any]], source: str, known: Minutes) -> None:
    for start in range(0, len(rows), 5_000):
        part = rows[start : start + 5_000]
        answer = await client.post("/bars", {"source": source, "bars": part})
        assert answer["rejected"] == []
        critical = {verdict["index"] for verdict in answer["verdicts"] if verdict["severity"] == "critical"}
        for index, row in enumerate(part):
            key = (row["symbol"], source, datetime.fromisoformat(row["ts"]))
            if key not in known or {**known[key], "usable": None} != {**row, "usable": None}:
                known[key] = {**row, "usable": index not in critical}


async def everything_rolled_up(url: str, of: Subject, symbols: tuple[str, ...]) -> None:
    database = Database(url, application_name="test")
    try:
        roll_ups = RollUps(database, Partitions(database), SystemClock(), 1.0)
        for symbol in symbols:
            always = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
            await roll_ups.current(of, Span("", symbol, "", *always))
    finally:
        await database.dispose()


def check(url: str, known: Minutes) -> None:
    for name in (*(width.name for width in WIDTHS), "ohlcv_1h_cn"):
        expected = summed(name, known)
        if name == "ohlcv_1h_cn":
            found = stored(url, name)
            # Of the hours that lie across noon in Shanghai each half is shown as the other half counts it.
            assert {
                key for key in expected if key[2].astimezone(ZoneInfo("Asia/Shanghai")).hour in (9, 10, 13, 14)
            } <= set(found)
            for key in expected:
                local = key[2].astimezone(ZoneInfo("Asia/Shanghai"))
                if (local.hour, local.minute) in ((9, 30), (10, 30), (13, 0), (14, 0)):
                    assert found[key] == expected[key]
            continue
        assert stored(url, name) == expected, name


async def test_roll_ups_equal_the_sums_of_their_rows(client: Client, series_database_url: str) -> None:
    draw = random.Random(11)
    known: Minutes = {}
    # Both changes of the clocks of New York, and a month's end.
    for first in (
        datetime(2024, 3, 9, 20, tzinfo=UTC),
        datetime(2024, 11, 2, 20, tzinfo=UTC),
        datetime(2024, 1, 31, 18, tzinfo=UTC),
    ):
        for symbol, source in (("A", "one"), ("A", "two"), ("B/C", "one")):
            moments = [first + timedelta(minutes=n) for n in range(1_700) if draw.random() < 0.9]
            await send(client, [minute(ts, draw, symbol) for ts in moments], source, known)
    await everything_rolled_up(series_database_url, Subject.BAR, ("A", "B/C"))
    check(series_database_url, known)
    # Late rows, corrections, and corrections that make a row unusable or usable again.
    chosen = draw.sample(sorted(known), 60)
    for symbol, source, ts in chosen:
        row = minute(ts, draw, symbol)
        if draw.random() < 0.3:
            row["high"] = "0.1"
        await send(client, [row], source, known)
    for ts in (datetime(2024, 3, 9, 20, tzinfo=UTC) + timedelta(minutes=n) for n in range(0, 1_700, 40)):
        if ("A", "one", ts) not in known:
            await send(client, [minute(ts, draw, "A")], "one", known)
    await everything_rolled_up(series_database_url, Subject.BAR, ("A", "B/C"))
    check(series_database_url, known)
    assert any(not row["usable"] for row in known.values())


async def test_a_roll_up_is_current_when_it_is_read(client: Client) -> None:
    draw, known = random.Random(5), {}
    first = datetime(2024, 5, 6, 3, 45, tzinfo=UTC)
    await send(client, [minute(first + timedelta(minutes=n), draw, "A") for n in range(375)], "one", known)
    for _ in range(3):
        for interval, name in (("5m", "ohlcv_5m"), ("1h", "ohlcv_1h"), ("1d", "ohlcv_1d")):
            items = await client.all(f"/bars?symbol=A&interval={interval}&limit=50")
            found = {
                (item["symbol"], item["source"], datetime.fromisoformat(item["ts"])): (
                    *(Decimal(item[n]) for n in ("open", "high", "low", "close", "volume")),
                    Decimal(item["amount"]) if item["amount"] is not None else None,
                    item["bars"],
                )
                for item in items
            }
            assert found == summed(name, known)
        row = minute(first + timedelta(minutes=draw.randrange(375)), draw, "A")
        await send(client, [row], "one", known)


async def test_bars_that_were_sent_are_not_summed(client: Client) -> None:
    draw, known = random.Random(6), {}
    first = datetime(2024, 5, 6, tzinfo=UTC)
    await send(client, [minute(first + timedelta(minutes=n), draw, "A") for n in range(30)], "one", known)
    sent = {**minute(first, draw, "A"), "interval": "15m"}
    await client.post("/bars", {"source": "one", "bars": [sent]})
    items = await client.all("/bars?symbol=A&interval=15m")
    assert [(item["bars"], item["revision"]) for item in items] == [(None, 1), (15, 0)]
    assert items[0]["close"] == sent["close"].rstrip("0").rstrip(".")


async def test_hourly_volume_equals_the_sums_of_its_trades(client: Client, series_database_url: str) -> None:
    draw = random.Random(12)
    first = datetime(2024, 7, 31, 22, tzinfo=UTC)
    trades = []
    for number in range(2_000):
        trades.append(
            {
                "symbol": "A",
                "ts": (first + timedelta(seconds=draw.randrange(4 * 3600))).isoformat(),
                "trade_id": str(number),
                "price": str(Decimal(draw.randrange(99_990, 100_010)) / 1000),
                "quantity": str(Decimal(draw.randrange(1, 5_000)) / 1000),
                **({"aggressor": draw.choice(["buy", "sell"])} if number % 7 else {}),
            }
        )
    for start in range(0, 2_000, 500):
        answer = await client.post("/ticks", {"source": "one", "ticks": trades[start : start + 500]})
        assert not [v for v in answer["verdicts"] if v["severity"] == "critical"]
    expected: dict[datetime, list[Decimal]] = {}
    for trade in trades:
        hour = datetime.fromisoformat(trade["ts"]).replace(minute=0, second=0)
        sums = expected.setdefault(hour, [Decimal(0)] * 5)
        quantity = Decimal(trade["quantity"])
        sums[0] += quantity
        sums[1] += quantity if trade.get("aggressor") == "buy" else 0
        sums[2] += quantity if trade.get("aggressor") == "sell" else 0
        sums[3] += quantity * Decimal(trade["price"])
        sums[4] += 1
    found = {
        datetime.fromisoformat(item["ts"]): [
            Decimal(item[name]) for name in ("volume", "buy_volume", "sell_volume", "notional", "trades")
        ]
        for item in await client.all("/trade-volume/hourly?symbol=A&limit=2")
    }
    assert found == expected
    await everything_rolled_up(series_database_url, Subject.TICK, ("A",))
    assert VOLUME.name == "trade_volume_1h"


async def test_many_at_once_who_need_the_same_roll_up(client: Client, series_database_url: str) -> None:
    draw, known = random.Random(8), {}
    first = datetime(2024, 5, 6, tzinfo=UTC)
    for day in range(3):
        rows = [minute(first + timedelta(days=day, minutes=n), draw, "A") for n in range(600)]
        await send(client, rows, "one", known)
        await asyncio.gather(
            *(everything_rolled_up(series_database_url, Subject.BAR, ("A",)) for _ in range(4)),
            *(client.get("/bars?symbol=A&interval=1h") for _ in range(3)),
        )
        # More at once than there are connections: nobody waits for a second one while holding the first. Those who
        # write one symbol wait for each other, and few of them may for as long as a connection is waited for.
        moments = [first + timedelta(days=day, minutes=n) for n in range(8)]
        await asyncio.gather(
            *(client.get(f"/bars?symbol=A&interval={each}") for each in ("5m", "1h", "1d") for _ in range(6)),
            *(send(client, [minute(moment, draw, "A")], "one", known) for moment in moments),
        )
        await everything_rolled_up(series_database_url, Subject.BAR, ("A",))
        check(series_database_url, known)


ENDS = {"5m": timedelta(minutes=5), "15m": timedelta(minutes=15), "1h": timedelta(hours=1), "1d": timedelta(days=1)}
LOCAL = {"XNYS": "America/New_York", "XNSE": "Asia/Kolkata", "XSHG": "Asia/Shanghai", "24x7": "UTC"}


def ends(item: dict[str, Any], calendar: str) -> datetime:
    """Return when a bar ends; a day at the next midnight of its exchange."""
    start = datetime.fromisoformat(item["ts"])
    if item["interval"] != "1d" or item["bars"] is None:
        return start + ENDS[item["interval"]]
    local = start.astimezone(ZoneInfo(LOCAL[calendar]))
    return (local.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=ZoneInfo(LOCAL[calendar])).astimezone(UTC)


@pytest.mark.parametrize("calendar", sorted(LOCAL))
async def test_the_last_roll_up_before_a_moment_is_the_last_that_had_ended(client: Client, calendar: str) -> None:
    draw, known = random.Random(8), {}
    zone = ZoneInfo(LOCAL[calendar])
    # Over both ends of summer time, where a day has 23 hours or 25.
    days = [datetime(2024, 3, 8), datetime(2024, 3, 10), datetime(2024, 11, 2), datetime(2024, 11, 3)]  # noqa: DTZ001
    moments = [
        (day.replace(tzinfo=zone) + timedelta(hours=9, minutes=30 + n)) for day in days for n in range(0, 390, 3)
    ]
    response = await client.http.put("/api/v1/marketdata/symbols/A", json={"calendar": calendar})
    assert response.status_code == 200, response.text
    await send(client, [minute(ts.astimezone(UTC), draw, "A") for ts in moments], "one", known)
    for interval, length in ENDS.items():
        items = await client.all(f"/bars?symbol=A&interval={interval}&limit=1000")
        assert all(item["bars"] for item in items)
        for _ in range(25):
            at = draw.choice(moments).astimezone(UTC) + timedelta(minutes=draw.randrange(-5, 3_000))
            if draw.random() < 0.3:
                # Just then it has ended.
                at = ends(draw.choice(items), calendar)
            old = draw.choice([timedelta(hours=1), timedelta(days=2), timedelta(days=300), None])
            oldest = at - (old or max(length, timedelta(minutes=5)))
            ended = [item for item in items if oldest <= ends(item, calendar) <= at]
            asked = f"&tolerance_seconds={old.total_seconds()}" if old else ""
            path = f"/api/v1/marketdata/asof?symbol=A&interval={interval}&at={at:%Y-%m-%dT%H:%M:%SZ}{asked}"
            response = await client.http.get(path)
            assert response.status_code == (200 if ended else 404), (interval, at, old, response.text)
            if ended:
                assert response.json() == ended[-1], (interval, at, old)


async def test_before_a_moment_a_bar_that_was_sent_goes_before_one_that_is_summed(client: Client) -> None:
    draw, known = random.Random(6), {}
    first = datetime(2024, 5, 6, tzinfo=UTC)
    await send(client, [minute(first + timedelta(minutes=n), draw, "A") for n in range(45)], "one", known)
    sent = {**minute(first, draw, "A"), "interval": "15m"}
    bad = {**minute(first + timedelta(minutes=15), draw, "A"), "interval": "15m", "high": "0.1"}
    await client.post("/bars", {"source": "one", "bars": [sent, bad]})
    path = "/asof?symbol=A&interval=15m&at=2024-05-06T00:"
    assert [(await client.get(f"{path}{at}Z"))["bars"] for at in ("15:00", "29:59", "30:00", "45:00")] == [
        None,
        None,
        # What was sent cannot be trusted; what its minutes say can.
        15,
        15,
    ]
    # A minute that came late is in it at once.
    await send(client, [minute(first + timedelta(minutes=45), draw, "A")], "one", known)
    assert (await client.get("/asof?symbol=A&interval=15m&at=2024-05-06T01:00:00Z"))["bars"] == 1
