"""Messages of the futures stream: what each says, and that nothing anybody sends raises."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.marketdata.core.stream.messages import (
    BadMessage,
    DepthSnapshot,
    DepthUpdate,
    Quote,
    Side,
    Stream,
    Trade,
)
from services.marketdata.formats.binance_messages import parse_message
from services.marketdata.formats.binance_stream import book_of, parse_line, read_books, read_trades, tick_of
from services.marketdata.formats.dataset import BadRow
from shared.schemas.market_events import OrderBook, Tick

pytestmark = pytest.mark.unit

TRADE = {"e": "trade", "E": 1723161256322, "T": 1723161256321, "s": "BTCUSDT", "t": 5266583935, "p": "61800.30",
         "q": "0.006", "X": "MARKET", "m": False}  # fmt: skip
QUOTE = {"e": "bookTicker", "u": 5123107839020, "s": "BTCUSDT", "b": "61800.20", "B": "2.507", "a": "61800.30",
         "A": "2.510", "T": 1723161256313, "E": 1723161256314}  # fmt: skip
UPDATE = {"e": "depthUpdate", "E": 1723161256299, "T": 1723161256298, "s": "BTCUSDT", "U": 11, "u": 15, "pu": 9,
          "b": [["58710.20", "0.014"]], "a": [["61800.30", "0.000"], ["61801.00", "1"]]}  # fmt: skip
SNAPSHOT = {"lastUpdateId": 12, "E": 1723161256501, "T": 1723161256493, "bids": [["61800.20", "2.909"]], "asks": []}
ALL = {"trade": TRADE, "quote": QUOTE, "update": UPDATE, "snapshot": SNAPSHOT}
NOW = 1723161255030314667


def parse(data: Any, *, wrapped: bool = True) -> Any:
    whole = {"stream": "btcusdt@x", "data": data} if wrapped else data
    return parse_message(NOW, json.dumps(whole), "BTCUSDT")


def test_a_trade_says_who_crossed_and_keeps_its_exact_texts() -> None:
    assert parse(TRADE) == Trade(
        NOW, 1723161256322, 1723161256321, "BTCUSDT", 5266583935, 61800.3, 0.006, "61800.30", "0.006", True, True
    )
    assert parse({**TRADE, "m": True}).buyer_crossed is False


@pytest.mark.parametrize("kind", ["INSURANCE_FUND", "ADL", "NA"])
def test_what_no_order_made_is_no_trade_of_the_market(kind: str) -> None:
    assert parse({**TRADE, "X": kind, "p": "0", "q": "0"}).market is False


def test_a_quote_an_update_and_a_snapshot() -> None:
    assert parse(QUOTE) == Quote(
        NOW, 1723161256314, 1723161256313, "BTCUSDT", 5123107839020, 61800.2, 2.507, 61800.3, 2.51,
        ("61800.20", "2.507", "61800.30", "2.510"),
    )  # fmt: skip
    update = parse(UPDATE)
    assert isinstance(update, DepthUpdate)
    assert (update.first_id, update.last_id, update.previous_id) == (11, 15, 9)
    assert update.asks == Side(["61800.30", "0.000", "61801.00", "1"], [61800.3, 61801.0], [0.0, 1.0])
    assert parse(SNAPSHOT, wrapped=False) == DepthSnapshot(
        NOW,
        1723161256501,
        1723161256493,
        "BTCUSDT",
        12,
        Side(["61800.20", "2.909"], [61800.2], [2.909]),
        Side([], [], []),
    )


def test_messages_outside_a_combined_stream_are_the_same() -> None:
    for data in (TRADE, QUOTE, UPDATE):
        assert parse(data, wrapped=False) == parse(data)


def test_two_updates_of_other_levels_have_other_checksums() -> None:
    assert parse(UPDATE).checksum != parse({**UPDATE, "b": [["58710.20", "0.015"]]}).checksum
    assert parse(UPDATE).checksum != parse({**UPDATE, "b": UPDATE["a"], "a": UPDATE["b"]}).checksum


def test_negative_amounts_are_let_through_for_the_checks_to_find() -> None:
    assert parse({**TRADE, "p": "-1", "q": "-2"})[5:7] == (-1.0, -2.0)


HOSTILE: list[Any] = [
    None, True, 0, -1, 1.5, 10**30, "", "x", "nan", "Infinity", "1e5", "1_0", " 1", "1\n", "٣", "9" * 40, "1" * 10_000,
    [], {}, [[]], [["1"]], [["1", "2", "3"]], ["12"], [[1, 2]], [["1 2", "3"]], [["nan", "1"]], [[["1"], "2"]],
    [["1", "2"], 5], {"1": "2"}, [["1", None]], [["1", "2"]] * 5_001,
]  # fmt: skip


@pytest.mark.parametrize("name", sorted(ALL))
@pytest.mark.parametrize("wrapped", [True, False])
def test_any_field_missing_or_wrong_is_a_bad_message_of_its_stream(name: str, wrapped: bool) -> None:
    good = ALL[name]
    stream = {"trade": Stream.TRADES, "quote": Stream.QUOTES}.get(name, Stream.DEPTH)
    ignored = {"X"}
    for field in good.keys() - {"e", "lastUpdateId"}:
        if field not in ignored:
            left = parse({k: v for k, v in good.items() if k != field}, wrapped=wrapped)
            assert isinstance(left, BadMessage)
            assert (field in left.reason, left.stream) == (True, stream)
        for value in HOSTILE:
            told = parse({**good, field: value}, wrapped=wrapped)
            fits = (field == "m" and value is True) or (field == "X" and isinstance(value, str))
            fits |= field in ("b", "a", "bids", "asks") and value == [] and stream is Stream.DEPTH
            fits |= field in ("t", "u", "U", "pu") and value == 0 and not isinstance(value, bool | float)
            fits |= field == "s" and value == "1_0"
            assert isinstance(told, BadMessage) is not fits, (field, value, told)


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"{", b"null", b"[]", b"17", b'"text"', b"\xff\xfe", b"NaN", b'{"e":NaN}', b'{"data":null}',
        b'{"data":[]}',
        b'{"e":["trade"]}', b'{"e":{}}', b'{"e":"liquidation"}', b'{"result":null,"id":1}', b"[" * 100_000,
        b'{"a":' * 100_000, b'{"lastUpdateId":1}', b'{"e":"trade"}', b'{"e":"trade","E":' + b"9" * 5_000 + b"}",
    ],
)  # fmt: skip
def test_payloads_that_are_nothing_are_bad_messages(payload: bytes) -> None:
    told = parse_message(NOW, payload, "BTCUSDT")
    assert isinstance(told, BadMessage)
    assert 0 < len(told.reason) < 400


texts = st.text("019.-e NaI\n\u0663", max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.sampled_from(["1", "-2.5", "trade"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "e", "data"]), inner),
    max_leaves=6,
)


@given(
    st.sampled_from(sorted(ALL)),
    st.dictionaries(st.sampled_from([*TRADE, *UPDATE, *SNAPSHOT]), json_values, max_size=4),
)
def test_no_change_of_a_message_raises(name: str, changes: dict[str, Any]) -> None:
    told = parse_message(NOW, json.dumps({**ALL[name], **changes}), "BTCUSDT")
    if isinstance(told, Trade):
        assert isinstance(tick_of(told), Tick)
    elif isinstance(told, Quote) and told.bid_quantity >= 0 and told.ask_quantity >= 0:
        assert isinstance(book_of(told), OrderBook)


@given(st.text(max_size=40) | st.binary(max_size=40).map(lambda b: b.decode("latin-1")))
def test_no_line_raises(text: str) -> None:
    assert isinstance(parse_line(text, "BTCUSDT"), BadMessage)


@pytest.mark.parametrize("stamp", ["", "-1", "1.5", "12345678901234567890", "9" * 19, "²", "now"])
def test_a_line_without_a_receive_time_is_bad(stamp: str) -> None:
    assert parse_line(f"{stamp} {json.dumps(TRADE)}", "BTCUSDT") == BadMessage(
        f"{stamp!r} is not nanoseconds since 1970"
    )


def stream_file(tmp_path: Path, *payloads: Any) -> Path:
    path = tmp_path / "binance_futures_btcusdt_stream_1.jsonl"
    path.write_text(
        "".join(f"{NOW + i} {p if isinstance(p, str) else json.dumps(p)}\n" for i, p in enumerate(payloads))
    )
    return path


def test_bad_lines_are_reported_by_the_dataset_they_belong_to_and_once(tmp_path: Path) -> None:
    path = stream_file(
        tmp_path,
        TRADE,
        "{",
        {**TRADE, "p": "x"},
        {**UPDATE, "b": 1},
        {**TRADE, "s": "ETHUSDT"},
        {**TRADE, "t": 2, "X": "NA"},
    )
    trades_bad: list[BadRow] = []
    books_bad: list[BadRow] = []
    trades = list(read_trades([path], symbol="BTCUSDT", report=trades_bad.append))
    assert [t.trade_id for t in trades] == ["5266583935"]
    assert list(read_books([path], symbol="BTCUSDT", report=books_bad.append)) == []
    assert ([b.line for b in trades_bad], [b.line for b in books_bad]) == ([2, 3, 5], [4])


def test_a_break_in_the_updates_is_reported_and_no_book_follows_it(tmp_path: Path) -> None:
    following = {**UPDATE, "U": 16, "u": 20, "pu": 15}
    broken = {**UPDATE, "U": 26, "u": 30, "pu": 25}
    older = {**SNAPSHOT, "T": UPDATE["T"]}
    path = stream_file(tmp_path, older, UPDATE, following, broken, {**broken, "U": 31, "u": 35, "pu": 30})
    bad: list[BadRow] = []
    books = list(read_books([path], symbol="BTCUSDT", report=bad.append))
    assert [(b.sequence, b.previous_sequence) for b in books] == [(12, None), (15, 9), (20, 15)]
    assert [(b.line, "follows 25" in b.reason) for b in bad] == [(4, True)]
