"""The forms in which rows come: JSON, lines of JSON, CSV and Arrow's stream."""

import asyncio
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from services.marketdata.metrics import ROWS
from services.marketdata.rows.columns import Columns, NotPlain, columns_of, in_parts, one_by_one
from services.marketdata.rows.kinds import MONEY, RowKind
from shared.problems import BadRequest, MalformedJson, Unprocessable, UnsupportedMediaType
from shared.schemas.base import Identifier
from shared.schemas.market_events import MOST_ROWS
from shared.schemas.marketdata import RejectedRow

JSON = "application/json"
NDJSON = "application/x-ndjson"
CSV = "text/csv"
ARROW = "application/vnd.apache.arrow.stream"
FORMS = (JSON, NDJSON, CSV, ARROW)

_IDENTIFIER: TypeAdapter[str] = TypeAdapter(Identifier)


class MalformedRows(BadRequest):
    """The body is not of the form that its media type names."""

    type_, title = "malformed-rows", "Malformed rows"


@dataclass(frozen=True)
class Rows:
    """What a request brought: where its rows are from, and the rows themselves."""

    source: str
    simulation_id: str | None
    columns: Columns


@dataclass(frozen=True)
class From:
    """Where rows are from, as the query says it: every form but JSON has no other place for it."""

    source: str | None
    simulation_id: str | None


def read_rows(kind: RowKind, media_type: str, body: bytes, origin: From) -> Rows:
    """Return the rows of a body; the bad ones are named, the others kept.

    Raises UnsupportedMediaType, MalformedJson, MalformedRows, and Unprocessable where no row could be kept.
    """
    if media_type == JSON:
        source, simulation_id, columns = _json(kind, body, origin)
    else:
        if origin.source is None:
            raise Unprocessable(
                "Rows of this form need the source in the query",
                errors=[{"location": "query.source", "message": "Field required", "code": "missing"}],
            )
        source, simulation_id = origin.source, origin.simulation_id
        if media_type == NDJSON:
            columns = _lines(kind, body)
        elif media_type == CSV:
            columns = _csv(kind, body)
        elif media_type == ARROW:
            columns = _arrow(kind, body)
        else:
            raise UnsupportedMediaType(f"Send {', '.join(FORMS)}")
    if not len(columns.index):
        raise no_good_rows(kind, columns.rejected)
    return Rows(source, simulation_id, columns)


async def in_thread(kind: RowKind, media_type: str, body: bytes, origin: From) -> Rows:
    """Return what `read_rows` does, and let others be answered meanwhile."""
    return await asyncio.to_thread(read_rows, kind, media_type, body, origin)


def no_good_rows(kind: RowKind, rejected: Sequence[RejectedRow]) -> Unprocessable:
    """Return the problem of rows that were all, or for a strict caller partly, bad, and count them."""
    ROWS.labels(kind.name, "rejected").inc(len(rejected))
    errors = [
        {"location": f"body.{kind.plural}.{row.index}", "message": row.reason, "code": "bad_row"}
        for row in rejected[:20]
    ]
    return Unprocessable(f"{len(rejected)} rows cannot be stored; nothing was", errors=errors)


def _json(kind: RowKind, body: bytes, origin: From) -> tuple[str, str | None, Columns]:
    try:
        batch = _parsed(body)
    except ValueError as error:
        raise MalformedJson(str(error)[:200]) from None
    errors = []
    if not isinstance(batch, dict):
        raise Unprocessable("A batch is an object", errors=[_problem("body", "Input should be an object", "type")])
    errors += [
        _problem(f"body.{name[:100]}", "Extra inputs are not permitted", "extra_forbidden")
        for name in batch.keys() - {"source", "simulation_id", kind.plural}
    ]
    source = _identifier(batch, "source", origin.source, errors)
    if source is None and not errors:
        errors.append(_problem("body.source", "Field required", "missing"))
    simulation_id = _identifier(batch, "simulation_id", origin.simulation_id, errors)
    rows = batch.get(kind.plural)
    if not isinstance(rows, list) or not 1 <= len(rows) <= MOST_ROWS:
        errors.append(_problem(f"body.{kind.plural}", f"A list of 1 to {MOST_ROWS} rows", "list"))
    if errors or source is None or not isinstance(rows, list):
        raise Unprocessable("The request has invalid fields", errors=errors[:20])
    return source, simulation_id, _from_objects(kind, rows)


def _parsed(body: bytes) -> Any:
    # Of the values hardly one comes twice: to look for each among those of before takes longer than to make it.
    return from_json(body, allow_inf_nan=False, cache_strings="keys")


def _identifier(batch: Mapping[str, Any], name: str, otherwise: str | None, errors: list[dict[str, str]]) -> str | None:
    value = batch.get(name, otherwise)
    if value is None:
        return None
    try:
        return _IDENTIFIER.validate_python(value)
    except ValidationError as error:
        errors.append(_problem(f"body.{name}", error.errors()[0]["msg"], error.errors()[0]["type"]))
        return None


def _problem(location: str, message: str, code: str) -> dict[str, str]:
    return {"location": location, "message": message, "code": code}


def _from_objects(kind: RowKind, rows: Sequence[Any], index: Sequence[int] | None = None) -> Columns:
    numbers = np.arange(len(rows)) if index is None else np.array(index, np.int64)
    names = [name for name, _ in kind.columns]
    texts = pa.struct([(name, pa.string()) for name in names])

    def plain(part: slice) -> pa.Table:
        chosen = rows[part]
        if kind.nested or not set(map(type, chosen)) <= {dict} or not set().union(*chosen) <= set(names):
            raise NotPlain
        try:
            values = pa.array(chosen, texts)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            raise NotPlain from None
        return columns_of(kind, dict(zip(names, values.flatten(), strict=True)), len(chosen))

    def each(part: slice) -> Columns:
        return one_by_one(kind, list(zip(numbers[part].tolist(), rows[part], strict=True)))

    return in_parts(numbers, plain, each)


