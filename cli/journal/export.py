"""Write the journal to a file, a row on each line; a file that is there is carried on."""

import os
from collections.abc import Callable
from pathlib import Path

from cli.journal.rows import decode, encode
from cli.journal.sources import Source

_WINDOW = 65_536


class ExportError(Exception):
    """The file cannot be carried on, and why."""


def last_exported(path: Path) -> int:
    """Return the last whole row of a file, 0 without any; a line that was not finished is cut. Raises ExportError."""
    if not path.exists():
        return 0
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        window = _WINDOW
        while True:
            begin = max(0, size - window)
            file.seek(begin)
            tail = file.read()
            end = tail.rfind(b"\n") + 1
            start = tail.rfind(b"\n", 0, max(0, end - 1)) + 1
            # The window must hold the whole of the last whole line.
            if begin == 0 or (end and start):
                break
            window *= 4
        file.truncate(begin + end)
    if not end:
        return 0
    try:
        return decode(tail[start:end]).seq
    except ValueError as error:
        raise ExportError(f"{path} is no export: {error}") from None


async def export(source: Source, path: Path, after: int | None, moved: Callable[[int], None]) -> tuple[int, int]:
    """Write the rows after one, or after the last one in the file; return the first and the last of the file's growth.

    Raises ExportError where the file ends at another row, UnreadableRowError, OSError.
    """
    there = last_exported(path)
    if after is not None and there not in {0, after}:
        raise ExportError(f"{path} ends with row {there}, and rows after {after} do not follow it")
    begin = last = there if after is None else after
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "ab") as file:
        async for rows in source.pages(begin):
            file.writelines(map(encode, rows))
            last = rows[-1].seq
            moved(last)
        file.flush()
        os.fsync(file.fileno())
    return begin, last
