"""Days of one instrument as CSV: NIFTY 50 of NSE, an A-share, the S&P 500 and the VIX.

A bar's time is the exchange's local midnight. Left out, as no part of a bar: P/E, P/B and yield of the NIFTY; the
adjusted close of the S&P 500, which is its close; and the A-share's `change`, the fraction by which its close
moved from that of the row before, made from these very rows and so no witness of a missing one. The A-share's volume
is in shares, as its source rounded it. The VIX has one level a day: a bar that opens, stays and closes there.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from services.marketdata.formats.dataset import Report
from services.marketdata.formats.reading import (
    MONTHS,
    Line,
    TimeOrder,
    cells_of,
    local_midnight,
    number,
    reporting,
    require_header,
    text_lines,
)
from shared.schemas.marketdata import Bar

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Layout:
    """The header of a file, how it writes a day, and the columns of open, high, low, close and volume, if any."""

    header: tuple[str, ...]
    day: Callable[[str], date]
    prices: tuple[str, str, str, str]
    volume: str | None = None


def read_days(paths: Sequence[Path], *, symbol: str, zone: ZoneInfo, layout: Layout, report: Report) -> Iterator[Bar]:
    """Yield the daily bars of the files in the order of their names; raises FormatError for another format."""
    order = TimeOrder(report)
    for path in sorted(paths):
        with closing(text_lines(path)) as lines:
            require_header(lines, path, layout.header)
            for line in lines:
                with reporting(line, report):
                    bar = _bar(line, symbol, zone, layout)
                    if order.accepts(bar.ts, line):
                        yield bar


def _bar(line: Line, symbol: str, zone: ZoneInfo, layout: Layout) -> Bar:
    cells = dict(zip(layout.header, cells_of(line, len(layout.header)), strict=True))
    missing = next((name for name in layout.prices if not cells[name]), None)
    if missing is not None:
        raise ValueError(f"no value of {missing}")
    opened, high, low, close = (number(cells[name]) for name in layout.prices)
    return Bar(
        symbol=symbol,
        interval="1d",
        ts=local_midnight(layout.day(cells[layout.header[0]]), zone),
        open=opened,
        high=high,
        low=low,
        close=close,
        volume=number(cells[layout.volume]) if layout.volume else _ZERO,
    )


def _iso(text: str) -> date:
    return date.fromisoformat(text)


def _indian(text: str) -> date:
    """Read 03-01-2000 and, of the file's last months, 05-Jan-24."""
    day, month, year = _parts(text, text.split("-"))
    if month in MONTHS and len(year) == 2:
        return date(2000 + int(year), MONTHS[month], int(day))
    if len(year) != 4:
        raise ValueError(f"{text[:40]!r} is not a date such as 03-01-2000 or 05-Jan-24")
    return date(int(year), int(month), int(day))


def _chinese(text: str) -> date:
    """Read 2012年3月21日."""
    year, _, rest = text.partition("年")
    month, _, rest = rest.partition("月")
    day, mark, after = rest.partition("日")
    if not mark or after:
        raise ValueError(f"{text[:40]!r} is not a date such as 2012年3月21日")
    return date(*(int(part) for part in _parts(text, [year, month, day])))


def _parts(text: str, parts: list[str]) -> tuple[str, str, str]:
    if len(parts) != 3 or not all((part.isascii() and part.isdigit()) or part in MONTHS for part in parts):
        raise ValueError(f"{text[:40]!r} is not a date")
    return parts[0], parts[1], parts[2]


NIFTY = Layout(
    ("Date", "Open", "High", "Low", "Close", "P/E", "P/B", "Div Yield %"), _indian, ("Open", "High", "Low", "Close")
)
SSE = Layout(
    ("date", "close", "open", "high", "low", "volume", "change"), _chinese, ("open", "high", "low", "close"), "volume"
)
SP500 = Layout(
    ("Date", "Open", "High", "Low", "Close", "Adj Close", "Volume"), _iso, ("Open", "High", "Low", "Close"), "Volume"
)
VIX = Layout(("Date", "vix"), _iso, ("vix", "vix", "vix", "vix"))
