"""How a case of rows is judged: as a batch of one symbol is taken in, by the code that takes it in."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from services.marketdata.calendars import calendar_of
from services.marketdata.core.calendars.sessions import from_micros
from services.marketdata.core.flags import Longs
from services.marketdata.core.monitor.arrival import Arrived, after, late_rows
from services.marketdata.core.monitor.timed import rates
from services.marketdata.core.thresholds import DEFAULTS
from services.marketdata.handlers.judging import Known, judge
from services.marketdata.handlers.rules import Rules
from services.marketdata.rows.columns import NO_SEQUENCE, Columns
from services.marketdata.rows.distinct import distinct
from services.marketdata.rows.kinds import MONEY, TIME, RowKind
from services.marketdata.store import TABLES
from shared.schemas.quality import StoredSymbolProfile

SYMBOL = "SYMBOL"


@dataclass(slots=True)
class RowCase:
    """Rows in the order in which they were sent, and what is known beside them.

    `before` is what is known of the series, as its kind has it; `calendar` is None of a market that is always open;
    `received_after` is by how many seconds after the end of the newest row they came, None where they are not live;
    `lead` is by how many seconds the source's clock is known to be ahead. `in_order` is whether their order is judged.
    """

    kind: RowKind
    columns: Mapping[str, Any]
    before: Any = None
    calendar: str | None = None
    price_limit: float | None = None
    received_after: float | None = None
    length: float = 0.0
    lead: float = 0.0
    in_order: bool = True
    order: Longs | None = None


def judge_rows(case: RowCase) -> Collection[str]:
    """Return the codes of what is found in the rows, and in the stream they are of."""
    table = _table(case)
    key = [name for name in TABLES[case.kind.subject].key if name not in ("scope", "source")]
    at = key.index("ts")
    rows = Columns(table, np.arange(len(table)), [], len(table))
    found = distinct(rows, key[:at], key[at + 1 :])
    sent = table["ts"].combine_chunks().cast(pa.int64()).to_numpy()
    received = None
    if case.received_after is not None:
        received = int(sent.max() + round((case.length + case.received_after) * 1e6))
    known = Known({} if case.before is None else {0: case.before}, _rules(case), received, {SYMBOL: case.lead})
    flags = judge(case.kind, found, known)
    codes = {issue.code for issues in flags.issues.values() for issue in issues}
    if received is not None:
        # A row that came before is new only once.
        firsts = found.table["ts"].combine_chunks().cast(pa.int64()).to_numpy()[np.argsort(found.index)]
        late = late_rows(firsts, None) if case.in_order else 0
        newest = from_micros(int(sent.max()))
        arrived = Arrived(newest, from_micros(received), case.length, len(found.table), found.repeated, late)
        codes |= {issue.code for issue in rates(after(None, arrived), DEFAULTS)}
    return codes


def exact(values: Any) -> pa.Array:
    """Return numbers as the table has them; what is NaN was not sent."""
    numbers = np.asarray(values, np.float64)
    return pa.array(numbers, mask=np.isnan(numbers)).cast(MONEY)


def moments(micros: Longs) -> pa.Array:
    """Return microseconds since 1970 as the table has them."""
    return pa.array(np.asarray(micros, np.int64)).cast(TIME)


def _table(case: RowCase) -> pa.Table:
    rows = len(case.columns["ts"])
    given = {"symbol": pa.array([SYMBOL] * rows), **case.columns}
    arrays = []
    for name, kind in case.kind.columns:
        array = given.get(name)
        if array is None:
            array = pa.array([NO_SEQUENCE] * rows, kind) if name == "sequence" else pa.nulls(rows, kind)
        arrays.append(array)
    table = pa.table(arrays, schema=case.kind.schema)
    return table if case.order is None else table.take(pa.array(case.order))


def _rules(case: RowCase) -> Rules:
    if case.calendar is None:
        return Rules()
    profile = StoredSymbolProfile(symbol=SYMBOL, calendar=case.calendar, price_limit=case.price_limit)
    return Rules(profiles={SYMBOL: profile}, calendars={case.calendar: calendar_of(case.calendar)})


def micros(moment: Any, after_seconds: float = 0.0) -> int:
    """Return a moment, or what is so many seconds after it, in microseconds since 1970."""
    return int((moment + timedelta(seconds=after_seconds)).timestamp() * 1_000_000)
