"""Lines out of plain, gzip and zip files, and the checks all formats share."""

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from services.marketdata.formats.dataset import BadRow, FormatError, Report

# Bounds what one member of a hostile archive may unpack to; the largest real one here has under 100 KB.
MAX_MEMBER_BYTES = 64 * 1024 * 1024
DECIMAL_PLACES = 10
# Not strptime: its month names follow the machine's locale.
MONTHS: Final[Mapping[str, int]] = MappingProxyType(
    {
        name: index + 1
        for index, name in enumerate(
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        )
    }
)
# Told, where somebody watches, up to which byte of a file it has been read.
WATCH: ContextVar[Callable[[Path, int], None] | None] = ContextVar("WATCH", default=None)
_WATCHED_LINES = 256
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Fourteen digits reach the year 5138.
_MOST_MS_DIGITS = 14


class Line(NamedTuple):
    """A line of text without its ending, and where it stands."""

    file: str
    number: int
    text: str

    def bad(self, reason: str) -> BadRow:
        """Return the report that this line could not be taken."""
        return BadRow(self.file, self.number, reason)


def numbered(lines: Iterable[str], file: str) -> Iterator[Line]:
    """Yield the lines that are not blank, numbered from 1; `lines` may be any open text file."""
    for number, text in enumerate(lines, start=1):
        stripped = text.strip()
        if stripped:
            yield Line(file, number, stripped)


@contextmanager
def named_errors(file: str) -> Iterator[None]:
    """Turn what the operating system and the decoders raise into a FormatError that names the file."""
    try:
        yield
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise FormatError(f"{file}: cannot be read: {error}") from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{file}: is not UTF-8 text: {error.reason} at byte {error.start}") from error


def text_lines(path: Path) -> Generator[Line, None, None]:
    """Yield the lines of a text file, unpacked where its name ends in .gz; raises FormatError.

    Close it where it may not be read to its end.
    """
    # Read as it is asked for: of a file of any size, a block at a time is held.
    with named_errors(str(path)), path.open("rb") as raw, ExitStack() as stack:
        data = stack.enter_context(gzip.GzipFile(fileobj=raw)) if path.suffix == ".gz" else raw
        watch = WATCH.get()
        for line in numbered(stack.enter_context(io.TextIOWrapper(data, encoding="utf-8-sig")), str(path)):
            if watch is not None and line.number % _WATCHED_LINES == 0:
                watch(path, raw.tell())
            yield line


def member_lines(archive: zipfile.ZipFile, name: str) -> Iterator[Line]:
    """Yield the lines of one member of an open zip archive; raises FormatError."""
    file = f"{archive.filename}!{name}"
    if archive.getinfo(name).file_size > MAX_MEMBER_BYTES:
        raise FormatError(f"{file}: unpacks to more than {MAX_MEMBER_BYTES} bytes")
    # Whole before its first line: that a member is damaged is known at its end.
    with named_errors(file), io.StringIO(archive.read(name).decode("utf-8-sig"), newline=None) as text:
        yield from numbered(text, file)
    watch, info = WATCH.get(), archive.getinfo(name)
    if watch is not None and archive.filename is not None:
        watch(Path(archive.filename), info.header_offset + info.compress_size)


@contextmanager
def opened_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive; raises FormatError naming the file."""
    with named_errors(str(path)):
        archive = zipfile.ZipFile(path)
    with archive:
        yield archive


def number(text: str) -> Decimal:
    """Return a finite decimal; raises ValueError naming the text."""
    try:
        value = Decimal(text)
    except ArithmeticError:
        raise ValueError(f"{text[:40]!r} is not a number") from None
    if not value.is_finite() or abs(value.adjusted()) > DECIMAL_PLACES * 2:
        raise ValueError(f"{text[:40]!r} is not a number that fits")
    return value


def rounded(text: str) -> Decimal:
    """Return a decimal rounded to the ten places an amount may have; raises ValueError."""
    return round(number(text), DECIMAL_PLACES)


def cells_of(line: Line, columns: int) -> list[str]:
    """Return the cells of a line of plain CSV; raises ValueError where there are more or fewer than `columns`."""
    cells = line.text.split(",")
    if len(cells) != columns:
        raise ValueError(f"{len(cells)} columns instead of {columns}")
    return cells


def require_header(lines: Iterator[Line], path: Path, header: Sequence[str]) -> None:
    """Take the first line, which must be the header; raises FormatError."""
    first = next(lines, None)
    if first is None or first.text.split(",") != list(header):
        raise FormatError(f"{path}:1: the header is not {','.join(header)}")


def local_midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return when a local date begins, in UTC: the time of an exchange's daily bar."""
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def from_milliseconds(text: str) -> datetime:
    """Return the UTC time of milliseconds since 1970; raises ValueError."""
    if not (text.isascii() and text.isdigit()) or len(text) > _MOST_MS_DIGITS:
        raise ValueError(f"{text[:40]!r} is not milliseconds since 1970")
    return _EPOCH + timedelta(milliseconds=int(text))


@contextmanager
def reporting(line: Line, report: Report) -> Iterator[None]:
    """Report the line instead of raising what a schema or a conversion finds wrong with it."""
    try:
        yield
    except ValidationError as error:
        report(line.bad(why(error)))
    except ValueError as error:
        report(line.bad(str(error)))


def why(error: ValidationError) -> str:
    """Return what a schema found wrong with a row, on one line."""
    return "; ".join(f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors())


class TimeOrder:
    """Let rows pass that are later than the one before, or with `ties` no earlier; report the others."""

    def __init__(self, report: Report, *, ties: bool = False) -> None:
        self._report = report
        self._ties = ties
        self._last: datetime | None = None

    def accepts(self, moment: datetime, line: Line) -> bool:
        """Return whether `moment` moves time on, or with ties leaves it."""
        if self._last is not None and (moment < self._last or (moment == self._last and not self._ties)):
            again = "the same time as" if moment == self._last else "earlier than"
            self._report(line.bad(f"{moment.isoformat()} is {again} the row before"))
            return False
        self._last = moment
        return True
