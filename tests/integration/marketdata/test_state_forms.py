"""Market states in every form: the same state has the same id, a bad one is named, and the good ones are kept."""

import io
import json
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from services.marketdata.rows.forms import ARROW, CSV, JSON, NDJSON
from services.marketdata.settings import MarketdataSettings
from shared.money import format_decimal
from tests.conftest import MakeSettings
from tests.harness import Tokens
from tests.integration.marketdata.client import BASE, START, Client, client_of

pytestmark = pytest.mark.integration

FORMS = [JSON, NDJSON, CSV, ARROW]
PATH = "/market-states?source=test&simulation_id=s1"
NAMES = ("symbol", "timestamp", "spot_price", "spot_prices", "total_call_oi", "total_put_oi", "option_chain")


@pytest.fixture
async def client(make_settings: MakeSettings, tokens: Tokens) -> AsyncIterator[Client]:
    async with client_of(make_settings(MarketdataSettings), tokens) as found:
        yield found


def quote(strike: int, right: str) -> dict[str, Any]:
    sizes = {"bid_quantity": "10", "ask_quantity": "12", "open_interest": "100"}
    return {"expiry": "2024-02-01", "strike": str(strike), "right": right, "bid": "4.95", "ask": "5.05", **sizes}


def state(minute: int, **changes: Any) -> dict[str, Any]:
    found = {
        "symbol": "X",
        "timestamp": (START + timedelta(minutes=minute)).isoformat(),
        "spot_price": format_decimal(Decimal(100) + Decimal(minute) / 100),
        "total_call_oi": "100",
        "total_put_oi": "100",
        "option_chain": [quote(100, "C"), quote(100, "P")],
        **changes,
    }
    return {name: value for name, value in found.items() if value is not None}


def body_of(states: list[dict[str, Any]], form: str) -> bytes:
    if form == JSON:
        return json.dumps({"source": "test", "simulation_id": "s1", "states": states}).encode()
    if form == NDJSON:
        return "\n".join(json.dumps(each) for each in states).encode()
    # On several lines, as a file may have it.
    cells = {
        name: [json.dumps(v, indent=1) if isinstance(v := each.get(name), list) else v for each in states]
        for name in NAMES
    }
    if form == CSV:
        quoted = [
            ",".join("" if cells[name][n] is None else '"' + cells[name][n].replace('"', '""') + '"' for name in NAMES)
            for n in range(len(states))
        ]
        return "\n".join([",".join(NAMES), *quoted]).encode()
    return stream_of(pa.table({name: pa.array(values, pa.string()) for name, values in cells.items()}))


