"""Whole windows as CSV and as Arrow say what pages of JSON say."""

import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from services.marketdata.rows.forms import ARROW, CSV
from services.marketdata.settings import MarketdataSettings
from tests.conftest import MakeSettings
from tests.harness import Tokens
from tests.integration.marketdata.client import BASE, Client, bar, batch, client_of
from tests.integration.marketdata.test_series import PATHS, ROWS, listing

pytestmark = pytest.mark.integration
DECIMALS = {"open", "high", "low", "close", "volume", "amount", "price", "quantity", "rate", "mark_price"}
NUMBERS = {"sequence", "previous_sequence", "interval_hours", "revision", "bars", "left_out"}
MOMENTS = {"ts", "ts_init"}


@pytest.fixture
async def client(make_settings: MakeSettings, tokens: Tokens, series_database_url: str) -> AsyncIterator[Client]:
    settings = make_settings(MarketdataSettings, database_url=series_database_url)
    async with client_of(settings, tokens) as found:
        yield found


def plain(name: str, value: Any) -> Any:
    """Return a value as all forms mean it."""
    if value is None or value == "":
        return None
    if name in DECIMALS:
        return Decimal(value)
    if name in NUMBERS:
        return int(value)
    if name in MOMENTS:
        return value if isinstance(value, datetime) else datetime.fromisoformat(value)
    if name in ("bids", "asks") and isinstance(value, list):
        return [[Decimal(each) for each in level] for level in value]
    if name in ("bids", "asks"):
        return [[Decimal(each) for each in level] for level in json.loads(value)]
    return value


async def whole(client: Client, path: str, form: str) -> list[dict[str, Any]]:
    """Return all rows of a listing, page by page."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        answer = await client.http.get(BASE + path + cursor, headers={"Accept": form})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].partition(";")[0] == form
        if form == CSV:
            rows: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(answer.text)))
        else:
            with pa.ipc.open_stream(answer.content) as stream:
                rows = stream.read_all().to_pylist()
        found += [{name: plain(name, value) for name, value in row.items()} for row in rows]
        if "X-Next-Cursor" not in answer.headers:
            return found
        cursor = f"&cursor={answer.headers['X-Next-Cursor']}"


async def listed(client: Client, path: str) -> list[dict[str, Any]]:
    return [{name: plain(name, value) for name, value in item.items()} for item in await client.all(path)]


def without_findings(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out what JSON alone has, and what a form has for other rows."""
    return [{name: value for name, value in row.items() if name != "issues" and value is not None} for row in rows]


@pytest.mark.parametrize("plural", ROWS)
async def test_every_kind_says_the_same(client: Client, plural: str) -> None:
    # Nothing is a header, or a schema.
    assert await whole(client, listing(plural), CSV) == []
    assert await whole(client, listing(plural), ARROW) == []
    answer = await client.http.get(BASE + listing(plural), headers={"Accept": CSV})
    assert answer.text.startswith("symbol,")
    assert answer.text.count("\n") == 1
    await client.post(PATHS[plural], {"source": "test", "simulation_id": "s1", plural: ROWS[plural]})
    expected = without_findings(await listed(client, listing(plural)))
    assert len(expected) == len(ROWS[plural])
    for limit in ("", "&limit=1", "&limit=2"):
        for form in (CSV, ARROW):
            assert without_findings(await whole(client, listing(plural) + limit, form)) == expected, (limit, form)


async def test_sent_bars_and_summed_ones_are_one_listing(client: Client) -> None:
    await client.post("/bars", batch(*(bar(minute, str(100 + minute)) for minute in range(60))))
    sent = [bar(minute, "7", interval="15m") for minute in (15, 90)]
    await client.post("/bars", batch(*sent))
    await client.post("/bars", batch(*sent, source="other"))
    path = "/bars?symbol=X&simulation_id=s1&interval=15m"
    expected = without_findings(await listed(client, path + "&limit=1"))
    assert [(row["ts"].astimezone(UTC).strftime("%H:%M"), row["source"], row.get("bars")) for row in expected] == [
        ("00:00", "test", 15),
        ("00:15", "other", None),
        ("00:15", "test", None),
        ("00:30", "test", 15),
        ("00:45", "test", 15),
        ("01:30", "other", None),
        ("01:30", "test", None),
    ]
    for limit in ("", "&limit=1", "&limit=2", "&limit=3", "&limit=7"):
        for form in (CSV, ARROW):
            assert without_findings(await whole(client, path + limit, form)) == expected, (limit, form)


async def test_what_needs_quotes_in_csv_has_them_and_numbers_are_as_short_as_they_can_be(client: Client) -> None:
    await client.post("/order-books", {"source": "test", "simulation_id": "s1", "order_books": ROWS["order_books"]})
    answer = await client.http.get(BASE + listing("order_books"), headers={"Accept": CSV})
    lines = answer.text.splitlines()
    assert lines[1].startswith('X,2024-01-02T00:00:00.000000Z,"[[""99"", ""1""], [""98"", ""2""]]"')
    await client.post("/bars", batch(bar(0, "100.50")))
    answer = await client.http.get(BASE + listing("bars"), headers={"Accept": CSV})
    assert answer.text.splitlines()[1].startswith("X,1m,2024-01-02T00:00:00.000000Z,100,1000,1,100.5,1,,test,1,ok,")


async def test_a_page_has_no_more_rows_than_its_form_and_kind_allow(client: Client) -> None:
    for plural, form, most in (("bars", "application/json", 1_000), ("order_books", CSV, 20_000)):
        path = f"{BASE}{listing(plural)}&limit="
        assert (await client.http.get(f"{path}{most}", headers={"Accept": form})).status_code == 200
        refused = await client.http.get(f"{path}{most + 1}", headers={"Accept": form})
        assert refused.status_code == 422
        assert refused.json()["errors"] == [
            {"location": "query.limit", "message": f"At most {most}", "code": "less_than_equal"}
        ]
