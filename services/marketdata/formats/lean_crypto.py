"""LEAN crypto files: days of a coin, one zip for all of them, and funding rates of its perpetual.

Rows of days are `YYYYMMDD HH:MM,open,high,low,close,volume`, of funding `YYYYMMDD HH:MM:SS,rate`; times are UTC,
prices unscaled, and neither has a header.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, time
from pathlib import Path

from services.marketdata.formats.dataset import FormatError, Report
from services.marketdata.formats.lean import parse_day
from services.marketdata.formats.reading import (
    TimeOrder,
    cells_of,
    member_lines,
    number,
    opened_zip,
    reporting,
    rounded,
    text_lines,
)
from shared.schemas.market_events import FundingRate
from shared.schemas.marketdata import Bar

# Binance, the one exchange whose rates the layout holds, pays this often; the rows do not say.
_FUNDING_HOURS = 8


def read_days(paths: Sequence[Path], *, symbol: str, report: Report) -> Iterator[Bar]:
    """Yield the daily bars of the zips; raises FormatError for a file that cannot be read."""
    order = TimeOrder(report)
    for path in sorted(paths):
        with opened_zip(path) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
            if len(names) != 1:
                raise FormatError(f"{path}: {len(names)} members instead of one")
            for line in member_lines(archive, names[0]):
                with reporting(line, report):
                    stamp, opened, high, low, close, volume = cells_of(line, 6)
                    bar = Bar(
                        symbol=symbol,
                        interval="1d",
                        ts=_moment(stamp),
                        open=number(opened),
                        high=number(high),
                        low=number(low),
                        close=number(close),
                        # Sums of binary fractions: some have more digits than an amount may.
                        volume=rounded(volume),
                    )
                    if order.accepts(bar.ts, line):
                        yield bar


def read_funding(paths: Sequence[Path], *, symbol: str, report: Report) -> Iterator[FundingRate]:
    """Yield the funding rates of the files; raises FormatError for a file that cannot be read."""
    order = TimeOrder(report)
    for path in sorted(paths):
        with closing(text_lines(path)) as lines:
            for line in lines:
                with reporting(line, report):
                    stamp, rate = cells_of(line, 2)
                    funding = FundingRate(
                        symbol=symbol, ts=_moment(stamp), rate=number(rate), interval_hours=_FUNDING_HOURS
                    )
                    if order.accepts(funding.ts, line):
                        yield funding


def _moment(text: str) -> datetime:
    day, _, clock = text.partition(" ")
    date = parse_day(day) if day.isascii() and day.isdigit() else None
    if date is None:
        raise ValueError(f"{text[:40]!r} does not begin with a day (YYYYMMDD)")
    return datetime.combine(date, time.fromisoformat(clock), UTC)
