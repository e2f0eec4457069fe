"""Order books as venues send them: levels without a quantity, out of order, none at all, and older than the last."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from services.marketdata.rows.forms import CSV
from services.marketdata.settings import MarketdataSettings
from tests.conftest import MakeSettings
from tests.harness import Tokens
from tests.integration.marketdata.client import BASE, START, Client, client_of

pytestmark = pytest.mark.integration

LISTING = "/order-books?symbol=X&simulation_id=s1"


@pytest.fixture
async def client(make_settings: MakeSettings, tokens: Tokens) -> AsyncIterator[Client]:
    async with client_of(make_settings(MarketdataSettings), tokens) as found:
        yield found


def book(second: int, bids: list[list[str]], asks: list[list[str]], **fields: Any) -> dict[str, Any]:
    return {"symbol": "X", "ts": (START + timedelta(seconds=second)).isoformat(), "bids": bids, "asks": asks, **fields}


async def send(client: Client, *books: dict[str, Any]) -> Any:
    return await client.post("/order-books", {"source": "test", "simulation_id": "s1", "order_books": list(books)})


def codes(answer: Any) -> dict[int, list[tuple[str, str]]]:
    return {
        verdict["index"]: [(issue["code"], issue["severity"]) for issue in verdict["issues"]]
        for verdict in answer["verdicts"]
    }


@pytest.mark.parametrize("form", ["json", "csv"])
async def test_a_level_without_a_quantity_is_none(client: Client, form: str) -> None:
    one = book(0, [["99.9", "0"], ["99", "1"]], [["100.1", "0.0"], ["101", "2"], ["102", "0"]])
    other = book(1, [["99.9", "0"]], [["101", "2"]])
    if form == "csv":
        lines = [f'X,{each["ts"]},"{_quoted(each["bids"])}","{_quoted(each["asks"])}"' for each in (one, other)]
        body = "\n".join(["symbol,ts,bids,asks", *lines]).encode()
        answer = await client.send("/order-books?source=test&simulation_id=s1", body, CSV)
    else:
        answer = await send(client, one, other)
    # Of the second nobody bids: a book, and no mark.
    assert (answer["stored"], answer["published"], answer["flagged"]) == (2, 1, 0)
    found = await client.all(LISTING)
    assert [(each["bids"], each["asks"]) for each in found] == [
        ([["99", "1"]], [["101", "2"]]),
        ([], [["101", "2"]]),
    ]
    assert (await client.get("/marks/X?simulation_id=s1"))["price"] == "100"


def _quoted(levels: list[list[str]]) -> str:
    return json.dumps(levels).replace('"', '""')


@pytest.mark.parametrize(
    ("bids", "asks", "misplaced"),
    [
        (["98", "99"], ["101"], 1),
        (["99"], ["103", "102", "101"], 2),
        (["99", "99.0"], ["101"], 1),
        (["99", "98", "98.5"], ["101", "101"], 2),
    ],
)
async def test_a_book_out_of_order_is_no_mark(client: Client, bids: list[str], asks: list[str], misplaced: int) -> None:
    answer = await send(client, book(0, [[each, "1"] for each in bids], [[each, "1"] for each in asks]))
    assert (codes(answer), answer["published"]) == ({0: [("book_unsorted", "critical")]}, 0)
    assert answer["verdicts"][0]["issues"][0]["value"] == misplaced
    moment = "2024-01-02T00:01:00Z"
    response = await client.http.get(f"{BASE}/asof?symbol=X&simulation_id=s1&of=order_book&at={moment}")
    assert response.status_code == 404


async def test_prices_that_differ_in_their_last_place_are_two(client: Client) -> None:
    asks = [["100000000000000.0000000001", "1"], ["100000000000000.0000000002", "1"]]
    assert codes(await send(client, book(0, [["99", "1"]], asks))) == {}
    # The mid has a place more than an amount may have.
    assert (await client.get("/marks/X?simulation_id=s1"))["price"] == "50000000000049.5000000001"
    assert codes(await send(client, book(1, [["99", "1"]], asks[::-1]))) == {0: [("book_unsorted", "critical")]}


async def test_a_book_without_a_level_is_said_to_be_none(client: Client) -> None:
    answer = await send(client, book(0, [], []), book(1, [["99", "0"]], []), book(2, [["99", "1"]], []))
    assert codes(answer) == {0: [("book_empty", "warning")], 1: [("book_empty", "warning")]}
    assert answer["published"] == 0
    assert (await client.http.get(f"{BASE}/marks/X?simulation_id=s1")).status_code == 404


@pytest.mark.parametrize("together", [True, False])
async def test_a_book_that_goes_back_is_critical_and_the_next_is_not(client: Client, together: bool) -> None:
    sides = ([["99", "1"]], [["101", "1"]])
    rows = [(100, 99), (60, 59), (101, 100), (102, 101), (5, 4), (6, 5)]
    books = [book(n, *sides, sequence=each, previous_sequence=named) for n, (each, named) in enumerate(rows)]
    if together:
        found = codes(await send(client, *books))
    else:
        found = {n: said[0] for n, each in enumerate(books) if (said := codes(await send(client, each)))}
    # An old one among the others, and then a venue that counts anew.
    assert found == {1: [("sequence_break", "critical")], 4: [("sequence_break", "critical")]}
