"""Binance funding rates as CSV in the layout of freqtrade, which keeps them as candles: the rate is in `open`.

Times are those of the exchange, a few milliseconds after the full hours of its schedule, and are kept; a rate with the
digits of a binary fraction is rounded to ten places.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from services.marketdata.formats.dataset import Report
from services.marketdata.formats.reading import TimeOrder, cells_of, reporting, require_header, rounded, text_lines
from shared.schemas.market_events import FundingRate

HEADER = ["date", "open", "high", "low", "close", "volume"]


def read_funding(paths: Sequence[Path], *, symbol: str, interval_hours: int, report: Report) -> Iterator[FundingRate]:
    """Yield the rates of the files in the order of their names; raises FormatError for a file of another format."""
    order = TimeOrder(report)
    for path in sorted(paths):
        with closing(text_lines(path)) as lines:
            require_header(lines, path, HEADER)
            for line in lines:
                with reporting(line, report):
                    stamp, rate, *_ = cells_of(line, len(HEADER))
                    moment = datetime.fromisoformat(stamp)
                    if moment.tzinfo is None:
                        raise ValueError(f"{stamp!r} has no offset from UTC")
                    funding = FundingRate(
                        symbol=symbol, ts=moment.astimezone(UTC), rate=rounded(rate), interval_hours=interval_hours
                    )
                    if order.accepts(funding.ts, line):
                        yield funding
