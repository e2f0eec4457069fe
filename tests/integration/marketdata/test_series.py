"""Rows of every kind in every form: stored once, corrected with a trace, read as they are and as they were known."""

import io
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from services.marketdata.rows.forms import ARROW, CSV, NDJSON
from services.marketdata.settings import MarketdataSettings
from shared.money import format_decimal
from tests.conftest import MakeSettings
from tests.harness import Tokens
from tests.integration.marketdata.client import BASE, START, Client, bar, batch, client_of
from tests.integration.marketdata.measured import metric

pytestmark = pytest.mark.integration


@pytest.fixture
async def client(make_settings: MakeSettings, tokens: Tokens, series_database_url: str) -> AsyncIterator[Client]:
    settings = make_settings(MarketdataSettings, database_url=series_database_url)
    async with client_of(settings, tokens) as found:
        yield found


def at(minute: float) -> str:
    return (START + timedelta(minutes=minute)).isoformat()


ROWS: dict[str, list[dict[str, Any]]] = {
    "bars": [bar(0, "101.5"), bar(1, "102", amount="1000.0000000001"), bar(2, "99")],
    "ticks": [
        {"symbol": "X", "ts": at(0), "trade_id": "9", "price": "100", "quantity": "1", "aggressor": "buy"},
        {"symbol": "X", "ts": at(0), "trade_id": "10", "price": "100.5", "quantity": "2"},
        {"symbol": "X", "ts": at(1), "trade_id": "a:1", "price": "100.25", "quantity": "3", "aggressor": "sell"},
    ],
    "order_books": [
        {"symbol": "X", "ts": at(0), "bids": [["99", "1"], ["98", "2"]], "asks": [["101", "1"]], "sequence": 7},
        {"symbol": "X", "ts": at(1), "bids": [], "asks": [["101", "1.5"]], "sequence": 8, "previous_sequence": 7},
        {"symbol": "X", "ts": at(2), "bids": [["99", "1"]], "asks": []},
    ],
    "funding_rates": [
        {"symbol": "X", "ts": at(0), "rate": "0.0001", "interval_hours": 8},
        {"symbol": "X", "ts": at(480), "rate": "-0.0003", "interval_hours": 8, "mark_price": "100"},
    ],
    "liquidations": [
        {"symbol": "X", "ts": at(0), "side": "sell", "price": "90.50", "quantity": "3"},
        {"symbol": "X", "ts": at(0), "side": "sell", "price": "90.50", "quantity": "4", "liquidation_id": "l-1"},
    ],
}
PATHS = {plural: "/" + plural.replace("_", "-") for plural in ROWS}
CORRECTED = {
    "bars": ("close", "105"),
    "ticks": ("price", "101"),
    "order_books": ("asks", [["102", "1"]]),
    "funding_rates": ("rate", "0.0002"),
    "liquidations": ("price", "91"),
}
# Their price is part of what tells them apart, unless the venue does.
CHANGED_ROW = {"liquidations": 1}


def listing(plural: str) -> str:
    return f"{PATHS[plural]}?symbol=X&simulation_id=s1" + ("&interval=1m" if plural == "bars" else "")


def body_of(plural: str, rows: list[dict[str, Any]], form: str) -> bytes:
    if form == NDJSON:
        return "\n".join(json.dumps(row) for row in rows).encode()
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = {name: [json.dumps(v) if isinstance(v := row.get(name), list) else v for row in rows] for name in names}
    if form == CSV:
        lines = [",".join(names)]
        for number in range(len(rows)):
            values = ["" if cells[name][number] is None else str(cells[name][number]) for name in names]
            lines.append(
                ",".join(f'"{value.replace(chr(34), chr(34) * 2)}"' if "," in value else value for value in values)
            )
        return ("\r\n".join(lines) + "\r\n").encode()
    arrays = {}
    for name, values in cells.items():
        if name == "ts":
            arrays[name] = pa.array([datetime.fromisoformat(v) for v in values], pa.timestamp("us", "UTC"))
        elif name in ("open", "high", "low", "close", "rate", "price", "quantity"):
            arrays[name] = pa.array([Decimal(v) for v in values], pa.decimal128(20, 10))
        elif name in ("symbol", "interval"):
            arrays[name] = pa.array(values).dictionary_encode()
        else:
            arrays[name] = pa.array(values)
    sink = io.BytesIO()
    table = pa.table(arrays)
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


def data_of(item: dict[str, Any]) -> dict[str, Any]:
    """Return what a row says, numbers as such."""
    beside = ("source", "revision", "severity", "issues", "ts_init", "bars", "liquidation_id")
    found: dict[str, Any] = {}
    for name, value in item.items():
        if value is None or name in beside:
            continue
        found[name] = format_decimal(Decimal(value)) if name in ("price", "close", "rate", "amount") else value
        if name == "ts":
            found[name] = datetime.fromisoformat(value)
    return found


