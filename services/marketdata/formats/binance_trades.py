"""Binance trades as CSV in the layout of freqtrade: milliseconds, the exchange's trade id, who crossed the spread."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from services.marketdata.formats.dataset import Report
from services.marketdata.formats.reading import (
    TimeOrder,
    cells_of,
    from_milliseconds,
    number,
    reporting,
    require_header,
    text_lines,
)
from shared.schemas.market_events import Aggressor, Tick

HEADER = ["timestamp", "id", "type", "side", "price", "amount", "cost"]


def read_trades(paths: Sequence[Path], *, symbol: str, report: Report) -> Iterator[Tick]:
    """Yield the trades of the files in the order of their names; raises FormatError for a file of another format."""
    order = TimeOrder(report, ties=True)
    for path in sorted(paths):
        with closing(text_lines(path)) as lines:
            require_header(lines, path, HEADER)
            for line in lines:
                with reporting(line, report):
                    stamp, trade_id, _, side, price, quantity, _ = cells_of(line, len(HEADER))
                    tick = Tick(
                        symbol=symbol,
                        ts=from_milliseconds(stamp),
                        trade_id=trade_id,
                        price=number(price),
                        quantity=number(quantity),
                        aggressor=Aggressor(side) if side else None,
                    )
                    if order.accepts(tick.ts, line):
                        yield tick
