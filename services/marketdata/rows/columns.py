"""Rows as columns of exact types: all at once where every row is good, one by one to name those that are not.

Both ways take the same rows for good: the fast one only what the wire contract is known to take. A bad row makes its
part of the rows be read one by one, and not all of them.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import TypeAdapter, ValidationError

from services.marketdata.rows.kinds import MONEY, TIME, RowKind
from shared.money import format_decimal
from shared.schemas.base import Symbol, format_utc
from shared.schemas.market_events import Aggressor
from shared.schemas.marketdata import INTERVAL_LENGTH, RejectedRow

_AMOUNT = r"^-?[0-9]{1,18}(\.[0-9]{1,10})?$"
_MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$"
_IDENTIFIER = r"^[A-Za-z0-9][A-Za-z0-9._:\-]{0,63}$"
_SYMBOL: TypeAdapter[str] = TypeAdapter(Symbol)
_WORDS = {"interval": list(INTERVAL_LENGTH), "aggressor": list(Aggressor), "side": list(Aggressor)}
_IDENTIFIERS = ("trade_id", "liquidation_id")
_NOT_NEGATIVE = ("volume", "amount")
# Of a book whose venue numbers no updates.
NO_SEQUENCE = -1
# Rows of a part.
_PART = 500
# The years 1 to 9999, as microseconds since 1970.
_FIRST, _LAST = -62_135_596_800_000_000, 253_402_300_799_999_999
_Raw = Mapping[str, Any]


@dataclass(frozen=True)
class Columns:
    """The good rows of a request as a table of its kind's schema, each with its index there, and the bad ones."""

    table: pa.Table
    index: npt.NDArray[np.int64]
    rejected: list[RejectedRow]
    received: int


class NotPlain(Exception):
    """Something among the rows is not of the plainest form, good or not."""


def columns_of(kind: RowKind, raw: Mapping[str, pa.Array], rows: int) -> pa.Table:
    """Return raw columns in their exact types. Raises NotPlain unless every row is good and plain.

    A raw column is an array of texts, or of the exact type already.
    """
    arrays = {}
    for name, exact in kind.columns:
        values = raw.get(name)
        if values is None:
            if name not in kind.optional:
                raise NotPlain
            arrays[name] = pa.nulls(rows, exact)
            continue
        arrays[name] = _exact(name, values, exact, name in kind.optional)
    if "interval_hours" in arrays:
        _whole_hours(arrays)
    for name in _NOT_NEGATIVE:
        if name in arrays and pc.any(pc.less(arrays[name], 0)).as_py():
            raise NotPlain
    table = pa.table([arrays[name] for name, _ in kind.columns], schema=kind.schema)
    if rows and not _in_time(table["ts"]):
        raise NotPlain
    return _complete(table)


def in_parts(
    index: npt.NDArray[np.int64], plain: Callable[[slice], pa.Table], each: Callable[[slice], Columns]
) -> Columns:
    """Return rows read all at once by `plain`, or part by part, and by `each` where that one raises NotPlain."""
    count = len(index)
    try:
        return Columns(plain(slice(0, count)), index, [], count)
    except NotPlain:
        pass
    found = []
    for start in range(0, count, _PART):
        part = slice(start, min(start + _PART, count))
        try:
            found.append(Columns(plain(part), index[part], [], part.stop - start))
        except NotPlain:
            found.append(each(part))
    return Columns(
        pa.concat_tables([part.table for part in found]).combine_chunks(),
        np.concatenate([part.index for part in found]),
        [row for part in found for row in part.rejected],
        count,
    )


def one_by_one(kind: RowKind, rows: Sequence[tuple[int, Any]]) -> Columns:
    """Return the good rows as columns and why the others are not; each comes with its index."""
    kept: list[_Raw] = []
    index: list[int] = []
    rejected: list[RejectedRow] = []
    for number, row in rows:
        try:
            good = _row(kind, kind.model.model_validate(row))
        except ValidationError as error:
            rejected.append(RejectedRow(index=number, reason=why(error)))
            continue
        kept.append(good)
        index.append(number)
    arrays = [pa.array([row[name] for row in kept], exact) for name, exact in kind.columns]
    table = _complete(pa.table(arrays, schema=kind.schema))
    return Columns(table, np.array(index, np.int64), rejected, len(rows))