@pytest.mark.parametrize("plural", ROWS)
@pytest.mark.parametrize("form", ["json", NDJSON, CSV, ARROW])
async def test_rows_are_the_same_in_every_form(client: Client, plural: str, form: str) -> None:
    rows = ROWS[plural]
    if form == "json":
        answer = await client.post(PATHS[plural], {"source": "test", "simulation_id": "s1", plural: rows})
    else:
        query = f"{PATHS[plural]}?source=test&simulation_id=s1"
        answer = await client.send(query, body_of(plural, rows, form), form)
    assert (answer["received"], answer["stored"], answer["revised"]) == (len(rows), len(rows), 0), answer
    found = sorted((data_of(item) for item in await client.all(listing(plural) + "&limit=1")), key=repr)
    expected = sorted((data_of(row) for row in rows), key=repr)
    assert found == expected


@pytest.mark.parametrize("plural", ROWS)
async def test_a_correction_is_a_revision_and_what_was_known_stays_readable(client: Client, plural: str) -> None:
    path, rows = PATHS[plural], [dict(row) for row in ROWS[plural]]
    body = {"source": "test", "simulation_id": "s1", plural: rows}
    await client.post(path, body)
    again = await client.post(path, body)
    assert (again["stored"], again["revised"], again["unchanged"]) == (0, 0, len(rows))
    before = await client.all(listing(plural))
    known_at = max(item["ts_init"] for item in before)
    place = CHANGED_ROW.get(plural, 0)
    name, value = CORRECTED[plural]
    rows[place] = {**rows[place], name: value}
    later = {**rows[-1], "ts": at(960)}
    answer = await client.post(path, {**body, plural: [*rows, later]})
    assert (answer["stored"], answer["revised"], answer["unchanged"]) == (2, 1, len(rows) - 1)
    after = await client.all(listing(plural))
    assert sorted(item["revision"] for item in after) == [*[1] * len(rows), 2]
    assert next(item[name] for item in after if item["revision"] == 2) == value
    # As it was known: the row that came later is not there, nor the correction.
    assert await client.all(f"{listing(plural)}&known_at={known_at}") == before
    assert await client.all(f"{listing(plural)}&known_at=2020-01-01T00:00:00Z") == []
    third = [dict(row) for row in rows]
    third[place] = dict(ROWS[plural][place])
    assert (await client.post(path, {**body, plural: third}))["revised"] == 1
    assert sorted(item["revision"] for item in await client.all(listing(plural)))[-1] == 3
    assert await client.all(f"{listing(plural)}&known_at={known_at}") == before


@pytest.mark.parametrize("form", ["json", NDJSON, CSV, ARROW])
async def test_bad_rows_are_named_and_the_others_kept(client: Client, form: str) -> None:
    rows = [bar(0), bar(1, high="x"), bar(2, volume="-1"), bar(3, symbol="bad symbol"), bar(4)]
    path = "/bars?source=test&simulation_id=s1"
    if form == "json":
        answer = await client.post("/bars", batch(*rows))
    else:
        texts = pa.table({name: [row[name] for row in rows] for name in rows[0]})
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, texts.schema) as stream:
            stream.write_table(texts)
        answer = await client.send(path, sink.getvalue() if form == ARROW else body_of("bars", rows, form), form)
    assert (answer["received"], answer["stored"], answer["rejected_count"]) == (5, 2, 3)
    assert [(row["index"], row["reason"].partition(":")[0]) for row in answer["rejected"]] == [
        (1, "high"),
        (2, "volume"),
        (3, "symbol"),
    ]
    before = metric("marketdata_rows_total", kind="bar", outcome="rejected") or 0
    strict = await client.http.post(f"{BASE}/bars?mode=strict", json=batch(bar(9), bar(8, high="x")))
    assert strict.status_code == 422
    assert strict.json()["errors"][0]["location"] == "body.bars.1"
    none = await client.http.post(f"{BASE}/bars", json=batch(bar(9, high="x"), bar(8, high="x")))
    assert none.status_code == 422
    # Those of a batch that is refused as a whole are counted too.
    assert metric("marketdata_rows_total", kind="bar", outcome="rejected") == before + 3
    assert len(await client.all(listing("bars"))) == 2


@pytest.mark.parametrize(
    ("form", "body", "status"),
    [
        (NDJSON, b"", 400),
        (NDJSON, b"{}\n[]", 422),
        (NDJSON, b"nonsense", 422),
        (CSV, b"", 400),
        (CSV, b"symbol,interval\nX,1m\n", 422),
        (CSV, b"symbol,interval,ts,open,high,low,close,volume,colour\nX,1m,2024-01-01T00:00:00Z,1,1,1,1,1,red\n", 422),
        (CSV, b"symbol,interval,ts,open,high,low,close,volume\nX,1m\n", 422),
        (CSV, b"\xff\xfe\x00", 400),
        (CSV, b"symbol,interval,ts,open,high,low,close,volume\n\xff,1m\n", 400),
        (ARROW, b"", 400),
        (ARROW, b"not arrow at all", 400),
        ("text/plain", b"x", 415),
        ("application/json", b"{", 400),
        ("application/json", b"[]", 422),
        ("application/json", b'{"bars": 7}', 422),
        ("application/json", b'{"bars": [], "colour": 1}', 422),
    ],
)
async def test_bodies_that_are_not_what_they_say(
    make_settings: MakeSettings, tokens: Tokens, form: str, body: bytes, status: int
) -> None:
    async with client_of(make_settings(MarketdataSettings), tokens) as client:
        response = await client.http.post(f"{BASE}/bars?source=test", content=body, headers={"Content-Type": form})
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/problem+json"
        assert (await client.get("/feeds"))["items"] == []


