"""Tables of bars that people make themselves, as CSV and Parquet."""

import gzip
import random
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.marketdata.formats.bars_table import HEADER, read_bars
from services.marketdata.formats.dataset import BadRow, FormatError
from services.marketdata.formats.discover import discover_all
from shared.schemas.marketdata import Bar

pytestmark = pytest.mark.unit

HEAD = ",".join(HEADER)
BAR = Bar(
    symbol="ACME",
    interval="1m",
    ts=datetime(2026, 3, 2, 9, 15, tzinfo=UTC),
    open=Decimal("10.1"),
    high=Decimal("10.5"),
    low=Decimal(10),
    close=Decimal("10.2"),
    volume=Decimal(7),
    amount=Decimal("71.4"),
)
COLUMNS: dict[str, list[Any]] = {
    "symbol": ["ACME", "ACME", "OTHER"],
    "interval": ["1m", "1m", "1d"],
    "ts": [BAR.ts, BAR.ts + timedelta(minutes=1), BAR.ts],
    "open": [10.1, 10.1, 1.0],
    "high": [10.5, 0.1 + 0.2, 1.0],
    "low": [10.0, 0.1, 1.0],
    "close": [10.2, 0.2, 1.0],
    "volume": [7, 0, 1],
    "amount": [71.4, None, None],
}


def read(tmp_path: Path) -> tuple[list[Bar], list[BadRow]]:
    bad: list[BadRow] = []
    bars = [r for d in discover_all(tmp_path) for r in d.records(bad.append) if isinstance(r, Bar)]
    return bars, bad


@pytest.mark.parametrize("name", ["mine.csv", "mine.csv.gz"])
def test_a_csv_of_bars_is_known_by_its_header(tmp_path: Path, name: str) -> None:
    text = f"{HEAD},amount\nACME,1m,2026-03-02T14:45:00+05:30,10.1,10.5,10,10.2,7,71.4\n".encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    (found,) = discover_all(tmp_path)
    assert (found.name, found.symbol, found.interval, found.source, found.calendar) == (
        f"{name}-acme-1m",
        "ACME",
        "1m",
        "file.mine",
        None,
    )
    assert list(found.records()) == [BAR]


def test_parquet_and_csv_of_the_same_bars_are_the_same(tmp_path: Path) -> None:
    pq.write_table(pa.table(COLUMNS), tmp_path / "mine.parquet")
    rows, bad = read(tmp_path)
    assert rows[0] == BAR
    # A float stands for the decimal it was written as, to ten places.
    assert (rows[1].high, rows[1].amount, rows[2].symbol) == (Decimal("0.3"), None, "OTHER")
    assert [d.name for d in discover_all(tmp_path)] == ["mine.parquet-acme-1m", "mine.parquet-other-1d"]
    assert bad == []


@pytest.mark.parametrize("kind", [pa.decimal128(20, 4), pa.string(), pa.float32(), pa.float64()])
def test_prices_of_any_sensible_type_are_taken(tmp_path: Path, kind: pa.DataType) -> None:
    values = ["12.5"] if kind == pa.string() else [Decimal("12.5")] if pa.types.is_decimal(kind) else [12.5]
    prices = {name: pa.array(values, kind) for name in ("open", "high", "low", "close", "volume")}
    pq.write_table(
        pa.table({"symbol": ["ACME"], "interval": ["1d"], "ts": ["2026-03-02T00:00:00Z"], **prices}),
        tmp_path / "a.parquet",
    )
    rows, bad = read(tmp_path)
    assert [(bar.close, bar.volume) for bar in rows] == [(Decimal("12.5"), Decimal("12.5"))]
    assert bad == []


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_in_a_zone_are_taken_and_those_without_refused(tmp_path: Path, unit: str) -> None:
    for name, zone in (("zoned", "Asia/Kolkata"), ("naive", None)):
        stamps = pa.array([datetime(2026, 3, 2, 9, 15)], pa.timestamp("s")).cast(pa.timestamp(unit, zone))  # noqa: DTZ001
        one = {n: pa.array([1.0]) for n in ("open", "high", "low", "close", "volume")}
        pq.write_table(
            pa.table({"symbol": ["A"], "interval": ["1m"], "ts": stamps, **one}), tmp_path / f"{name}.parquet"
        )
    naive, zoned = discover_all(tmp_path)
    assert [bar.ts for bar in zoned.records() if isinstance(bar, Bar)] == [datetime(2026, 3, 2, 9, 15, tzinfo=UTC)]
    with pytest.raises(FormatError, match=r"naive\.parquet:1: '2026-03-02 09:15:00' has no offset"):
        next(naive.records(lambda bad: None))


@pytest.mark.parametrize("stamp", ["2026-03-02T09:17:00", "2026-03-02 09:17", "2026-03-02"])
def test_a_csv_series_with_a_time_without_an_offset_is_refused_before_its_first_row(tmp_path: Path, stamp: str) -> None:
    lines = [HEAD, row("ACME", 0), row("OTHER", 0), row("ACME", 1), f"ACME,1m,{stamp},1,1,1,1,1"]
    (tmp_path / "mine.csv").write_text("\n".join(lines))
    acme, other = discover_all(tmp_path)
    # Not a row of it: what is left out would be a gap that nobody asked for.
    with pytest.raises(FormatError, match=rf"mine\.csv:5: '{stamp}' has no offset from UTC.*\+05:30"):
        next(acme.records(lambda bad: None))
    assert len(list(other.records())) == 1


