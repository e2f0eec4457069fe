"""Partitions of plain PostgreSQL, made when the first row of their time comes; TimescaleDB makes its chunks itself."""

from collections.abc import Iterable
from datetime import datetime

from psycopg import errors
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.marketdata.core.partitions import Partition, partition_of
from services.marketdata.core.retention import Retention
from services.marketdata.store.rung import made_as
from shared.database import Database
from shared.timescale import Rung

_EXISTS = text("SELECT to_regclass(:name) IS NOT NULL")
# Whoever made it in the meantime has made what was asked for.
_ALREADY = (errors.DuplicateTable, errors.InvalidObjectDefinition, errors.UniqueViolation)


class Partitions:
    """Which partitions are known to be there, and how long what is in them is kept: for ever, unless told."""

    def __init__(self, database: Database, retention: Retention | None = None) -> None:
        self._database = database
        self.retention = retention or Retention({})
        self._known: set[tuple[str, Partition]] = set()
        self._rung: Rung | None = None

    async def rung(self) -> Rung:
        """Return what the tables were made as. Raises UNAVAILABLE."""
        if self._rung is None:
            async with self._database.session() as session:
                self._rung = await made_as(session)
        return self._rung

    async def ensure(self, table: str, moments: Iterable[datetime]) -> None:
        """Make the partitions of a table that rows of these moments belong to. Raises UNAVAILABLE."""
        if (await self.rung()).hypertables:
            return
        for part in {partition_of(moment) for moment in moments}:
            if (table, part) not in self._known:
                await self._make(table, part)
                self._known.add((table, part))

    def forget(self) -> None:
        """Look again what is there: partitions were dropped."""
        self._known.clear()

    async def _make(self, table: str, part: Partition) -> None:
        name = f"marketdata.{table}_{part.suffix}"
        try:
            async with self._database.session() as session:
                if await session.scalar(_EXISTS, {"name": name}):
                    return
                # Made beside the table and attached: readers and writers of the table go on meanwhile.
                await session.execute(text(f"CREATE TABLE {name} (LIKE marketdata.{table} INCLUDING ALL)"))
                await session.execute(text(f"ALTER TABLE marketdata.{table} ATTACH PARTITION {name} {part.bounds}"))
        except DBAPIError as error:
            if not isinstance(error.orig, _ALREADY):
                raise
