"""The forms in which rows come: JSON, lines of JSON, CSV and Arrow's stream."""

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

# Arrow's own.
_BLOCK = 1 << 20
_IDENTIFIER: TypeAdapter[str] = TypeAdapter(Identifier)
_Found = tuple[list[Any] | pa.Table, npt.NDArray[np.int64], list[RejectedRow]]


class MalformedRows(BadRequest):
    """The body is not of the form that its media type names."""

    type_, title = "malformed-rows", "Malformed rows"


@dataclass(frozen=True)
class From:
    """Where rows are from, as the query says it: every form but JSON has no other place for it."""

    source: str | None
    simulation_id: str | None


@dataclass(frozen=True)
class Given:
    """What a request brought, before its rows are checked: as objects or as a table, each row with its index.

    `rejected` are those that could not even be read.
    """

    source: str
    simulation_id: str | None
    rows: list[Any] | pa.Table
    index: npt.NDArray[np.int64]
    rejected: list[RejectedRow]


def given_rows(kind: RowKind, media_type: str, body: bytes, origin: From) -> Given:
    """Return the rows of a body as they came.

    Raises UnsupportedMediaType, MalformedJson, MalformedRows, and Unprocessable where the columns are others.
    """
    if media_type == JSON:
        return _json(kind, body, origin)
    if origin.source is None:
        raise Unprocessable(
            "Rows of this form need the source in the query",
            errors=[{"location": "query.source", "message": "Field required", "code": "missing"}],
        )
    if media_type == NDJSON:
        found = _lines(body)
    elif media_type == CSV:
        found = _csv(kind, body)
    elif media_type == ARROW:
        found = _arrow(kind, body)
    else:
        raise UnsupportedMediaType(f"Send {', '.join(FORMS)}")
    return Given(origin.source, origin.simulation_id, *found)


def _json(kind: RowKind, body: bytes, origin: From) -> Given:
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
    return Given(source, simulation_id, rows, np.arange(len(rows)), [])


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


def _lines(body: bytes) -> _Found:
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
    return rows, np.array(index, np.int64), rejected


def _csv(kind: RowKind, body: bytes) -> _Found:
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
            # Rows are counted by one thread only. None is longer than a block, which a chain or a book can be.
            read_options=pa_csv.ReadOptions(
                use_threads=False, block_size=max(len(body), _BLOCK) if kind.json else None
            ),
            parse_options=pa_csv.ParseOptions(invalid_row_handler=invalid, newlines_in_values=bool(kind.json)),
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
    return table, index, rejected


def _arrow(kind: RowKind, body: bytes) -> _Found:
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
    return table, np.arange(len(table)), []


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
