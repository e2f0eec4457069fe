"""Binance candlesticks as CSV, plain or gzip.

Columns are `open,high,low,close,volume,quote_volume,trades,close_datetime`; the time is the last millisecond
of the bar, with its offset. Checked against the daily opening prices of the exchange: the offsets are right.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from services.marketdata.formats.dataset import Report
from services.marketdata.formats.reading import (
    Line,
    TimeOrder,
    cells_of,
    number,
    reporting,
    require_header,
    rounded,
    text_lines,
)
from shared.schemas.marketdata import INTERVAL_LENGTH, Bar, Interval

HEADER = ["open", "high", "low", "close", "volume", "quote_volume", "trades", "close_datetime"]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_klines(paths: Sequence[Path], *, symbol: str, interval: Interval, report: Report) -> Iterator[Bar]:
    """Yield the bars of the files in the order of their names; raises FormatError for a file of another format."""
    order = TimeOrder(report)
    for path in sorted(paths):
        with closing(text_lines(path)) as lines:
            require_header(lines, path, HEADER)
            for line in lines:
                with reporting(line, report):
                    bar = _bar(line, symbol, interval)
                    if order.accepts(bar.ts, line):
                        yield bar


def _bar(line: Line, symbol: str, interval: Interval) -> Bar:
    cells = cells_of(line, len(HEADER))
    return Bar(
        symbol=symbol,
        interval=interval,
        ts=_start(cells[7], interval),
        open=number(cells[0]),
        high=number(cells[1]),
        low=number(cells[2]),
        close=number(cells[3]),
        volume=number(cells[4]),
        # What was traded in the quote currency: money.
        amount=rounded(cells[5]),
    )


def _start(close_text: str, interval: Interval) -> datetime:
    length = INTERVAL_LENGTH[interval]
    close = datetime.fromisoformat(close_text)
    if close.tzinfo is None:
        raise ValueError(f"{close_text!r} has no offset from UTC")
    start = close.astimezone(UTC) + timedelta(milliseconds=1) - length
    if (start - _EPOCH) % length:
        raise ValueError(f"{close_text!r} is not the last millisecond of a {interval} bar")
    return start