def kept_from(columns: Columns, horizon: datetime | None) -> Columns:
    """Return the rows without those before a moment, which are rejected: they would be removed at once."""
    if horizon is None:
        return columns
    old = pc.less(columns.table["ts"], pa.scalar(horizon, TIME)).combine_chunks().to_numpy(zero_copy_only=False)
    if not old.any():
        return columns
    reason = f"older than what is kept, which begins at {format_utc(horizon)}"
    rejected = [*columns.rejected, *(RejectedRow(index=int(n), reason=reason) for n in columns.index[old])]
    return Columns(
        columns.table.filter(pa.array(~old)),
        columns.index[~old],
        sorted(rejected, key=lambda row: row.index),
        columns.received,
    )


def _row(kind: RowKind, row: Any) -> dict[str, Any]:
    found = {name: getattr(row, name) for name, _ in kind.columns}
    for name in ("bids", "asks"):
        if name in found:
            found[name] = json.dumps([[format_decimal(value) for value in level] for level in found[name]])
    return found


def _complete(table: pa.Table) -> pa.Table:
    """Return the table with the parts of its key that a venue need not say."""
    if "sequence" in table.column_names:
        place = table.column_names.index("sequence")
        table = table.set_column(place, "sequence", table["sequence"].fill_null(NO_SEQUENCE))
    if "liquidation_id" in table.column_names and table["liquidation_id"].null_count:
        place = table.column_names.index("liquidation_id")
        made = [
            row["liquidation_id"] or f"{row['side']}:{format_decimal(row['price'])}:{format_decimal(row['quantity'])}"
            for row in table.select(["side", "price", "quantity", "liquidation_id"]).to_pylist()
        ]
        table = table.set_column(place, "liquidation_id", pa.array(made, pa.string()))
    return table


def why(error: ValidationError) -> str:
    """Return what is wrong with a row, in one line."""
    parts = []
    for entry in error.errors(include_input=False, include_url=False):
        place = ".".join(str(part) for part in entry["loc"])
        parts.append(f"{place}: {entry['msg']}" if place else entry["msg"])
    return "; ".join(parts)[:500]


def _exact(name: str, array: pa.Array, exact: pa.DataType, optional: bool) -> pa.Array:
    if array.null_count and not optional:
        raise NotPlain
    if array.type != pa.string():
        return _typed(array, exact)
    if exact == MONEY:
        _require(pc.match_substring_regex(array, _AMOUNT))
    elif exact == TIME:
        _require(pc.match_substring_regex(array, _MOMENT))
    elif name == "symbol":
        _require_symbols(array)
    elif name in _WORDS:
        _require(pc.or_(pc.is_null(array), pc.is_in(array, pa.array(_WORDS[name]))))
    elif name in _IDENTIFIERS:
        _require(pc.match_substring_regex(array, _IDENTIFIER))
    try:
        return array if exact == pa.string() else array.cast(exact)
    except pa.ArrowInvalid:
        raise NotPlain from None


def _typed(array: pa.Array, exact: pa.DataType) -> pa.Array:
    """Return an array that came with a type of its own, if nothing of it is lost."""
    allowed = pa.types.is_integer if exact != TIME else pa.types.is_timestamp
    if not (allowed(array.type) or (exact == MONEY and pa.types.is_decimal(array.type))):
        raise NotPlain
    if exact == TIME and array.type.tz is None:
        raise NotPlain
    try:
        return array.cast(exact)
    except pa.ArrowInvalid:
        raise NotPlain from None


def _require(good: pa.Array) -> None:
    if pc.any(pc.invert(good)).as_py():
        raise NotPlain


def _require_symbols(array: pa.Array) -> None:
    for symbol in array.unique().to_pylist():
        try:
            _SYMBOL.validate_python(symbol)
        except ValidationError:
            raise NotPlain from None


def _whole_hours(arrays: dict[str, pa.Array]) -> None:
    hours = arrays["interval_hours"].fill_null(8)
    if pc.any(pc.or_(pc.less(hours, 1), pc.greater(hours, 24))).as_py():
        raise NotPlain
    arrays["interval_hours"] = hours


def _in_time(moments: pa.ChunkedArray) -> bool:
    least, most = pc.min_max(moments.cast(pa.int64())).as_py().values()
    return bool(least >= _FIRST and most <= _LAST)