def stream_of(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


@pytest.mark.parametrize("form", FORMS)
async def test_a_state_is_the_same_in_every_form(client: Client, form: str) -> None:
    given = [state(0), state(1, spot_prices=["100.01", "100.02"]), state(2, option_chain=None)]
    answer = await client.send(PATH, body_of(given, form), form)
    assert (answer["received"], answer["stored"], answer["rejected"]) == (3, 3, [])
    again = await client.send(PATH, body_of(given, JSON), JSON)
    assert (again["stored"], again["unchanged"]) == (0, 3)
    assert [verdict["market_state_id"] for verdict in again["verdicts"]] == [
        verdict["market_state_id"] for verdict in answer["verdicts"]
    ]
    corrected = await client.send(PATH, body_of([state(1, spot_price="100.03")], form), form)
    assert (corrected["stored"], corrected["revised"]) == (1, 1)
    found = await client.all("/market-states?symbol=X&simulation_id=s1")
    assert [(item["spot_price"], item["revision"]) for item in found] == [("100", 1), ("100.03", 2), ("100.02", 1)]
    stored = [{name: value for name, value in each.items() if value is not None} for each in found[0]["option_chain"]]
    assert stored == given[0]["option_chain"]
    assert found[2]["option_chain"] is None


@pytest.mark.parametrize("form", FORMS)
async def test_a_bad_state_is_named_and_the_others_are_kept(client: Client, form: str) -> None:
    broken = [
        state(0),
        state(1, spot_price="cheap"),
        state(2, option_chain=[{"strike": "1"}]),
        state(3, symbol="no symbol"),
        state(0, spot_price="101"),
        state(4),
    ]
    refused = await client.send(f"{PATH}&mode=strict", body_of(broken, form), form, 422)
    assert [error["location"] for error in refused["errors"]] == [f"body.states.{n}" for n in (1, 2, 3, 4)]
    assert await client.all("/market-states?symbol=X&simulation_id=s1") == []
    answer = await client.send(PATH, body_of(broken, form), form)
    counts = [answer[name] for name in ("received", "stored", "unchanged", "rejected_count")]
    assert counts == [6, 2, 0, 4]
    reasons = {row["index"]: row["reason"] for row in answer["rejected"]}
    assert list(reasons) == [1, 2, 3, 4]
    assert reasons[1].startswith("spot_price:")
    assert "option_chain.0.expiry: Field required" in reasons[2]
    assert reasons[4] == "differs from row 0 of the same moment"
    assert [verdict["index"] for verdict in answer["verdicts"]] == [0, 5]


async def test_chains_come_as_lists_too(client: Client) -> None:
    amount = pa.decimal128(20, 4)
    kind = pa.struct(
        [("expiry", pa.date32()), ("strike", amount), ("right", pa.string()), ("bid", amount), ("ask", amount)]
    )
    rows = [
        {"expiry": date(2024, 2, 1), "strike": Decimal(100), "right": right, "bid": bid, "ask": Decimal("5.05")}
        for right, bid in (("C", Decimal("4.95")), ("P", None))
    ]
    table = pa.table(
        {
            "symbol": pa.array(["X"]).dictionary_encode(),
            "timestamp": pa.array([START], pa.timestamp("us", "UTC")),
            "spot_price": pa.array([Decimal("100.5")], amount),
            "spot_prices": pa.array([[Decimal("100.5"), Decimal(101)]], pa.list_(amount)),
            "option_chain": pa.array([rows], pa.list_(kind)),
        }
    )
    answer = await client.send(PATH, stream_of(table), ARROW)
    assert (answer["stored"], answer["rejected"]) == (1, [])
    (found,) = await client.all("/market-states?symbol=X&simulation_id=s1")
    assert [(each["right"], each.get("bid"), each["ask"]) for each in found["option_chain"]] == [
        ("C", "4.95", "5.05"),
        ("P", None, "5.05"),
    ]
    assert [Decimal(spot) for spot in found["spot_prices"]] == [Decimal("100.5"), Decimal(101)]
    # What is not exact is not taken, however deep.
    inexact = table.set_column(4, "option_chain", [[[{"expiry": "2024-02-01", "strike": 100.1, "right": "C"}]]])
    refused = await client.send(PATH, stream_of(inexact), ARROW, 422)
    assert refused["errors"][0]["message"].startswith("option_chain.0.strike:")


async def test_of_many_states_the_worst_are_named(client: Client) -> None:
    moments = [(START + timedelta(seconds=n)).isoformat() for n in range(1_100)]
    spots = ["0" if n in (3, 1_050) else f"100.{n % 10}" for n in range(1_100)]
    states = [{"symbol": "X", "timestamp": at, "spot_price": spot} for at, spot in zip(moments, spots, strict=True)]
    answer = await client.send(PATH, body_of(states, NDJSON), NDJSON)
    assert (answer["received"], answer["stored"], answer["rejected_count"]) == (1_100, 1_100, 0)
    named = [verdict["index"] for verdict in answer["verdicts"]]
    assert len(named) == 1_000
    assert named == sorted(named)
    assert {3, 1_050} <= set(named)
    assert answer["flagged"] == 1_100


@pytest.mark.parametrize(
    ("path", "form", "body", "status"),
    [
        ("/market-states", NDJSON, b'{"symbol":"X"}', 422),
        (PATH, NDJSON, b"", 400),
        (PATH, CSV, b"symbol,colour\nX,red\n", 422),
        (PATH, CSV, b"timestamp\n2024-01-02T00:00:00Z\n", 422),
        (PATH, CSV, b'symbol,option_chain\nX,"[{"\n', 422),
        (PATH, ARROW, b"nonsense", 400),
        (PATH, JSON, b"{", 400),
        (PATH, JSON, b'{"states": []}', 422),
        (PATH, "text/plain", b"X", 415),
    ],
)
async def test_what_is_no_state_is_refused(client: Client, path: str, form: str, body: bytes, status: int) -> None:
    assert (await client.send(path, body, form, status))["detail"]
    assert await client.all("/market-states?symbol=X&simulation_id=s1") == []


async def test_pushed_states_are_seen_by_their_source_in_every_form(client: Client) -> None:
    now = datetime.now(START.tzinfo).isoformat()
    await client.send("/market-states?source=pushed", body_of([state(0, timestamp=now)], NDJSON), NDJSON)
    response = await client.http.get(f"{BASE}/feeds/pushed/health")
    assert response.status_code == 200, response.text
