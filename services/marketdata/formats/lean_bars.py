"""LEAN minute trade bars of equities and indices: one zip a day.

Rows are `milliseconds,open,high,low,close,volume` without a header; the time is the bar's start. The NIFTY 50
zips hold the same rows twice, under their own date and under the next trading date: only the member of
the zip's own date is read.
"""

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

from services.marketdata.formats.dataset import BadRow, FormatError, Report, losing
from services.marketdata.formats.lean import local_moment, price, session_of
from services.marketdata.formats.reading import Line, TimeOrder, cells_of, member_lines, opened_zip, reporting
from shared.schemas.marketdata import Bar

EQUITY_EXPONENT = -4
INDEX_EXPONENT = 0
_COLUMNS = 6


def read_days(paths: Sequence[Path], *, symbol: str, zone: ZoneInfo, exponent: int, report: Report) -> Iterator[Bar]:
    """Yield the minute bars of daily zips in time order; a zip that cannot be read is reported as lost."""
    for path in sorted(paths, key=session_of):
        with losing([path], report):
            yield from read_day(path, symbol=symbol, zone=zone, exponent=exponent, report=report)


def read_day(path: Path, *, symbol: str, zone: ZoneInfo, exponent: int, report: Report) -> Iterator[Bar]:
    """Yield the minute bars of one daily zip in time order; raises FormatError where it cannot be read."""
    session = session_of(path)
    with opened_zip(path) as archive:
        lines = member_lines(archive, own_member(archive, session, report))
        yield from parse_bars(lines, session=session, symbol=symbol, zone=zone, exponent=exponent, report=report)


def parse_bars(
    lines: Iterable[Line], *, session: date, symbol: str, zone: ZoneInfo, exponent: int, report: Report
) -> Iterator[Bar]:
    """Yield the bars of one day's rows; a row that breaks the format or goes back in time is reported."""
    order = TimeOrder(report)
    for line in lines:
        with reporting(line, report):
            cells = cells_of(line, _COLUMNS)
            bar = Bar(
                symbol=symbol,
                interval="1m",
                ts=local_moment(session, cells[0], zone),
                open=price(cells[1], exponent),
                high=price(cells[2], exponent),
                low=price(cells[3], exponent),
                close=price(cells[4], exponent),
                volume=price(cells[5], 0),
            )
            if order.accepts(bar.ts, line):
                yield bar


def own_member(archive: zipfile.ZipFile, session: date, report: Report) -> str:
    """Return the one member of an archive's own date, and report others unless they are copies; raises FormatError."""
    stamp = session.strftime("%Y%m%d")
    members = [info for info in archive.infolist() if not info.is_dir()]
    own = [info for info in members if info.filename.startswith(stamp)]
    if len(own) != 1:
        raise FormatError(f"{archive.filename}: {len(own)} members of {session} instead of one")
    for other in members:
        # Size and checksum equal: a copy under another date, and nothing is lost by not reading it.
        if (other.CRC, other.file_size) != (own[0].CRC, own[0].file_size):
            reason = f"is not of {session}, the date of its archive, and was not read"
            report(BadRow(f"{archive.filename}!{other.filename}", 0, reason))
    return own[0].filename
