"""Rows of a request, read and checked: as columns, and market states one by one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import ValidationError
from pydantic_core import from_json

from services.marketdata.metrics import ROWS
from services.marketdata.rows.columns import Columns, NotPlain, columns_of, in_parts, one_by_one, why
from services.marketdata.rows.forms import From, given_rows
from services.marketdata.rows.kinds import MARKET_STATES, RowKind
from shared.problems import Unprocessable
from shared.schemas.marketdata import MarketState, MarketStateBatch, RejectedRow


@dataclass(frozen=True)
class Rows:
    """What a request brought: where its rows are from, and the rows themselves."""

    source: str
    simulation_id: str | None
    columns: Columns


@dataclass(frozen=True)
class States:
    """Market states of one source, each with its index, and the bad ones."""

    source: str
    simulation_id: str | None
    states: Sequence[tuple[int, MarketState]]
    rejected: Sequence[RejectedRow]

    @classmethod
    def of(cls, batch: MarketStateBatch) -> "States":
        """Return the states of a batch."""
        return cls(batch.source, batch.simulation_id, list(enumerate(batch.states)), [])


def read_rows(kind: RowKind, media_type: str, body: bytes, origin: From) -> Rows:
    """Return the rows of a body; the bad ones are named, the others kept.

    Raises what `given_rows` raises, and Unprocessable where no row could be kept.
    """
    given = given_rows(kind, media_type, body, origin)
    read = _from_table if isinstance(given.rows, pa.Table) else _from_objects
    columns = _and_rejected(read(kind, given.rows, given.index), given.rejected)
    if not len(columns.index):
        raise no_good_rows(kind, columns.rejected)
    return Rows(given.source, given.simulation_id, columns)


def read_states(media_type: str, body: bytes, origin: From) -> States:
    """Return the market states of a body; the bad ones are named, the others kept.

    Raises what `given_rows` raises, and Unprocessable where no state could be kept.
    """
    given = given_rows(MARKET_STATES, media_type, body, origin)
    objects = _objects(MARKET_STATES, given.rows) if isinstance(given.rows, pa.Table) else given.rows
    states, rejected = [], list(given.rejected)
    for index, each in zip(given.index.tolist(), objects, strict=True):
        try:
            states.append((index, MarketState.model_validate(each)))
        except ValidationError as error:
            rejected.append(RejectedRow(index=index, reason=why(error)))
    rejected.sort(key=lambda row: row.index)
    if not states:
        raise no_good_rows(MARKET_STATES, rejected)
    return States(given.source, given.simulation_id, states, rejected)


def no_good_rows(kind: RowKind, rejected: Sequence[RejectedRow]) -> Unprocessable:
    """Return the problem of rows that were all, or for a strict caller partly, bad, and count them."""
    ROWS.labels(kind.name, "rejected").inc(len(rejected))
    errors = [
        {"location": f"body.{kind.plural}.{row.index}", "message": row.reason, "code": "bad_row"}
        for row in rejected[:20]
    ]
    return Unprocessable(f"{len(rejected)} rows cannot be stored; nothing was", errors=errors)


def _and_rejected(found: Columns, rejected: Sequence[RejectedRow]) -> Columns:
    """Return rows with those that were rejected before they could be read."""
    both = sorted([*rejected, *found.rejected], key=lambda row: row.index)
    return Columns(found.table, found.index, both, found.received + len(rejected))


def _from_objects(kind: RowKind, rows: Sequence[Any], numbers: npt.NDArray[np.int64]) -> Columns:
    names = [name for name, _ in kind.columns]
    texts = pa.struct([(name, pa.string()) for name in names])

    def plain(part: slice) -> pa.Table:
        chosen = rows[part]
        if kind.json or not set(map(type, chosen)) <= {dict} or not set().union(*chosen) <= set(names):
            raise NotPlain
        try:
            values = pa.array(chosen, texts)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            raise NotPlain from None
        return columns_of(kind, dict(zip(names, values.flatten(), strict=True)), len(chosen))

    def each(part: slice) -> Columns:
        return one_by_one(kind, list(zip(numbers[part].tolist(), rows[part], strict=True)))

    return in_parts(numbers, plain, each)


def _from_table(kind: RowKind, table: pa.Table, numbers: npt.NDArray[np.int64]) -> Columns:
    raw = {name: _plain(table[name].combine_chunks()) for name in table.column_names}

    def plain(part: slice) -> pa.Table:
        if kind.json:
            raise NotPlain
        return columns_of(kind, {name: values[part] for name, values in raw.items()}, part.stop - part.start)

    def each(part: slice) -> Columns:
        objects = _objects(kind, pa.table({name: values[part] for name, values in raw.items()}))
        return one_by_one(kind, list(zip(numbers[part].tolist(), objects, strict=True)))

    return in_parts(numbers, plain, each)


def _plain(array: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return array.cast(pa.string()) if pa.types.is_large_string(array.type) else array


def _objects(kind: RowKind, table: pa.Table) -> list[dict[str, Any]]:
    return [_object(kind, row) for row in table.to_pylist()]


def _object(kind: RowKind, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of a table as the wire contract takes it: what is empty is absent, JSON and whole numbers parsed."""
    types = dict(kind.columns)
    found: dict[str, Any] = {}
    for name, value in row.items():
        if value is None:
            continue
        found[name] = value
        if not isinstance(value, str):
            continue
        if name in kind.json:
            try:
                found[name] = from_json(value, allow_inf_nan=False)
            except ValueError:
                continue
        elif pa.types.is_integer(types[name]) and value.isascii() and value.isdigit() and len(value) < 20:
            found[name] = int(value)
    return found
