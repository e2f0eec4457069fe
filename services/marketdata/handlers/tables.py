"""Whole windows of rows as CSV or as Arrow."""

import asyncio
import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata import store
from services.marketdata.core.finding import SEVERITIES
from services.marketdata.handlers.reads import cursor_of
from services.marketdata.rows.columns import NO_SEQUENCE
from services.marketdata.rows.forms import CSV
from services.marketdata.rows.kinds import MONEY, TEXT, TIME, RowKind
from services.marketdata.store import Wanted

# Beside a row's own columns; a finding's words are in JSON only.
_BESIDE: Mapping[str, pa.DataType] = {"source": TEXT, "revision": pa.int32(), "severity": pa.int16(), "ts_init": TIME}
_OF_ROLL_UPS: Mapping[str, pa.DataType] = {"bars": pa.int64(), "left_out": pa.int64()}
# Sums of many rows have more digits than one of them may have.
_SUM = pa.decimal128(38, 10)
_WORDS = pa.array([severity.value for severity in SEVERITIES])


@dataclass(frozen=True)
class Whole:
    """A body, what it is, and the cursor of what follows."""

    body: bytes
    media_type: str
    next_cursor: str | None


async def read_whole(session: AsyncSession, kind: RowKind, wanted: Wanted, media_type: str) -> Whole:
    """Return a window of rows as CSV or as Arrow's stream, as many as its limit."""
    exact = {**dict(kind.columns), **_BESIDE, **(_OF_ROLL_UPS if wanted.roll_up else {})}
    # What is the same in all rows is known.
    same = {
        name: value for name in exact if (value := {"symbol": wanted.symbol, "interval": wanted.interval}.get(name))
    }
    asked = {name: _SUM if each == MONEY else each for name, each in exact.items() if name not in same}
    found = await store.read_table(session, wanted, asked, written=media_type == CSV)
    full = len(found) == wanted.limit
    last = {**same, **found.slice(wanted.limit - 1).to_pylist()[0]} if full else None
    body = await asyncio.to_thread(_csv if media_type == CSV else _stream, found, list(exact), same)
    return Whole(body, media_type, cursor_of(wanted.subject, last) if last is not None else None)


def _stream(found: pa.Table, names: list[str], same: Mapping[str, str]) -> bytes:
    def column(name: str) -> pa.Array:
        if name in same:
            return pa.DictionaryArray.from_arrays(np.zeros(len(found), np.int32), [same[name]])
        values = _shown(found, name)
        return pc.dictionary_encode(values) if name == "source" else values

    table = pa.table({name: column(name) for name in names})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table.combine_chunks())
    return sink.getvalue()


def _shown(found: pa.Table, name: str) -> pa.Array:
    values = found[name].combine_chunks()
    if name == "severity":
        return pa.DictionaryArray.from_arrays(values.cast(pa.int8()), _WORDS)
    if name == "sequence":
        return pc.if_else(pc.equal(values, NO_SEQUENCE), None, values)
    return values


def _csv(found: pa.Table, names: list[str], same: Mapping[str, str]) -> bytes:
    """Return rows as RFC 4180 has them, but for its line ends; nothing is what is not there."""
    columns = [pa.scalar(_quoted(same[name])) if name in same else _written(_shown(found, name)) for name in names]
    head = ",".join(names) + "\n"
    if not len(found):
        return head.encode()
    lines = pc.binary_join_element_wise(*columns, ",")
    whole = pc.binary_join(pa.ListArray.from_arrays(pa.array([0, len(lines)], pa.int32()), lines), "\n")
    return f"{head}{whole[0].as_py()}\n".encode()


def _written(values: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_timestamp(values.type):
        # By way of times without a zone, as looking it up for each takes forty times as long; Arrow writes a space.
        text = pc.binary_replace_slice(values.cast(pa.timestamp("us")).cast(TEXT), 10, 11, "T")
        text = pc.binary_join_element_wise(text, "Z", "")
    elif pa.types.is_string(values.type):
        text = _quoted_where_needed(values)
    else:
        text = values.cast(TEXT)
    return text.fill_null("")


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if set('",\r\n') & set(text) else text


def _quoted_where_needed(values: pa.Array) -> pa.Array:
    special = pc.match_substring_regex(values, '[",\r\n]')
    if not pc.any(special).as_py():
        return values
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(values, '"', '""'), '"', "")
    return pc.if_else(special, quoted, values)
