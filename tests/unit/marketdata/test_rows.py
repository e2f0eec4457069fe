"""Whichever way rows are read, all at once, in parts or one by one, the same are good and the same are named."""

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.marketdata.rows import read as reading
from services.marketdata.rows.columns import Columns, one_by_one
from services.marketdata.rows.forms import ARROW, CSV, JSON, NDJSON, From
from services.marketdata.rows.kinds import BARS, LIQUIDATIONS, RowKind
from services.marketdata.rows.read import read_rows

ORIGIN = From("test", None)
COUNT = 1_200
BAD: dict[str, list[Any]] = {
    "bars": [{"high": "x"}, {"volume": "-1"}, {"symbol": "bad symbol"}, {"ts": "2024-01-01"}, {"colour": "red"}],
    "liquidations": [{"side": "up"}, {"price": "1e400"}, {"quantity": None}],
}


def good(kind: RowKind, number: int) -> dict[str, Any]:
    ts = f"2024-01-{1 + number // 1440:02}T{number // 60 % 24:02}:{number % 60:02}:00Z"
    if kind is BARS:
        prices = {"open": "1", "high": "3", "low": "0.5", "close": "2", "volume": "7"}
        return {"symbol": "X", "interval": "1m", "ts": ts, **prices, **({"amount": "9"} if number % 2 else {})}
    return {"symbol": "X", "ts": ts, "side": "sell", "price": "2.5", "quantity": str(1 + number)}


def same(left: Columns, right: Columns) -> None:
    assert left.table.equals(right.table)
    assert left.index.tolist() == right.index.tolist()
    assert left.rejected == right.rejected
    assert left.received == right.received


def encoded(kind: RowKind, rows: list[Any], form: str) -> bytes:
    if form == JSON:
        return json.dumps({"source": "test", kind.plural: rows}).encode()
    return "\n".join(json.dumps(row) for row in rows).encode()


@pytest.mark.parametrize("form", [JSON, NDJSON])
@pytest.mark.parametrize("kind", [BARS, LIQUIDATIONS], ids=lambda kind: kind.plural)
@settings(deadline=None, max_examples=10)
@given(places=st.dictionaries(st.integers(0, COUNT - 1), st.integers(0, 4), max_size=4))
def test_objects_are_read_the_same_way_in_parts(kind: RowKind, form: str, places: dict[int, int]) -> None:
    rows: list[Any] = [good(kind, number) for number in range(COUNT)]
    for place, which in places.items():
        wrong = BAD[kind.plural]
        rows[place] = {**rows[place], **wrong[which]} if which < len(wrong) else [1]
    expected = one_by_one(kind, list(enumerate(rows)))
    assert len(expected.rejected) == len(places)
    same(read_rows(kind, form, encoded(kind, rows, form), ORIGIN).columns, expected)


def test_lines_that_are_no_json_are_named_among_the_others() -> None:
    lines = [json.dumps(good(BARS, number)) for number in range(1_100)]
    lines[3], lines[600] = "{", json.dumps({**good(BARS, 600), "close": "y"})
    found = read_rows(BARS, NDJSON, "\n".join(lines).encode(), ORIGIN).columns
    assert [(row.index, row.reason.partition(":")[0]) for row in found.rejected] == [(3, "not JSON"), (600, "close")]
    assert found.received == 1_100
    assert found.index.tolist() == [n for n in range(1_100) if n not in (3, 600)]


@pytest.mark.parametrize("form", [CSV, ARROW])
def test_a_bad_row_of_a_table_costs_its_part_alone(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"amount": None, **good(BARS, number)} for number in range(COUNT)]
    rows[777]["low"] = "?"
    table = pa.table({name: pa.array([row[name] for row in rows], pa.string()) for name in rows[0]})
    sink = io.BytesIO()
    if form == CSV:
        pa_csv.write_csv(table, sink)
    else:
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
    read: list[int] = []

    def counted(kind: RowKind, given: Any) -> Columns:
        read.append(len(given))
        return one_by_one(kind, given)

    monkeypatch.setattr(reading, "one_by_one", counted)
    found = read_rows(BARS, form, sink.getvalue(), ORIGIN).columns
    assert read == [500]
    without = [{name: value for name, value in row.items() if value is not None} for row in rows]
    same(found, one_by_one(BARS, list(enumerate(without))))
    assert [row.index for row in found.rejected] == [777]
