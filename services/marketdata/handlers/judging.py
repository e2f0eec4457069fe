"""Judge the rows of a batch, a series at a time, and tell what risk hears of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise, starmap
from operator import gt, lt
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic_core import from_json

from services.marketdata.core.bars import BarsBefore, BarSeries, judge_bars
from services.marketdata.core.catalogue import Subject
from services.marketdata.core.finding import SEVERITIES, critical
from services.marketdata.core.flags import Flags, Floats, Longs
from services.marketdata.core.live.counting import counts_from
from services.marketdata.core.market_events import EventSeries, judge_books, judge_funding, judge_trades
from services.marketdata.core.monitor.sequence import UNNUMBERED, judge_sequence
from services.marketdata.core.repeated import judge_ids
from services.marketdata.handlers.rules import Rules
from services.marketdata.rows.distinct import Distinct
from services.marketdata.rows.kinds import RowKind
from services.marketdata.rows.read import Rows
from shared.schemas.marketdata import INTERVAL_LENGTH, MarkMessage

_LAST = datetime.max.replace(tzinfo=UTC)
_LAST_PLACE = Decimal("0.0000000001")
_MICROSECOND = timedelta(microseconds=1)
_NUMBERS = ("sequence", "previous_sequence")
# What the price of a row is, or what its mid is made of.
_PRICES = {Subject.BAR: ("close",), Subject.TICK: ("price",), Subject.ORDER_BOOK: ("bids", "asks")}


@dataclass(frozen=True)
class Known:
    """What rows are judged by: what came before each series, its rules, and the time of receipt, None where not live.

    `leads` are by how many seconds the clock of a symbol's source is known to be ahead; `trades` are the moments of
    trades that are known already, by symbol and id.
    """

    before: Mapping[int, Any]
    rules: Rules
    now: int | None
    leads: Mapping[str, float]
    trades: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def judge(kind: RowKind, found: Distinct, known: Known) -> Flags:
    """Return the verdicts on all rows."""
    before, rules, now = known.before, known.rules, known.now
    flags = Flags(len(found.table))
    ts = _longs(found.table["ts"])
    columns = {name: _floats(found.table[name]) for name, exact in kind.columns if pa.types.is_decimal(exact)}
    for number, rows in enumerate(found.series()):
        part = {name: values[rows] for name, values in columns.items()}
        earlier = before.get(number)
        if kind.subject is Subject.BAR:
            judged = _bars(found, rows, part, ts[rows], earlier, rules, now)
        else:
            symbol = found.table["symbol"][rows.start].as_py()
            calendar = rules.calendar(symbol)
            series = EventSeries(
                ts[rows],
                now,
                earlier if earlier is not None and kind.subject is not Subject.ORDER_BOOK else np.empty(0),
                rules.of(symbol),
                calendar.open_mask(ts[rows]) if calendar else None,
                known.leads.get(symbol, 0.0),
            )
            judged = _events(kind, found, rows, part, series)
            if kind.subject is Subject.ORDER_BOOK:
                numbers, named = (_longs(found.table[name].fill_null(UNNUMBERED))[rows] for name in _NUMBERS)
                judge_sequence(judged, series.thresholds, numbers, named, earlier or ())
            elif kind.subject is Subject.TICK:
                ids = found.table["trade_id"][rows].to_pylist()
                judge_ids(judged, series.thresholds, ids, ts[rows], found.index[rows], known.trades.get(symbol, {}))
        for place, issues in judged.issues.items():
            for issue in issues:
                flags.add(rows.start + place, issue)
    for place in found.conflicting.tolist():
        flags.add(place, critical("duplicate_conflicting", "a later row of the same key says something else", 1.0, 1.0))
    return flags


def _bars(
    found: Distinct, rows: slice, part: Mapping[str, Floats], ts: Longs, known: Any, rules: Rules, now: int | None
) -> Flags:
    interval = found.table["interval"][rows.start].as_py()
    symbol = found.table["symbol"][rows.start].as_py()
    calendar, in_session, after_break = rules.calendar(symbol), None, None
    if calendar is not None:
        # A day starts at midnight, when no market is open.
        in_session = calendar.expected_mask(interval, ts) if interval == "1d" else calendar.open_mask(ts)
        if interval != "1d":
            after_break = ~calendar.open_mask(ts - INTERVAL_LENGTH[interval] // _MICROSECOND)
    return judge_bars(
        BarSeries(
            interval=interval,
            ts=ts,
            open=part["open"],
            high=part["high"],
            low=part["low"],
            close=part["close"],
            volume=part["volume"],
            amount=part["amount"],
            before=known or BarsBefore(),
            now=now,
            in_session=in_session,
            after_break=after_break,
            price_limit=rules.price_limit(symbol),
            thresholds=rules.of(symbol),
        )
    )


def _events(kind: RowKind, found: Distinct, rows: slice, part: Mapping[str, Floats], series: EventSeries) -> Flags:
    if kind.subject is Subject.ORDER_BOOK:
        chosen = found.table.slice(rows.start, rows.stop - rows.start)
        bids, asks = (_side(chosen[side].to_pylist(), worse) for side, worse in (("bids", gt), ("asks", lt)))
        return judge_books(series, bids[0], asks[0], np.fmin(bids[1], asks[1]), bids[2] + asks[2])
    if kind.subject is Subject.FUNDING_RATE:
        hours = _longs(found.table["interval_hours"])[rows]
        return judge_funding(series, part["rate"], hours)
    return judge_trades(series, part["price"], part["quantity"])


def _side(sides: list[str], worse: Callable[[Any, Any], bool]) -> tuple[Floats, Floats, Floats]:
    """Return of one side of each book its first and its least price, NaN without any, and how many are out of order."""
    texts = [[price for price, _ in from_json(side)] for side in sides]
    levels = [list(map(float, side)) for side in texts]
    first = np.array([level[0] if level else np.nan for level in levels])
    least = np.array([min(level) if level else np.nan for level in levels])
    misplaced = np.zeros(len(sides))
    for place, level in enumerate(levels):
        if not all(starmap(worse, pairwise(level))):
            # One float may stand for several decimals.
            misplaced[place] = sum(not worse(*pair) for pair in pairwise(map(Decimal, texts[place])))
    return first, least, misplaced


def marks_of(
    kind: RowKind, table: pa.Table, flags: Flags, changed: Longs, rows: Rows, now: datetime
) -> list[MarkMessage]:
    """Return what risk is told of new rows, in the order in which they became known.

    A simulation relives every price. Of live rows the newest of each symbol counts, and what made it critical.
    """
    price = _PRICES.get(kind.subject)
    if price is None or not len(changed):
        return []
    if rows.simulation_id is None:
        changed = _newest(table, flags, changed)
    needed = [name for name in ("symbol", "interval", "ts", *price) if name in table.column_names]
    found = table.select(needed).take(pa.array(changed)).to_pylist()
    marks = []
    received = now if rows.simulation_id is None else None
    for row, place in zip(found, flags.severities[changed].tolist(), strict=True):
        value = _mid(row) if len(price) > 1 else row[price[0]]
        if value is not None and value > 0:
            severity = SEVERITIES[place]
            marks.append((counts_from(_known_at(row), severity, received), row["symbol"], value, severity))
    marks.sort(key=lambda mark: mark[0])
    return [
        MarkMessage(
            symbol=symbol,
            price=value,
            ts_event=moment,
            source=rows.source,
            simulation_id=rows.simulation_id,
            severity=severity,
        )
        for moment, symbol, value, severity in marks
    ]


def _newest(table: pa.Table, flags: Flags, changed: Longs) -> Longs:
    """Return the places of each symbol's newest rows, and of its newest that may be traded on."""
    codes = _longs(table["symbol"].combine_chunks().dictionary_encode().indices)[changed]
    ts = _longs(table["ts"])[changed]
    order = np.lexsort([ts, codes])
    kept = []
    for chosen in (order, order[flags.severities[changed][order] < 2]):
        last = np.flatnonzero(np.append(codes[chosen][1:] != codes[chosen][:-1], True)) if len(chosen) else chosen
        kept.append(changed[chosen[last]])
    found: Longs = np.unique(np.concatenate(kept))
    return found


def _known_at(row: Mapping[str, Any]) -> datetime:
    moment: datetime = row["ts"]
    if "interval" not in row:
        return moment
    length = INTERVAL_LENGTH[row["interval"]]
    # A bar that never ends is critical in its own right; risk is told so at its start.
    return moment + length if moment <= _LAST - length else moment


def _mid(row: Mapping[str, Any]) -> Decimal | None:
    bids, asks = from_json(row["bids"]), from_json(row["asks"])
    if not bids or not asks:
        return None
    # Half of the last place an amount has is rounded as the tables do it.
    return ((Decimal(bids[0][0]) + Decimal(asks[0][0])) / 2).quantize(_LAST_PLACE, ROUND_HALF_UP)


def observed_at(table: pa.Table) -> Longs:
    """Return the times of rows as microseconds since 1970."""
    return _longs(table["ts"])


def _longs(column: pa.ChunkedArray | pa.Array) -> Longs:
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    found: npt.NDArray[np.int64] = (array.cast(pa.int64()) if array.type != pa.int64() else array).to_numpy()
    return found


def _floats(column: pa.ChunkedArray) -> Floats:
    found: Floats = pc.cast(column.combine_chunks(), pa.float64()).to_numpy(zero_copy_only=False)
    return found
