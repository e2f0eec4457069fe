"""LEAN minute quote bars of equities: one zip a day, made into the best bid and ask at the end of each minute.

Rows are `milliseconds,bid open,high,low,close,bid size,ask open,high,low,close,ask size`, prices times 10,000; the
time is the minute's start. A side left empty was not quoted.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

from services.marketdata.formats.dataset import Report, losing
from services.marketdata.formats.lean import local_moment, price, session_of
from services.marketdata.formats.lean_bars import EQUITY_EXPONENT, own_member
from services.marketdata.formats.reading import TimeOrder, cells_of, member_lines, number, opened_zip, reporting
from shared.schemas.market_events import Level, OrderBook
from shared.schemas.marketdata import INTERVAL_LENGTH

_MINUTE = INTERVAL_LENGTH["1m"]
_COLUMNS = 11


def read_quotes(paths: Sequence[Path], *, symbol: str, zone: ZoneInfo, report: Report) -> Iterator[OrderBook]:
    """Yield one-level books of daily zips in time order; a zip that cannot be read is reported as lost."""
    order = TimeOrder(report)
    for path in sorted(paths, key=session_of):
        session = session_of(path)
        with losing([path], report), opened_zip(path) as archive:
            for line in member_lines(archive, own_member(archive, session, report)):
                with reporting(line, report):
                    cells = cells_of(line, _COLUMNS)
                    book = OrderBook(
                        symbol=symbol,
                        ts=local_moment(session, cells[0], zone) + _MINUTE,
                        bids=_side(cells[4], cells[5]),
                        asks=_side(cells[9], cells[10]),
                    )
                    if order.accepts(book.ts, line):
                        yield book


def _side(close: str, size: str) -> list[Level]:
    return [(price(close, EQUITY_EXPONENT), number(size))] if close and size else []