async def test_floats_are_refused_and_the_source_is_needed(make_settings: MakeSettings, tokens: Tokens) -> None:
    async with client_of(make_settings(MarketdataSettings), tokens) as client:
        row = bar(0)
        table = pa.table(
            {n: [float(v)] if n in ("open", "high", "low", "close", "volume") else [v] for n, v in row.items()}
        )
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        answer = await client.send("/bars?source=test", sink.getvalue(), ARROW, 422)
        assert "decimal128" in answer["detail"]
        answer = await client.send("/bars", body_of("bars", [row], CSV), CSV, 422)
        assert answer["errors"][0]["location"] == "query.source"


async def test_a_row_of_csv_with_too_few_columns_is_named(make_settings: MakeSettings, tokens: Tokens) -> None:
    async with client_of(make_settings(MarketdataSettings), tokens) as client:
        lines = body_of("bars", [bar(n) for n in range(4)], CSV).decode().split("\r\n")
        lines[2] = lines[2].rpartition(",")[0]
        answer = await client.send("/bars?source=test", "\r\n".join(lines).encode(), CSV)
        assert (answer["received"], answer["stored"], answer["rejected"][0]["index"]) == (4, 3, 1)


@pytest.mark.parametrize("form", [CSV, ARROW])
async def test_a_window_is_read_as_a_whole(client: Client, form: str) -> None:
    rows = [bar(minute, f"{100 + minute}.5") for minute in range(300)]
    rows[7]["amount"] = "12.5"
    rows[9]["high"] = "1"
    await client.post("/bars", batch(*rows))
    pages, cursor, found = 0, "", []
    while True:
        response = await client.http.get(f"{BASE}{listing('bars')}&limit=128{cursor}", headers={"Accept": form})
        assert response.status_code == 200
        assert response.headers["content-type"].partition(";")[0] == form
        if form == ARROW:
            with pa.ipc.open_stream(response.content) as stream:
                table = stream.read_all()
            found += table.to_pylist()
        else:
            lines = response.text.strip().split("\n")
            found += [dict(zip(lines[0].split(","), line.split(","), strict=True)) for line in lines[1:]]
        pages += 1
        following = response.headers.get("x-next-cursor")
        if following is None:
            break
        cursor = f"&cursor={following}"
    assert (len(found), pages) == (300, 3)
    moments = [row["ts"] if form == ARROW else datetime.fromisoformat(row["ts"]) for row in found]
    assert moments == [START + timedelta(minutes=n) for n in range(300)]
    assert [Decimal(row["close"]) for row in found] == [Decimal(row["close"]) for row in rows]
    assert [n for n, row in enumerate(found) if row["amount"] not in (None, "")] == [7]
    assert [n for n, row in enumerate(found) if row["severity"] == "critical"] == [9]


async def test_the_last_value_before_a_moment(client: Client) -> None:
    await client.post("/bars", batch(bar(0), bar(1, "7"), bar(2, "2000"), bar(9)))
    base = "/asof?symbol=X&simulation_id=s1"
    # A bar is known from its end on.
    assert (await client.get(f"{base}&at={at(2).replace('+', '%2B')}"))["close"] == "7"
    assert (await client.get(f"{base}&at={at(1.99).replace('+', '%2B')}"))["close"] == "100"
    # What is critical is not served, and what is too old neither.
    assert (await client.get(f"{base}&at={at(4).replace('+', '%2B')}"))["close"] == "7"
    for query in (f"&at={at(8).replace('+', '%2B')}", f"&at={at(4).replace('+', '%2B')}&tolerance_seconds=60"):
        assert (await client.http.get(f"{BASE}{base}{query}")).status_code == 404
    await client.post("/ticks", {"source": "test", "simulation_id": "s1", "ticks": ROWS["ticks"]})
    tick = await client.get(f"{base}&of=tick&at={at(0.5).replace('+', '%2B')}")
    assert tick["price"] in ("100", "100.5")


async def test_two_at_once_store_each_row_once(client: Client) -> None:
    import asyncio

    rows = [bar(minute, symbol=symbol) for minute in range(60) for symbol in ("A", "B", "C", "D")]
    answers = await asyncio.gather(
        *(client.post("/bars", batch(*(rows if n % 2 else rows[::-1]), simulation_id=None)) for n in range(8))
    )
    assert sum(answer["stored"] for answer in answers) == 240
    assert sum(answer["revised"] for answer in answers) == 0
