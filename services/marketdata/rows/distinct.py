"""Rows in the order of their keys, each key once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from services.marketdata.rows.columns import Columns
from shared.schemas.marketdata import RejectedRow

_Longs = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Distinct:
    """Rows of distinct keys by series and time, their indices in the request, and where each series begins.

    `repeats` are the places of rows that others were left out for, once for each that says the same; `conflicting`
    rows stayed although a later one of their key says something else, which is among the `rejected`.
    """

    table: pa.Table
    index: _Longs
    starts: _Longs
    repeats: _Longs
    conflicting: _Longs
    rejected: list[RejectedRow]

    @property
    def repeated(self) -> int:
        """Return how many rows were left out as they say what an earlier one says."""
        return len(self.repeats)

    def series(self) -> list[slice]:
        """Return the rows of each series."""
        ends = [*self.starts[1:].tolist(), len(self.table)]
        return [slice(start, end) for start, end in zip(self.starts.tolist(), ends, strict=True)]


def distinct(columns: Columns, series: Sequence[str], within: Sequence[str]) -> Distinct:
    """Return the rows of distinct keys; `series` and `within` are the columns of a key before and after its time."""
    table = columns.table
    codes = [_codes(table[name]) for name in series]
    ids = [_codes(table[name]) for name in within]
    ts = table["ts"].combine_chunks().cast(pa.int64()).to_numpy()
    # The last one sorts first; rows that agree in all of them keep their order.
    order = np.lexsort([*reversed(ids), ts, *reversed(codes)])
    columns_in_order = [code[order] for code in (*codes, ts, *ids)]
    new_key = _changes(columns_in_order)
    kept = np.flatnonzero(new_key)
    first_of = kept[np.cumsum(new_key) - 1]
    again = np.flatnonzero(~new_key)
    rejected, conflicting, repeats = list(columns.rejected), set(), []
    if len(again):
        given = table.take(order[again]).to_pylist()
        firsts = table.take(order[first_of[again]]).to_pylist()
        for place, row, first in zip(again.tolist(), given, firsts, strict=True):
            if row != first:
                conflicting.add(int(first_of[place]))
                known = int(columns.index[order[first_of[place]]])
                reason = f"differs from row {known} of the same key"
                rejected.append(RejectedRow(index=int(columns.index[order[place]]), reason=reason))
            else:
                repeats.append(int(first_of[place]))
    rejected.sort(key=lambda row: row.index)
    starts = np.flatnonzero(_changes([code[kept] for code in columns_in_order[: len(series)]]))
    unchanged = len(kept) == len(table) and bool(np.all(np.diff(order) == 1))
    return Distinct(
        table if unchanged else table.take(order[kept]),
        columns.index[order[kept]],
        starts,
        np.searchsorted(kept, np.array(sorted(repeats), np.int64)),
        np.searchsorted(kept, np.array(sorted(conflicting), np.int64)),
        rejected,
    )


def _codes(column: pa.ChunkedArray) -> _Longs:
    array = column.combine_chunks()
    if pa.types.is_integer(array.type):
        found: _Longs = array.to_numpy()
        return found
    coded: _Longs = array.dictionary_encode().indices.to_numpy(zero_copy_only=False)
    return coded


def _changes(columns: Sequence[_Longs]) -> npt.NDArray[np.bool_]:
    """Return for each row whether it differs from the one before; the first one does."""
    changed = np.zeros(len(columns[0]), bool)
    changed[:1] = True
    for column in columns:
        changed[1:] |= column[1:] != column[:-1]
    return changed
