"""Rows as PostgreSQL's binary COPY takes them, a column at a time.

The format is that of PostgreSQL's manual, chapter COPY, "Binary Format": for each row the number of its fields, then
each field's length and bytes; a NULL has the length -1. Rows whose fields are equally long are made together.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Bytes = npt.NDArray[np.uint8]
_Longs = npt.NDArray[np.int64]
_Rows = _Longs | slice

_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = b"\xff\xff"
_TOGETHER = 8_192
# Microseconds from 1970 to 2000, where PostgreSQL's timestamps begin.
EPOCH = 946_684_800_000_000
_BASE = 10_000
# Of a numeric(28, 10): so many digits to the base of 10,000 before the point and after it.
_WHOLE, _AFTER = 5, 3
_TEN_PLACES = 10**10
_NEGATIVE = 0x4000


def encode(columns: Sequence[pa.Array]) -> Iterator[bytes]:
    """Yield the whole COPY of the columns: strings as text, decimals of ten places as numeric, timestamps in UTC.

    A column is int16, int32, int64, string, decimal128(28, 10) or timestamp[us]; jsonb is binary of UTF-8.
    Rows may come in another order than they were given in.
    """
    yield _SIGNATURE
    # Made as they are asked for: PostgreSQL takes the first ones while the next ones are made.
    for start in range(0, len(columns[0]), _TOGETHER):
        yield from _blocks([_Field(column.slice(start, _TOGETHER)) for column in columns])
    yield _END


def _blocks(fields: Sequence["_Field"]) -> Iterator[bytes]:
    varying = [field.lengths for field in fields if field.lengths is not None and np.ptp(field.lengths)]
    if not varying:
        yield _block(fields, slice(None))
        return
    # One number for the lengths of all of a row's fields.
    lengths = np.zeros(len(varying[0]), np.int64)
    for each in varying:
        kinds, codes = np.unique(each, return_inverse=True)
        lengths = np.unique(lengths * len(kinds) + codes, return_inverse=True)[1]
    order = np.argsort(lengths, kind="stable")
    for rows in np.split(order, np.cumsum(np.bincount(lengths))[:-1]):
        yield _block(fields, rows)


def _block(fields: Sequence["_Field"], rows: _Rows) -> bytes:
    """Return rows of which every field is equally long."""
    parts = [field.take(rows) for field in fields]
    count = max(len(values) for _, values in parts)
    out = np.empty((count, 2 + sum(4 + max(length, 0) for length, _ in parts)), np.uint8)
    out[:, :2] = np.frombuffer(len(fields).to_bytes(2, "big"), np.uint8)
    place = 2
    for length, values in parts:
        out[:, place : place + 4] = np.frombuffer(length.to_bytes(4, "big", signed=True), np.uint8)
        place += 4
        if length > 0:
            out[:, place : place + length] = values
            place += length
    return out.tobytes()


class _Field:
    """A column as bytes; `lengths` are those of its values, None where all are equally long."""

    def __init__(self, column: pa.Array) -> None:
        self.lengths: _Longs | None = None
        self._offsets: _Longs | None = None
        if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
            self._text(column)
            return
        self._values = _fixed(column)
        if column.null_count:
            valid = column.is_valid().to_numpy(zero_copy_only=False)
            self.lengths = np.where(valid, self._values.shape[1], -1).astype(np.int64)

    def _text(self, column: pa.Array) -> None:
        sizes = pc.binary_length(column).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        data = pc.fill_null(column.cast(pa.binary()), b"") if column.null_count else column
        self._bytes = np.frombuffer(_joined(data), np.uint8)
        self._offsets = np.concatenate([[0], np.cumsum(np.maximum(sizes, 0))])
        self.lengths = sizes

    def take(self, rows: _Rows) -> tuple[int, Bytes]:
        """Return the length of equally long values, -1 for NULL, and the values."""
        if self.lengths is None:
            return self._values.shape[1], self._values[rows]
        lengths = self.lengths[rows]
        length = int(lengths[0])
        if self._offsets is None:
            return length, self._values[rows]
        if length <= 0:
            return length, np.empty((len(lengths), 0), np.uint8)
        if isinstance(rows, slice):
            return length, self._bytes.reshape(-1, length)
        return length, self._bytes[self._offsets[rows][:, None] + np.arange(length)]


def _joined(column: pa.Array) -> bytes:
    offsets = np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]
    data = column.buffers()[2]
    return data[int(offsets[0]) : int(offsets[-1])].to_pybytes() if data is not None else b""


def _fixed(column: pa.Array) -> Bytes:
    if pa.types.is_decimal(column.type):
        return _numeric(column)
    if pa.types.is_timestamp(column.type):
        return _big_endian(_numpy(column.cast(pa.int64())) - EPOCH, ">i8")
    width = {pa.int16(): ">i2", pa.int32(): ">i4", pa.int64(): ">i8"}[column.type]
    return _big_endian(_numpy(column), width)


def _numpy(column: pa.Array) -> _Longs:
    found: _Longs = (column.fill_null(0) if column.null_count else column).to_numpy(zero_copy_only=False)
    return found


def _big_endian(values: _Longs, kind: str) -> Bytes:
    ordered = np.ascontiguousarray(values.astype(kind))
    return ordered.view(np.uint8).reshape(len(values), ordered.itemsize)


def _numeric(column: pa.Array) -> Bytes:
    """Return numerics: the number of digits, the first one's weight, sign, scale, and the digits themselves.

    PostgreSQL drops zeros at either end, so that all may have as many digits.
    """
    whole, after, negative = _parts(column)
    leading = 1
    while leading < _WHOLE and len(whole) and int(whole.max()) >= _BASE**leading:
        leading += 1
    out = np.zeros((len(whole), 4 + leading + _AFTER), ">i2")
    out[:, 0] = leading + _AFTER
    out[:, 1] = leading - 1
    out[:, 2] = np.where(negative, _NEGATIVE, 0)
    out[:, 3] = 10
    for place in range(leading - 1, -1, -1):
        whole, out[:, 4 + place] = np.divmod(whole, _BASE)
    # Ten places are two and a half digits: the last one ends in two zeros.
    after, last = np.divmod(after, 100)
    out[:, 4 + leading + 2] = last * 100
    after, out[:, 4 + leading + 1] = np.divmod(after, _BASE)
    out[:, 4 + leading] = after
    return out.view(np.uint8).reshape(len(out), -1)


def _parts(column: pa.Array) -> tuple[_Longs, _Longs, npt.NDArray[np.bool_]]:
    """Return what is before the point, what is after it in units of 10^-10, and whether it is below zero."""
    words = np.frombuffer(column.buffers()[1], np.int64)
    words = words[2 * column.offset : 2 * (column.offset + len(column))].reshape(-1, 2)
    low, high = words[:, 0], words[:, 1]
    if column.null_count:
        valid = column.is_valid().to_numpy(zero_copy_only=False)
        low, high = np.where(valid, low, 0), np.where(valid, high, 0)
    negative = high < 0
    # The most negative of all 64-bit numbers has no opposite among them.
    if np.array_equal(high, low >> 63) and not np.any(low == np.iinfo(np.int64).min):
        whole, after = np.divmod(np.abs(low), _TEN_PLACES)
        return whole, after, negative
    exact = [abs((int(h) << 64) | (int(lo) & (2**64 - 1))) for h, lo in zip(high, low, strict=True)]
    whole = np.array([value // _TEN_PLACES for value in exact], np.int64)
    return whole, np.array([value % _TEN_PLACES for value in exact], np.int64), negative
