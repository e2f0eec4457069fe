"""A roll-up says that minutes of it are left out, on plain PostgreSQL and on TimescaleDB."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pyarrow as pa
import pytest
from alembic import command

from services.marketdata.core.widths import width_of
from services.marketdata.settings import MarketdataSettings
from shared import migrations
from shared.roles import Role
from shared.schemas.marketdata import Interval
from tests.conftest import MakeSettings
from tests.harness import Tokens
from tests.integration.marketdata.client import BASE, Client, client_of
from tests.integration.marketdata.test_roll_ups import bucket

pytestmark = pytest.mark.integration
SEVERITIES = ("ok", "warning", "critical")
INTERVALS: tuple[Interval, ...] = ("5m", "15m", "1h", "1d")
# Two hours of three sessions, across a change of the clocks of New York.
SESSIONS = {
    "24x7": [datetime(2024, 3, day, 23, tzinfo=UTC) for day in (8, 9, 10)],
    "XNYS": [datetime(2024, 3, day, hour, 30, tzinfo=UTC) for day, hour in ((8, 14), (11, 13), (12, 13))],
    "XNSE": [datetime(2024, 3, day, 3, 45, tzinfo=UTC) for day in (11, 12, 13)],
    "XSHG": [datetime(2024, 3, day, *start, tzinfo=UTC) for day, start in ((11, (1, 30)), (11, (5, 0)), (12, (5, 0)))],
}
Minutes = dict[datetime, int]


@pytest.fixture
async def client(make_settings: MakeSettings, tokens: Tokens, series_database_url: str) -> AsyncIterator[Client]:
    settings = make_settings(MarketdataSettings, database_url=series_database_url)
    async with client_of(settings, tokens) as found:
        yield found


def minute(ts: datetime, *, sound: bool = True, volume: str = "5") -> dict[str, Any]:
    prices = {"open": "100", "high": "101" if sound else "99.5", "low": "99", "close": "100", "volume": volume}
    return {"symbol": "A", "interval": "1m", "ts": ts.isoformat(), **prices}


async def send(client: Client, rows: list[dict[str, Any]], known: Minutes, source: str = "one") -> None:
    """Send minutes, and note the severity of each."""
    answer = await client.post("/bars", {"source": source, "bars": rows})
    assert answer["rejected"] == []
    severities = {verdict["index"]: SEVERITIES.index(verdict["severity"]) for verdict in answer["verdicts"]}
    known.update({datetime.fromisoformat(row["ts"]): severities.get(n, 0) for n, row in enumerate(rows)})


def expected(calendar: str, interval: Interval, known: Minutes) -> dict[datetime, tuple[int, int, str]]:
    """Return how many minutes are in each bar, how many are left out, and its severity."""
    width = width_of(interval, calendar)
    assert width is not None
    groups: dict[datetime, list[int]] = {}
    for ts, severity in known.items():
        groups.setdefault(bucket(width.name, ts), []).append(severity)
    found = {}
    for start, severities in groups.items():
        usable = [each for each in severities if each < 2]
        if usable:
            left_out = len(severities) - len(usable)
            found[start] = (len(usable), left_out, SEVERITIES[max(*usable, int(left_out > 0), 0)])
    return found


async def listed(client: Client, interval: Interval, query: str = "") -> dict[datetime, tuple[int, int, str]]:
    items = await client.all(f"/bars?symbol=A&interval={interval}&limit=7{query}")
    return {datetime.fromisoformat(row["ts"]): (row["bars"], row["left_out"], row["severity"]) for row in items}


@pytest.mark.parametrize("calendar", list(SESSIONS))
async def test_minutes_left_out_make_a_warning(client: Client, tokens: Tokens, calendar: str) -> None:
    officer = tokens.auth(Role.RISK_OFFICER)
    put = await client.http.put(f"{BASE}/symbols/A", json={"calendar": calendar}, headers=officer)
    assert put.status_code == 200, put.text
    draw, known = Random(calendar), {}
    moments = [first + timedelta(minutes=n) for first in SESSIONS[calendar] for n in range(120)]
    # One bar of five minutes without a usable one, and one with warnings alone.
    bad = {*moments[10:15], *draw.sample(moments[60:], 9)}
    still = {*moments[30:39]}
    await send(client, [minute(ts, sound=ts not in bad, volume="0" if ts in still else "5") for ts in moments], known)
    assert (list(known.values()).count(2), list(known.values()).count(1) > 0) == (14, True)
    for interval in INTERVALS:
        assert await listed(client, interval) == expected(calendar, interval, known)
    assert moments[10] not in await listed(client, "5m")
    # Corrected, and known by now not to be usable.
    await send(client, [minute(ts) for ts in sorted(bad)[:7]], known)
    await send(client, [minute(ts, sound=False) for ts in moments[100:103]], known)
    for interval in INTERVALS:
        assert await listed(client, interval) == expected(calendar, interval, known)


async def test_of_each_source_its_own_and_in_every_form(client: Client) -> None:
    first = datetime(2024, 5, 6, tzinfo=UTC)
    moments = [first + timedelta(minutes=n) for n in range(10)]
    await send(client, [minute(ts, sound=ts != first) for ts in moments], {})
    await send(client, [minute(ts) for ts in moments], {}, source="two")
    await client.post("/bars", {"source": "three", "bars": [{**minute(first), "interval": "5m"}]})
    path = f"{BASE}/bars?symbol=A&interval=5m"
    items = await client.all("/bars?symbol=A&interval=5m")
    rows = [("one", 4, 1, "warning"), ("three", None, None, "ok"), ("two", 5, 0, "ok")]
    assert [(row["source"], row["bars"], row["left_out"], row["severity"]) for row in items[:3]] == rows
    assert [row["left_out"] for row in items[3:]] == [0, 0]
    text = (await client.http.get(path, headers={"Accept": "text/csv"})).text
    read = [(row["source"], row["bars"], row["left_out"], row["severity"]) for row in csv.DictReader(io.StringIO(text))]
    assert read[:3] == [tuple("" if each is None else str(each) for each in row) for row in rows]
    body = (await client.http.get(path, headers={"Accept": "application/vnd.apache.arrow.stream"})).content
    with pa.ipc.open_stream(body) as stream:
        table = stream.read_all().to_pylist()
    assert [(row["source"], row["bars"], row["left_out"], row["severity"]) for row in table[:3]] == rows


async def test_minutes_that_were_there_before_are_counted(client: Client, series_database_url: str) -> None:
    first, known = datetime(2024, 5, 6, tzinfo=UTC), {}
    await send(client, [minute(first + timedelta(minutes=n), sound=n % 50 != 7) for n in range(3_000)], known)
    before = expected("24x7", "1h", known)
    assert await listed(client, "1h") == before
    config = migrations._config("marketdata")
    config.attributes["database_url"] = series_database_url
    command.downgrade(config, "0007")
    command.upgrade(config, "head")
    assert await listed(client, "1h") == before
    assert sum(left_out for _, left_out, _ in before.values()) == 60