def _and_rejected(found: Columns, rejected: Sequence[RejectedRow]) -> Columns:
    """Return rows with those that were rejected before they could be read."""
    both = sorted([*rejected, *found.rejected], key=lambda row: row.index)
    return Columns(found.table, found.index, both, found.received + len(rejected))


def _lines(kind: RowKind, body: bytes) -> Columns:
    lines = [line for line in body.splitlines() if line.strip()]
    if not 1 <= len(lines) <= MOST_ROWS:
        raise MalformedRows(f"1 to {MOST_ROWS} lines, each with one row as a JSON object")
    index, rows, rejected = [], [], []
    for number, line in enumerate(lines):
        try:
            rows.append(_parsed(line))
            index.append(number)
        except ValueError as error:
            rejected.append(RejectedRow(index=number, reason=f"not JSON: {str(error)[:200]}"))
    return _and_rejected(_from_objects(kind, rows, index), rejected)


def _csv(kind: RowKind, body: bytes) -> Columns:
    names = [name for name, _ in kind.columns]
    rejected: list[RejectedRow] = []

    def invalid(row: Any) -> str:
        reason = f"{row.actual_columns} columns instead of {row.expected_columns}"
        # The header is line 1, and rows are counted from 0.
        rejected.append(RejectedRow(index=row.number - 2, reason=reason))
        return "skip"

    try:
        # Arrow would say so of some rows only, and not to us.
        body.decode()
    except UnicodeDecodeError as error:
        raise MalformedRows(f"The body is not UTF-8: {error.reason} at byte {error.start}") from None
    try:
        table = pa_csv.read_csv(
            io.BytesIO(body),
            # Rows are counted by one thread only.
            read_options=pa_csv.ReadOptions(use_threads=False),
            parse_options=pa_csv.ParseOptions(invalid_row_handler=invalid),
            convert_options=pa_csv.ConvertOptions(
                column_types={name: pa.string() for name in names},
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
                null_values=[""],
            ),
        )
    except pa.ArrowInvalid as error:
        raise MalformedRows(f"The body is not CSV with a header: {str(error)[:200]}") from None
    total = len(table) + len(rejected)
    _require_columns(kind, table.column_names, total)
    index = np.delete(np.arange(total), [row.index for row in rejected])
    return _from_table(kind, table, index, rejected)


def _arrow(kind: RowKind, body: bytes) -> Columns:
    try:
        with pa.ipc.open_stream(body) as stream:
            schema = stream.schema
            for column in schema:
                if pa.types.is_floating(column.type) and dict(kind.columns).get(column.name) == MONEY:
                    raise Unprocessable(
                        f"{column.name} is a float, which is not exact; send decimal128(28, 10), strings or integers",
                        errors=[_problem(f"body.{column.name}", "A float is not exact", "decimal_from_float")],
                    )
            table = stream.read_all()
            table.validate(full=True)
    except (pa.ArrowException, OSError, EOFError) as error:
        raise MalformedRows(f"The body is not an Arrow stream: {str(error)[:200]}") from None
    _require_columns(kind, schema.names, len(table))
    return _from_table(kind, table, np.arange(len(table)), [])


def _require_columns(kind: RowKind, given: Sequence[str], rows: int) -> None:
    if not 1 <= rows <= MOST_ROWS:
        raise MalformedRows(f"1 to {MOST_ROWS} rows, not {rows}")
    names = [name for name, _ in kind.columns]
    missing = [name for name in names if name not in given and name not in kind.optional]
    unknown = [name for name in given if name not in names]
    repeated = sorted({name for name in given if list(given).count(name) > 1})
    for what, found in (("missing", missing), ("unknown", unknown), ("repeated", repeated)):
        if found:
            raise Unprocessable(
                f"The columns are {', '.join(names)}",
                errors=[_problem(f"body.{name[:100]}", f"Column {what}", what) for name in found[:20]],
            )


def _from_table(kind: RowKind, table: pa.Table, numbers: npt.NDArray[np.int64], rejected: list[RejectedRow]) -> Columns:
    raw = {name: _plain(table[name].combine_chunks()) for name in table.column_names}

    def plain(part: slice) -> pa.Table:
        if kind.nested:
            raise NotPlain
        return columns_of(kind, {name: values[part] for name, values in raw.items()}, part.stop - part.start)

    def each(part: slice) -> Columns:
        rows = pa.table({name: values[part] for name, values in raw.items()}).to_pylist()
        objects = [_object(kind, row) for row in rows]
        return one_by_one(kind, list(zip(numbers[part].tolist(), objects, strict=True)))

    return _and_rejected(in_parts(numbers, plain, each), rejected)


def _plain(array: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return array.cast(pa.string()) if pa.types.is_large_string(array.type) else array


def _object(kind: RowKind, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of a table as the wire contract takes it: what is empty is absent, levels are parsed."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if value is None:
            continue
        found[name] = value
        if kind.nested and name in ("bids", "asks") and isinstance(value, str):
            try:
                found[name] = from_json(value, allow_inf_nan=False)
            except ValueError:
                continue
        elif kind.nested and isinstance(value, str) and name in ("sequence", "previous_sequence"):
            found[name] = int(value) if value.isascii() and value.isdigit() and len(value) < 20 else value
    if "interval_hours" in found and isinstance(found["interval_hours"], str):
        hours = found["interval_hours"]
        found["interval_hours"] = int(hours) if hours.isascii() and hours.isdigit() and len(hours) < 4 else hours
    return found
