"""NSE option chains as CSV: many snapshots, one row a strike and expiry, calls and puts side by side.

`snapshot_utc` is the time of fetching. Empty cells were not quoted. Amounts with more than ten decimals (open
interest restated after a change of lot size) are rounded to ten. Where the rows of one snapshot name
several underlyings' prices, the state has that of most rows, all of them in `spot_prices`, and the disagreement is
reported. Implied volatility is in percent here, and zero where the last price has none.
"""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from services.marketdata.formats.chain import total_open_interest
from services.marketdata.formats.dataset import FormatError, Report
from services.marketdata.formats.reading import MONTHS, Line, TimeOrder, number, rounded, text_lines, why
from shared.money import format_decimal
from shared.schemas.marketdata import MarketState, OptionQuote, OptionRight

_SHARED = ["snapshot_utc", "symbol", "expiryDate", "strikePrice", "underlying"]
_LEG = ["OI", "CHGOI", "IV", "LTP", "BIDQTY", "BID", "ASK", "ASKQTY"]
HEADER = [*_SHARED, *(f"CE_{name}" for name in _LEG), *(f"PE_{name}" for name in _LEG)]
_AMOUNTS = {
    "OI": "open_interest",
    "CHGOI": "change_in_open_interest",
    "LTP": "last_price",
    "BIDQTY": "bid_quantity",
    "BID": "bid",
    "ASK": "ask",
    "ASKQTY": "ask_quantity",
}
_SIDES = [
    (right, {f"{prefix}_{name}": field for name, field in _AMOUNTS.items()}, f"{prefix}_IV")
    for prefix, right in (("CE", OptionRight.CALL), ("PE", OptionRight.PUT))
]
# A snapshot with more of them is broken all the same.
_MOST_SPOTS = 1_000
# Texts that come again and again: zeros, strikes, what has not changed since the last snapshot.
_MOST_KEPT = 50_000
_number = lru_cache(maxsize=_MOST_KEPT)(number)
_rounded = lru_cache(maxsize=_MOST_KEPT)(rounded)


def read_chains(paths: Sequence[Path], *, symbol: str, report: Report) -> Iterator[MarketState]:
    """Yield a state a snapshot, holding one snapshot in memory; raises FormatError for a file of another format."""
    order = TimeOrder(report)
    for path in sorted(paths):
        with closing(text_lines(path)) as lines:
            header = next(lines, None)
            if header is None or header.text.split(",") != HEADER:
                raise FormatError(f"{path}:1: the header is not that of an NSE option chain ({','.join(_SHARED)},...)")
            for stamp, rows in groupby(lines, key=lambda line: line.text.partition(",")[0]):
                state = _snapshot(stamp, list(rows), symbol, report, order)
                if state is not None:
                    yield state


def _snapshot(stamp: str, rows: list[Line], symbol: str, report: Report, order: TimeOrder) -> MarketState | None:
    try:
        moment = datetime.fromisoformat(stamp)
        if moment.tzinfo is None:
            raise ValueError(f"{stamp!r} has no offset from UTC")
    except ValueError as error:
        for line in rows:
            report(line.bad(str(error)))
        return None
    if not order.accepts(moment, rows[0]):
        return None
    quotes: list[OptionQuote] = []
    spots: list[tuple[Decimal, Line]] = []
    for line in rows:
        try:
            cells = _cells(line, symbol)
            row_quotes = list(_row_quotes(cells))
            if cells["underlying"]:
                spots.append((rounded(cells["underlying"]), line))
        except ValidationError as error:
            report(line.bad(why(error)))
        except ValueError as error:
            report(line.bad(str(error)))
        else:
            quotes.extend(row_quotes)
    return _state(moment.astimezone(UTC), quotes, _spots(spots, report), symbol, rows[0], report)


def _state(
    moment: datetime, quotes: list[OptionQuote], spots: list[Decimal], symbol: str, first: Line, report: Report
) -> MarketState | None:
    try:
        return MarketState(
            symbol=symbol,
            timestamp=moment,
            spot_price=spots[0] if spots else None,
            spot_prices=spots if len(spots) > 1 else None,
            total_call_oi=total_open_interest(quotes, OptionRight.CALL),
            total_put_oi=total_open_interest(quotes, OptionRight.PUT),
            option_chain=quotes,
        )
    except ValidationError as error:
        report(first.bad(f"the whole snapshot: {why(error)}"))
        return None


def _spots(spots: list[tuple[Decimal, Line]], report: Report) -> list[Decimal]:
    """Return each price once, that of most rows first."""
    if not spots:
        return []
    counts = Counter(value for value, _ in spots)
    chosen, rows = counts.most_common(1)[0]
    for value, line in spots:
        if value != chosen:
            detail = f"{rows} of {len(spots)} rows of this snapshot say {format_decimal(chosen)}, which is kept"
            report(line.bad(f"the underlying is {format_decimal(value)}, but {detail}; its quotes are taken"))
            break
    return [value for value, _ in counts.most_common(_MOST_SPOTS)]


def _cells(line: Line, symbol: str) -> dict[str, str]:
    values = next(csv.reader([line.text]))
    if len(values) != len(HEADER):
        raise ValueError(f"{len(values)} columns instead of {len(HEADER)}")
    cells = dict(zip(HEADER, values, strict=True))
    if cells["symbol"] != symbol:
        raise ValueError(f"the symbol is {cells['symbol']!r}, not {symbol!r}")
    return cells


def _row_quotes(cells: dict[str, str]) -> Iterator[OptionQuote]:
    for right, amounts, volatility in _SIDES:
        fields: dict[str, Any] = {field: _rounded(cells[name]) for name, field in amounts.items() if cells[name]}
        if cells[volatility]:
            fields["implied_volatility"] = float(_number(cells[volatility]) / 100)
        if fields:
            expiry, strike = _expiry(cells["expiryDate"]), _number(cells["strikePrice"])
            yield OptionQuote(expiry=expiry, strike=strike, right=right, **fields)


@lru_cache(maxsize=_MOST_KEPT)
def _expiry(text: str) -> date:
    day, _, rest = text.partition("-")
    month, _, year = rest.partition("-")
    if month not in MONTHS or not (day.isdigit() and year.isdigit()):
        raise ValueError(f"{text!r} is not an expiry such as 04-Nov-2025")
    return date(int(year), MONTHS[month], int(day))
