"""Bars in a plain table, CSV or Parquet: `symbol,interval,ts,open,high,low,close,volume` and perhaps `amount`.

In CSV `ts` is ISO 8601 with an offset. In Parquet it may be that text or a timestamp in a time zone, prices decimals,
text, integers or floats; a float stands for the shortest decimal that reads back as it.
"""

import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

from services.marketdata.formats.dataset import FormatError, Report
from services.marketdata.formats.reading import (
    Line,
    TimeOrder,
    cells_of,
    named_errors,
    number,
    reporting,
    rounded,
    text_lines,
)
from shared.schemas.marketdata import Bar, Interval

HEADER = ["symbol", "interval", "ts", "open", "high", "low", "close", "volume"]
OPTIONAL = "amount"
_PARQUET = ".parquet"
_BATCH_ROWS = 10_000
_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9._:\-/]{0,31}")
_INTERVALS: dict[str, Interval] = {interval: interval for interval in get_args(Interval)}


def is_bars_table(path: Path) -> bool:
    """Tell whether a file has the header of a table of bars; one that cannot be read has none."""
    try:
        _columns_of(path)
    except FormatError:
        return False
    return True


def series(path: Path) -> list[tuple[str, Interval]]:
    """Return every symbol and interval of a table, sorted.

    Raises FormatError where it cannot be read, or none of its rows is of one; a table without rows is none the worse.
    """
    found = {_series(row) for _, row in _rows(path, ["symbol", "interval"])}
    if found == {None}:
        raise FormatError(f"{path}: no row is of a symbol and an interval")
    return sorted(pair for pair in found if pair is not None)


def read_bars(
    paths: Sequence[Path], *, symbol: str, interval: Interval, strays: bool = True, report: Report
) -> Iterator[Bar]:
    """Yield the bars of one symbol and interval, in time order; raises FormatError for a file of another format.

    With `strays` rows that are of no symbol and interval at all are reported too.
    """
    order = TimeOrder(report)
    for path in sorted(paths):
        for line, row in _rows(path, _columns_of(path), report if strays else None):
            named = _series(row)
            if named is None and strays:
                report(line.bad(f"{row['symbol']!r:.40} and {row['interval']!r:.40} are no symbol and interval"))
            if named != (symbol, interval):
                continue
            with reporting(line, report):
                bar = _bar(row)
                if order.accepts(bar.ts, line):
                    yield bar


def _series(row: dict[str, Any]) -> tuple[str, Interval] | None:
    symbol, interval = row["symbol"], _INTERVALS.get(str(row["interval"]))
    return (symbol, interval) if interval and isinstance(symbol, str) and _SYMBOL.fullmatch(symbol) else None


def _bar(row: dict[str, Any]) -> Bar:
    stamp = row["ts"]
    moment = stamp if isinstance(stamp, datetime) else datetime.fromisoformat(str(stamp))
    if moment.tzinfo is None:
        raise ValueError(f"{str(stamp)[:40]!r} has no offset from UTC")
    money = row.get(OPTIONAL)
    return Bar(
        symbol=row["symbol"],
        interval=row["interval"],
        ts=moment,
        open=_decimal(row["open"]),
        high=_decimal(row["high"]),
        low=_decimal(row["low"]),
        close=_decimal(row["close"]),
        volume=_decimal(row["volume"]),
        amount=None if money is None or money == "" else _decimal(money),
    )


def _decimal(cell: Any) -> Decimal:
    if isinstance(cell, float):
        return rounded(repr(cell))
    if not isinstance(cell, str | int | Decimal) or isinstance(cell, bool):
        raise ValueError(f"{str(cell)[:40]!r} is not a number")
    return number(str(cell))


def _columns_of(path: Path) -> list[str]:
    if path.suffix == _PARQUET:
        names = _parquet_columns(path)
    else:
        with closing(text_lines(path)) as lines:
            first = next(lines, None)
        names = first.text.split(",") if first else []
    if names[: len(HEADER)] != HEADER or names[len(HEADER) :] not in ([], [OPTIONAL]):
        raise FormatError(f"{path}:1: the header is not {','.join(HEADER)}[,{OPTIONAL}]")
    return names


def _rows(path: Path, wanted: list[str], report: Report | None = None) -> Iterator[tuple[Line, dict[str, Any]]]:
    """Yield rows as far as they can be told apart; one that cannot be is reported, where anybody asked."""
    if path.suffix == _PARQUET:
        yield from _parquet_rows(path, wanted)
        return
    columns = _columns_of(path)
    with closing(text_lines(path)) as lines:
        next(lines)
        for line in lines:
            try:
                cells = cells_of(line, len(columns))
            except ValueError as error:
                if report is not None:
                    report(line.bad(str(error)))
            else:
                yield line, dict(zip(columns, cells, strict=True))


def _parquet_columns(path: Path) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with named_errors(str(path)), pq.ParquetFile(path) as file:
            return list(file.schema_arrow.names)
    except pa.ArrowException as error:
        raise FormatError(f"{path}: cannot be read: {error}") from error


def _parquet_rows(path: Path, wanted: list[str]) -> Generator[tuple[Line, dict[str, Any]], None, None]:
    """Yield rows a batch at a time; the number of a line is that of its row, counted from 1."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with named_errors(str(path)), pq.ParquetFile(path) as file:
            count = 0
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=wanted):
                stamp = pa.types.is_timestamp
                # Python's times have no nanoseconds.
                fields = [pa.field(f.name, pa.timestamp("us", f.type.tz)) if stamp(f.type) else f for f in batch.schema]
                for row in pa.Table.from_batches([batch]).cast(pa.schema(fields), safe=False).to_pylist():
                    count += 1
                    yield Line(str(path), count, ""), row
    except pa.ArrowException as error:
        raise FormatError(f"{path}: cannot be read: {error}") from error