def row(symbol: str, minute: int, close: str = "1") -> str:
    stamp = (BAR.ts + timedelta(minutes=minute)).isoformat()
    return f"{symbol},1m,{stamp},1,1,1,{close},1"


@pytest.mark.parametrize("held", [1, 2, 7, 100_000])
def test_rows_in_any_order_are_the_same_bars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int) -> None:
    monkeypatch.setattr("services.marketdata.formats.bars_table._MOST_HELD", held)
    minutes = random.Random(7).sample(range(40), 40)
    rows = [row(symbol, minute, str(minute + 1)) for minute in minutes for symbol in ("ACME", "OTHER")]
    (tmp_path / "mine.csv").write_text("\n".join([HEAD, *rows]))
    stamps = [BAR.ts + timedelta(minutes=minute) for minute in minutes]
    table = {**{name: [1.0] * 40 for name in ("open", "high", "low", "volume")}, "close": [n + 1 for n in minutes]}
    names = [*HEADER[:3], "open", "high", "low", "close", "volume"]
    columns = {"symbol": ["ACME"] * 40, "interval": ["1m"] * 40, "ts": stamps, **table}
    pq.write_table(pa.table({name: columns[name] for name in names}), tmp_path / "mine.parquet")
    for dataset in discover_all(tmp_path):
        bars = [bar for bar in dataset.records() if isinstance(bar, Bar)]
        assert [bar.close for bar in bars] == [Decimal(n + 1) for n in range(40)]
        assert [bar.ts for bar in bars] == sorted(stamps)


@pytest.mark.parametrize("held", [1, 3, 100_000])
def test_of_rows_in_any_order_each_bad_one_and_each_repeated_one_is_told_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    monkeypatch.setattr("services.marketdata.formats.bars_table._MOST_HELD", held)
    lines = [
        HEAD,
        row("ACME", 5),
        row("ACME", 2, "x"),
        "ACME,1m,short",
        "acme!" + row("", 0),
        row("ACME", 2),
        row("ACME", 1),
        "ACME,1m,yesterday,1,1,1,1,1",
        row("ACME", 2),
        row("ACME", 5, "2"),
    ]
    (tmp_path / "mine.csv").write_text("\n".join(lines))
    rows, bad = read(tmp_path)
    assert [(bar.ts - BAR.ts) // timedelta(minutes=1) for bar in rows] == [1, 2, 5]
    assert sorted(each.line for each in bad) == [3, 4, 5, 8, 9, 10]
    assert next(each for each in bad if each.line == 10).reason.endswith(
        "the same time as row 2, which stands before it"
    )


def test_bad_rows_are_told_of_once_though_the_file_holds_several_series(tmp_path: Path) -> None:
    stamp = "2026-03-02T09:15:00Z"
    lines = [
        HEAD,
        f"ACME,1m,{stamp},1,1,1,1,1",
        f"OTHER,1d,{stamp},1,1,1,1,1",
        "ACME,1m,short",
        f"ACME,7m,{stamp},1,1,1,1,1",
        f"acme!,1m,{stamp},1,1,1,1,1",
        f"ACME,1m,{stamp},1,1,1,1,1",
        "ACME,1m,yesterday,1,1,1,1,1",
        "OTHER,1d,2026-13-03T09:15:00Z,1,1,1,1,1",
        "ACME,1m,2026-03-02T09:16:00Z,1,1,1,inf,1",
        "ACME,1m,2026-03-02T09:17:00Z,1,1,1,1,-1",
    ]
    (tmp_path / "mine.csv").write_text("\n".join(lines))
    rows, bad = read(tmp_path)
    assert [bar.symbol for bar in rows] == ["ACME", "OTHER"]
    assert sorted(b.line for b in bad) == [4, 5, 6, 7, 8, 9, 10, 11]


def test_another_csv_is_left_alone_and_a_broken_parquet_too(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(f"{HEAD}\nACME,1m,2026-03-02T09:15:00Z,1,1,1,1,1\n")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and nothing more")
    assert [d.name for d in discover_all(tmp_path)] == ["mine.csv-acme-1m"]


def test_a_table_without_a_single_series_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(f"{HEAD}\nacme,1m,2026-03-02T09:15:00Z,1,1,1,1,1\n")
    with pytest.raises(FormatError, match="no row is of a symbol"):
        discover_all(tmp_path)


def test_a_table_without_rows_is_none_the_worse_for_the_others(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text(f"{HEAD}\n")
    (tmp_path / "mine.csv").write_text(f"{HEAD}\nACME,1m,2026-03-02T09:15:00Z,1,1,1,1,1\n")
    assert [d.name for d in discover_all(tmp_path)] == ["mine.csv-acme-1m"]


def test_a_table_with_a_column_missing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("symbol,interval,ts,open,high,low,close\n")
    with pytest.raises(FormatError, match="the header is not"):
        list(read_bars([path], symbol="ACME", interval="1m", report=lambda bad: None))


def test_a_time_with_any_offset_is_the_same_moment(tmp_path: Path) -> None:
    stamps = [BAR.ts.astimezone(timezone(timedelta(hours=h))).isoformat() for h in (-5, 0, 8)]
    for index, stamp in enumerate(stamps):
        (tmp_path / f"f{index}.csv").write_text(f"{HEAD}\nACME,1m,{stamp},1,1,1,1,1\n")
    rows, _ = read(tmp_path)
    assert {bar.ts for bar in rows} == {BAR.ts}
