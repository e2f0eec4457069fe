"""Where the rows of a journal come from: the database, or files of an export."""

from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from sqlalchemy.exc import DataError

from cli.journal.rows import decode, row_problem
from services.risk import store
from services.risk.core.chain import Row
from shared.database import Database

PAGE = 5_000


class UnreadableRowError(Exception):
    """The row after `after` is not one, and why."""

    def __init__(self, after: int, problem: str) -> None:
        super().__init__(f"row {after + 1} cannot be read: {problem}")
        self.after = after
        self.problem = problem


class Source(Protocol):
    """A journal to read from its start."""

    async def recorded(self) -> int | None:
        """Return the last row that was written, as the source says, None where it says nothing."""

    def pages(self, after: int) -> AsyncIterator[list[Row]]:
        """Yield the rows after one, in their order. Raises UnreadableRowError."""


class DatabaseSource:
    """The table, read by pages."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def recorded(self) -> int | None:
        """Return what the database says was written last."""
        async with self._database.session() as session:
            return await store.last_seq(session)

    async def pages(self, after: int) -> AsyncIterator[list[Row]]:
        """Yield the rows after one, in their order."""
        while True:
            rows, bad = await self._readable(after)
            if rows:
                after = rows[-1].seq
                yield rows
            if bad:
                raise UnreadableRowError(after, bad)
            if len(rows) < PAGE:
                return

    async def _readable(self, after: int) -> tuple[list[Row], str | None]:
        """Return a page, up to the first row that is none, and what is wrong with that one."""
        try:
            page = await self._page(after, PAGE)
        except DataError:
            # Somewhere in it is a value that has no meaning here, such as a timestamp of `infinity`.
            return await self._one_by_one(after)
        for index, row in enumerate(page):
            problem = row_problem(row)
            if problem:
                return page[:index], problem
        return page, None

    async def _one_by_one(self, after: int) -> tuple[list[Row], str | None]:
        rows: list[Row] = []
        try:
            while len(rows) < PAGE:
                rows += await self._page(rows[-1].seq if rows else after, 1)
        except DataError:
            return rows, "a value cannot be read"
        return rows, None

    async def _page(self, after: int, limit: int) -> list[Row]:
        async with self._database.session() as session:
            return await store.read_page(session, after, limit, ())


class ExportSource:
    """Files of an export, one after the other."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files

    async def recorded(self) -> int | None:
        """Return nothing: an export says not what it lacks."""
        return None

    async def pages(self, after: int) -> AsyncIterator[list[Row]]:
        """Yield the rows after one, in their order."""
        rows: list[Row] = []
        seen = after
        for line in self._lines():
            try:
                row = decode(line)
            except ValueError as error:
                if rows:
                    yield rows
                raise UnreadableRowError(seen, str(error)) from None
            seen = row.seq
            if row.seq > after:
                rows.append(row)
            if len(rows) == PAGE:
                yield rows
                rows = []
        if rows:
            yield rows

    def _lines(self) -> Iterator[bytes]:
        for path in self._files:
            with path.open("rb") as file:
                yield from file
