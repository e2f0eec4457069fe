"""Lines out of plain, gzip and zip files, and the checks all formats share."""

import gzip
import io
import zipfile
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from services.marketdata.formats.dataset import BadRow, FormatError, Report

# Bounds what one member of a hostile archive may unpack to; the largest real one here has under 100 KB.
MAX_MEMBER_BYTES = 64 * 1024 * 1024
DECIMAL_PLACES = 10


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
        yield from numbered(stack.enter_context(io.TextIOWrapper(data, encoding="utf-8")), str(path))


def member_lines(archive: zipfile.ZipFile, name: str) -> Iterator[Line]:
    """Yield the lines of one member of an open zip archive; raises FormatError."""
    file = f"{archive.filename}!{name}"
    if archive.getinfo(name).file_size > MAX_MEMBER_BYTES:
        raise FormatError(f"{file}: unpacks to more than {MAX_MEMBER_BYTES} bytes")
    with named_errors(file), archive.open(name) as raw, io.TextIOWrapper(raw, encoding="utf-8") as text:
        yield from numbered(text, file)


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


def why(error: ValidationError) -> str:
    """Return what a schema found wrong with a row, on one line."""
    return "; ".join(f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors())


class TimeOrder:
    """Let rows pass that are later than the one before; report the others."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._last: datetime | None = None

    def accepts(self, moment: datetime, line: Line) -> bool:
        """Return whether `moment` moves time on."""
        if self._last is not None and moment <= self._last:
            again = "the same time as" if moment == self._last else "earlier than"
            self._report(line.bad(f"{moment.isoformat()} is {again} the row before"))
            return False
        self._last = moment
        return True
