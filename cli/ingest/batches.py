"""Records as the bodies of requests: of so many rows and so many bytes at most."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from services.marketdata.formats.dataset import AnyRecord, Dataset, DatasetKind
from services.marketdata.rows.forms import ARROW, JSON
from services.marketdata.rows.kinds import BARS, FUNDING_RATES, TEXT, TICKS, RowKind
from shared.schemas.market_events import MOST_ROWS

_MARKETDATA = "/api/v1/marketdata"
_MOST_STATES = 500
# Longer bodies are hardly faster. Those of states are short: a service parses one at a stretch.
_LONG, _SHORT = 6 * 1024 * 1024, 1024 * 1024
# No row of the kinds that go as columns is longer: six amounts, or four and an id of 64 characters.
_ROW_BYTES = 125
# Said on every row and of few values: an index of four bytes stands for each.
_REPEATED = ("symbol", "interval", "aggressor")


class Form(Protocol):
    """How the rows of a dataset are sent: where to, and as what."""

    path: str
    media_type: str
    most_rows: int
    most_bytes: int
    params: Mapping[str, str]

    def piece(self, record: AnyRecord) -> Any:
        """Return what is kept of a record until its batch is full."""

    def size(self, piece: Any) -> int:
        """Return how many bytes of a body it takes at most."""

    def body(self, pieces: Sequence[Any]) -> bytes:
        """Return the body of a request."""


class ColumnForm:
    """Rows as columns of exact types, in Arrow's stream."""

    media_type = ARROW
    most_rows = MOST_ROWS
    most_bytes = _LONG

    def __init__(self, path: str, kind: RowKind, params: Mapping[str, str]) -> None:
        self.path = path
        self.params = params
        self._names = [name for name, _ in kind.columns]
        coded = pa.dictionary(pa.int32(), TEXT)
        self._schema = pa.schema([(name, coded if name in _REPEATED else exact) for name, exact in kind.columns])

    def piece(self, record: AnyRecord) -> tuple[Any, ...]:
        """Return the record's values, in the order of the columns."""
        return tuple(getattr(record, name) for name in self._names)

    def size(self, piece: tuple[Any, ...]) -> int:
        """Return the most that a row takes."""
        return _ROW_BYTES

    def body(self, pieces: Sequence[tuple[Any, ...]]) -> bytes:
        """Return an Arrow stream."""
        columns = zip(*pieces, strict=True)
        arrays = [pa.array(values, field.type) for values, field in zip(columns, self._schema, strict=True)]
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self._schema) as stream:
            stream.write_table(pa.table(arrays, schema=self._schema))
        return bytes(sink.getvalue())


class DocumentForm:
    """Rows as JSON: those that hold more than one value in a field."""

    media_type = JSON

    def __init__(
        self, path: str, field: str, most: tuple[int, int], origin: Mapping[str, str], mode: Mapping[str, str]
    ):
        self.path = path
        self.most_rows, self.most_bytes = most
        self.params = mode
        # Names of sources and of simulations have no character that JSON would escape.
        said = "".join(f'"{name}":"{value}",' for name, value in origin.items())
        self._start = f'{{{said}"{field}":['.encode()

    def piece(self, record: AnyRecord) -> bytes:
        """Return the record as JSON."""
        return record.model_dump_json(exclude_none=True).encode()

    def size(self, piece: bytes) -> int:
        """Return how long it is with the comma after it."""
        return len(piece) + 1

    def body(self, pieces: Sequence[bytes]) -> bytes:
        """Return a JSON document."""
        return self._start + b",".join(pieces) + b"]}"


def form_of(dataset: Dataset[AnyRecord], simulation_id: str | None, *, strict: bool) -> Form:
    """Return how the records of a dataset are sent."""
    origin = {"source": dataset.source, **({"simulation_id": simulation_id} if simulation_id else {})}
    mode = {"mode": "strict"} if strict else {}
    if dataset.kind is DatasetKind.STATES:
        return DocumentForm(f"{_MARKETDATA}/market-states", "states", (_MOST_STATES, _SHORT), origin, mode)
    if dataset.kind is DatasetKind.ORDER_BOOKS:
        return DocumentForm(f"{_MARKETDATA}/order-books", "order_books", (MOST_ROWS, _LONG), origin, mode)
    path, kind = {
        DatasetKind.BARS: ("bars", BARS),
        DatasetKind.TICKS: ("ticks", TICKS),
        DatasetKind.FUNDING_RATES: ("funding-rates", FUNDING_RATES),
    }[dataset.kind]
    return ColumnForm(f"{_MARKETDATA}/{path}", kind, {**origin, **mode})


@dataclass
class Limits:
    """What a request may hold where that is less than its form's most; `bytes` as the server has let it be known."""

    bytes: int | None = None
    rows: int | None = None


@dataclass(frozen=True)
class Batch:
    """Rows that follow each other in a dataset, as one request; `read` is how much of its files had been read."""

    form: Form
    pieces: Sequence[Any]
    body: bytes
    read: float

    def halves(self) -> list["Batch"]:
        """Return the same rows as two batches."""
        middle = len(self.pieces) // 2
        parts = (self.pieces[:middle], self.pieces[middle:])
        return [Batch(self.form, part, self.form.body(part), self.read) for part in parts]


class Reading:
    """How much of a dataset's files has been read, from 0 to 1."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._sizes = {file: file.stat().st_size for file in files}
        self._read: dict[Path, int] = {}
        self.bytes = sum(self._sizes.values())

    def __call__(self, file: Path, place: int) -> None:
        """Learn up to where a file has been read."""
        self._read[file] = min(place, self._sizes.get(file, 0))

    @property
    def done(self) -> float:
        """Return the fraction of all bytes."""
        return sum(self._read.values()) / self.bytes if self.bytes else 0.0


def batches(
    records: Iterable[AnyRecord],
    form: Form,
    limits: Limits,
    *,
    skip: int = 0,
    reading: Callable[[], float] = lambda: 0.0,
    stopped: threading.Event | None = None,
) -> Iterator[Batch]:
    """Yield the records after the first `skip` as batches; ends early where it is `stopped`."""
    pieces: list[Any] = []
    size = 0
    most_rows = min(limits.rows or form.most_rows, form.most_rows)
    for number, record in enumerate(records):
        if stopped is not None and stopped.is_set():
            return
        if number < skip:
            continue
        piece = form.piece(record)
        more = form.size(piece)
        most_bytes = min(limits.bytes or form.most_bytes, form.most_bytes)
        if pieces and (len(pieces) >= most_rows or size + more > most_bytes):
            yield Batch(form, pieces, form.body(pieces), reading())
            pieces, size = [], 0
        pieces.append(piece)
        size += more
    if pieces:
        yield Batch(form, pieces, form.body(pieces), reading())
