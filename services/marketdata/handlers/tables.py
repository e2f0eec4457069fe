"""Whole windows of rows as CSV or as Arrow."""

import asyncio
import io
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata import store
from services.marketdata.core.finding import SEVERITIES
from services.marketdata.handlers.reads import cursor_of
from services.marketdata.rows.forms import CSV
from services.marketdata.rows.kinds import MONEY, TEXT, TIME, RowKind
from services.marketdata.store import Wanted

# Beside a row's own columns; a finding's words are in JSON only.
_BESIDE: Mapping[str, pa.DataType] = {"source": TEXT, "revision": pa.int32(), "severity": pa.int8(), "ts_init": TIME}
_WORDS = "CASE severity " + " ".join(f"WHEN {n} THEN '{word}'" for n, word in enumerate(SEVERITIES)) + " END"
_ISO = "to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"


@dataclass(frozen=True)
class Whole:
    """A body, what it is, and the cursor of what follows."""

    body: bytes
    media_type: str
    next_cursor: str | None


async def read_whole(session: AsyncSession, kind: RowKind, wanted: Wanted, media_type: str) -> Whole:
    """Return a window of rows as CSV or as Arrow's stream, as many as its limit."""
    columns = {**dict(kind.columns), **_BESIDE, **({"bars": pa.int64()} if wanted.roll_up else {})}
    if media_type == CSV:
        shown = {name: _as_text(name, exact) for name, exact in columns.items()}
        body, count = await store.read_csv(session, wanted, shown)
        last = _columns(_last_line(body), columns) if count == wanted.limit else None
    else:
        text, count = await store.read_csv(session, wanted, {name: f'"{name}"' for name in columns})
        table = await asyncio.to_thread(_columns, text, columns)
        last = table.slice(count - 1) if count == wanted.limit else None
        body = await asyncio.to_thread(_stream, table)
    return Whole(body, media_type, cursor_of(wanted.subject, last.to_pylist()[0]) if last is not None else None)


def _last_line(body: bytes) -> bytes:
    header, _, rest = body.partition(b"\n")
    return header + b"\n" + rest.rstrip(b"\n").rpartition(b"\n")[2] + b"\n"


def _as_text(name: str, exact: pa.DataType) -> str:
    if exact == MONEY:
        return f'trim_scale("{name}")'
    if exact == TIME:
        return _ISO.format(f'"{name}"')
    return _WORDS if name == "severity" else f'"{name}"'


def _columns(body: bytes, columns: Mapping[str, pa.DataType]) -> pa.Table:
    """Return CSV that PostgreSQL wrote as columns of exact types."""
    types = {name: exact if exact != MONEY else pa.decimal128(38, 10) for name, exact in columns.items()}
    return pa_csv.read_csv(
        io.BytesIO(body),
        convert_options=pa_csv.ConvertOptions(
            # As it is written as text, a severity is its word.
            column_types={name: exact for name, exact in types.items() if name != "severity"},
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        ),
    )


def _stream(table: pa.Table) -> bytes:
    place = table.column_names.index("severity")
    words = pa.array([severity.value for severity in SEVERITIES])
    codes = table["severity"].combine_chunks().cast(pa.int8())
    table = table.set_column(place, "severity", pa.DictionaryArray.from_arrays(codes, words))
    for name in ("symbol", "interval", "source"):
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, pc.dictionary_encode(table[name]))
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table.combine_chunks())
    return sink.getvalue()
