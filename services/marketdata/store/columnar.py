"""Rows of one symbol as whole columns: handed over row by row, they cost more than PostgreSQL needs to find them."""

import asyncio
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from psycopg.sql import SQL, Composed, Identifier, Literal
from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata.rows.kinds import TEXT
from services.marketdata.store.binary import EPOCH
from services.marketdata.store.put import driver
from services.marketdata.store.series import Wanted, query_of

# Of array_send: dimensions, whether there are nulls, type, length and first index; then each element has its length.
_HEADER, _LENGTH = 20, 4
# In no text there is, so that a line is one value.
_NEVER = "\x1f"


async def read_table(
    session: AsyncSession, wanted: Wanted, columns: Mapping[str, pa.DataType], *, written: bool = False
) -> pa.Table:
    """Return rows as columns: strings, decimals, integers or timestamps; decimals as strings where `written`."""
    connection = await driver(session)
    gathered = SQL(", ").join(_gathered(name, kind) for name, kind in columns.items())
    query = SQL("SELECT {} FROM ({}) AS found").format(gathered, query_of(wanted))
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(query, prepare=False)
        row = await cursor.fetchone()
    values = row or [None] * len(columns)
    kinds = {name: TEXT if written and _is_text(kind) else kind for name, kind in columns.items()}
    return await asyncio.to_thread(_table, dict(zip(columns, values, strict=True)), kinds)


def _gathered(name: str, kind: pa.DataType) -> Composed:
    column = Identifier(name)
    if _is_text(kind):
        # Zeros at the end of a decimal say nothing, and cost more to send and to read than to leave out.
        text = SQL("trim_scale({})::text" if pa.types.is_decimal(kind) else "{}::text").format(column)
        return SQL("convert_to(string_agg(coalesce({}, ''), E'\\n'), 'UTF8')").format(text)
    # Without a NULL all are equally long.
    nothing = "-infinity" if pa.types.is_timestamp(kind) else str(_nothing(kind))
    return SQL("array_send(array_agg(coalesce({}, {})))").format(column, Literal(nothing))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_decimal(kind))


def _nothing(kind: pa.DataType) -> int:
    """Return the least number there is: what stands for NULL, and for the infinite past."""
    return -(1 << (int(kind.bit_width) - 1))


def _table(found: Mapping[str, bytes | None], columns: Mapping[str, pa.DataType]) -> pa.Table:
    return pa.table(
        {
            name: pa.array([], kind) if (data := found[name]) is None else _column(data, kind)
            for name, kind in columns.items()
        }
    )


def _column(data: bytes, kind: pa.DataType) -> pa.Array | pa.ChunkedArray:
    return _texts(data, kind) if _is_text(kind) else _numbers(data, kind)


def _texts(data: bytes, kind: pa.DataType) -> pa.ChunkedArray:
    table = pa_csv.read_csv(
        pa.BufferReader(data + b"\n"),
        pa_csv.ReadOptions(column_names=["value"], block_size=max(len(data) // 2, 1 << 20)),
        pa_csv.ParseOptions(delimiter=_NEVER, quote_char=False, ignore_empty_lines=False),
        pa_csv.ConvertOptions(column_types={"value": kind}, strings_can_be_null=True, null_values=[""]),
    )
    return table["value"]


def _numbers(data: bytes, kind: pa.DataType) -> pa.Array:
    width = kind.bit_width // 8
    elements = np.frombuffer(data, np.uint8, offset=_HEADER).reshape(-1, _LENGTH + width)[:, _LENGTH:]
    values = np.ascontiguousarray(elements).view(f">i{width}").ravel().astype(f"i{width}")
    null = values == _nothing(kind)
    if pa.types.is_timestamp(kind):
        values += np.where(null, 0, EPOCH)
    whole = pa.array(values, pa.int64() if pa.types.is_timestamp(kind) else kind, mask=null if null.any() else None)
    return whole.cast(kind)
