"""Bars in a plain table, CSV or Parquet: `symbol,interval,ts,open,high,low,close,volume` and perhaps `amount`.

In CSV `ts` is ISO 8601 with an offset. In Parquet it may be that text or a timestamp in a time zone, prices decimals,
text, integers or floats; a float stands for the shortest decimal that reads back as it. A series with a time that has
no offset is refused whole: which zone is meant nobody can tell, and a part of it would be a gap.

Rows may stand in any order. Those of a series are read once for their times; where these fall back, the rows are read
again for each stretch of time that has as many as may be held, and sorted.
"""

import re
from array import array
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from services.marketdata.core.calendars import to_micros
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
# Bars of one series that are held to be sorted: some 100 MB.
_MOST_HELD = 100_000
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
    """Yield the bars of one symbol and interval, each table's in time order.

    Raises FormatError for a file of another format, and for a time without an offset. With `strays` rows that are of
    no symbol and interval at all are reported too.
    """
    order = TimeOrder(report)
    for path in sorted(paths):
        times = _times(path, (symbol, interval))
        named = _Chosen(path, (symbol, interval), report, strays)
        if np.all(times[1:] >= times[:-1]):
            bars = _as_they_stand(named)
        else:
            bars = (each for n, stretch in enumerate(_stretches(times)) for each in _sorted(named, stretch, n == 0))
        for line, bar in bars:
            if order.accepts(bar.ts, line):
                yield bar


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The rows of one symbol and interval in a table, and who hears of those that are bad."""

    path: Path
    name: tuple[str, Interval]
    report: Report
    strays: bool

    def rows(self, *, told: bool) -> Iterator[tuple[Line, dict[str, Any]]]:
        """Yield the rows; those of no series are reported where `told`, and wanted."""
        stray = self.report if told and self.strays else None
        for line, row in _rows(self.path, _columns_of(self.path), stray):
            named = _series(row)
            if named is None and stray is not None:
                stray(line.bad(f"{row['symbol']!r:.40} and {row['interval']!r:.40} are no symbol and interval"))
            if named == self.name:
                yield line, row


def _times(path: Path, name: tuple[str, Interval]) -> npt.NDArray[np.int64]:
    """Return the times of a series, in the order of its rows. Raises FormatError for one without an offset."""
    found = array("q")
    for line, row in _rows(path, ["symbol", "interval", "ts"]):
        if _series(row) != name:
            continue
        try:
            moment = _moment(row)
        except ValueError:
            continue
        if moment.tzinfo is None:
            reason = "has no offset from UTC, and none is guessed: give each time its own, as 2026-03-02T09:15:00+05:30"
            raise FormatError(str(line.bad(f"{str(row['ts'])[:40]!r} {reason} (in Parquet: the column a time zone)")))
        found.append(to_micros(moment))
    return np.array(found, np.int64)


def _as_they_stand(series: _Chosen) -> Iterator[tuple[Line, Bar]]:
    for line, row in series.rows(told=True):
        with reporting(line, series.report):
            yield line, _bar(row)


def _stretches(times: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield stretches of time one after the other, from a moment until before another, each of as many as are held."""
    moments = np.unique(times)
    starts = [*moments[::_MOST_HELD].tolist(), int(moments[-1]) + 1]
    yield from pairwise(starts)


def _sorted(series: _Chosen, stretch: tuple[int, int], first: bool) -> Iterator[tuple[Line, Bar]]:
    """Yield the bars of a stretch by time; with the `first` one, the rows whose time cannot be read are reported."""
    start, end = stretch
    held: dict[int, tuple[Line, Bar]] = {}
    for line, row in series.rows(told=first):
        try:
            moment = to_micros(_moment(row))
        except ValueError as error:
            if first:
                series.report(line.bad(str(error)))
            continue
        if not start <= moment < end:
            continue
        if moment in held:
            known = held[moment][0].number
            series.report(line.bad(f"{row['ts']} is the same time as row {known}, which stands before it"))
            continue
        with reporting(line, series.report):
            held[moment] = line, _bar(row)
    yield from (held[moment] for moment in sorted(held))


def _series(row: dict[str, Any]) -> tuple[str, Interval] | None:
    symbol, interval = row["symbol"], _INTERVALS.get(str(row["interval"]))
    return (symbol, interval) if interval and isinstance(symbol, str) and _SYMBOL.fullmatch(symbol) else None


def _moment(row: dict[str, Any]) -> datetime:
    stamp = row["ts"]
    return stamp if isinstance(stamp, datetime) else datetime.fromisoformat(str(stamp))


def _bar(row: dict[str, Any]) -> Bar:
    money = row.get(OPTIONAL)
    return Bar(
        symbol=row["symbol"],
        interval=row["interval"],
        ts=_moment(row),
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
