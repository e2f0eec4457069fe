"""The journal, and the lease of the one who may append to it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from json.encoder import encode_basestring as _string
from typing import Any, TypeVar

import psycopg
from sqlalchemy import Row as Record
from sqlalchemy import Select, func, select, text, update
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from services.risk.core.chain import Row
from services.risk.metrics import COMMIT_FAILURES
from services.risk.models import Journal, Leader
from shared.database import Database
from shared.schemas.journal import EventKind
from shared.shards import Shard
from shared.tasks import finish, stop

_COLUMNS = tuple(Journal.__table__.columns)
# Any number nobody else uses on this database; PostgreSQL's advisory locks are named by numbers only.
_LEASE_KEY = 0x6B65656C

# One statement, one round trip, one transaction: rows are added only while the epoch is still ours. Sent by psycopg
# itself, and as one JSON text: arrays are built in Python item by item, and took milliseconds for a batch.
_APPEND = """
    WITH fence AS (
        UPDATE risk.leader SET last_seq = %s, renewed_at = clock_timestamp() WHERE id = 1 AND epoch = %s RETURNING epoch
    )
    INSERT INTO risk.journal (seq, ts, epoch, account_id, kind, body, prev_hash, hash)
    SELECT r.seq, r.ts, fence.epoch, r.account_id, r.kind, r.body, r.prev_hash, r.hash
    FROM fence, json_to_recordset(%s::json) AS r(
        seq bigint, ts timestamptz, account_id text, kind text, body text, prev_hash text, hash text
    )
"""
T = TypeVar("T")
# Whoever has not renewed for so long is taken to hang.
_LEASE_SECONDS = 1.0
# Only a backend that holds the lock itself: process ids are used again.
_END_HUNG = text("""
    SELECT pg_terminate_backend(held.pid)
    FROM risk.leader, pg_locks AS held
    WHERE renewed_at < clock_timestamp() - make_interval(secs => :patience)
      AND held.locktype = 'advisory' AND held.pid = leader.backend AND held.granted
      AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
""")


class DeposedError(Exception):
    """Another process leads now; nothing was appended."""


class Lease:
    """The right to append, held by one connection for as long as it lives."""

    def __init__(self, connection: AsyncConnection, epoch: int, last_seq: int, patience: float) -> None:
        self._connection = connection
        self._patience = patience
        self.epoch = epoch
        self.last_seq = last_seq

    async def append(self, rows: Sequence[Row]) -> None:
        """Append rows, all or none. Raises DeposedError, or UNAVAILABLE with the outcome unknown."""
        await _in_time(self._patience, self._append(rows))

    async def _append(self, rows: Sequence[Row]) -> None:
        raw = await self._connection.get_raw_connection()
        driver: psycopg.AsyncConnection[Any] = raw.driver_connection  # type: ignore[assignment]  # it is psycopg's
        try:
            result = await driver.execute(
                _APPEND,
                (rows[-1].seq, self.epoch, f"[{','.join(map(_record, rows))}]"),
            )
        except psycopg.OperationalError as error:
            COMMIT_FAILURES.inc()
            raise OperationalError("append", None, error) from error
        except psycopg.InterfaceError as error:
            COMMIT_FAILURES.inc()
            raise InterfaceError("append", None, error) from error
        if result.rowcount != len(rows):
            raise DeposedError

    async def renew(self) -> None:
        """Say that this process is alive, and make sure the lease still holds. Raises DeposedError or UNAVAILABLE."""
        renewed = (
            update(Leader)
            .where(Leader.epoch == self.epoch)
            .values(renewed_at=func.clock_timestamp())
            .returning(Leader.epoch)
        )
        if await _in_time(self._patience, self._connection.scalar(renewed)) is None:
            raise DeposedError

    async def claim(self, shard: Shard) -> None:
        """Note of which shard the journal is, where nobody has; whoever is of another does not come so far."""
        noted = update(Leader).where(Leader.epoch == self.epoch, Leader.shards.is_(None))
        await self._connection.execute(noted.values(shard=shard.number, shards=shard.of))

    async def page(self, after: int, limit: int) -> list[Row]:
        """Return rows after a sequence number; whoever reads a long journal is alive."""
        await self.renew()
        return [_row(record) for record in await self._connection.execute(_page(after, limit))]


@asynccontextmanager
async def try_lease(database: Database, patience: float) -> AsyncIterator[Lease | None]:
    """Yield the lease, or None while another process has it; `patience` is how long it waits for PostgreSQL, in s.

    Taking it raises the epoch, so that whatever a former leader still sends is refused. One that has stopped renewing,
    as it hangs or is cut off, loses its connection, and the lock with it.
    """
    async with database.engine.connect() as plain:
        connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
        if not await _lock(connection):
            yield None
            return
        try:
            raised = (
                update(Leader)
                .values(epoch=Leader.epoch + 1, renewed_at=func.clock_timestamp(), backend=func.pg_backend_pid())
                .returning(Leader.epoch, Leader.last_seq)
            )
            epoch, last_seq = (await connection.execute(raised)).one()
            yield Lease(connection, epoch, last_seq, patience)
        finally:
            # The lock belongs to the connection: it must end and not go back to the pool.
            await connection.invalidate()


async def _in_time(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Return what work gives. Raises PoolTimeoutError where it takes too long.

    Whoever called closes the connection then: nobody may wait for its socket any more, as libuv ends the process where
    one is closed that it is about to look at. A connection lets go of it at once, without asking the server.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
        late = not task.done()
    finally:
        with suppress(Exception):
            await finish(stop(task))
    if late:
        raise PoolTimeoutError(f"PostgreSQL did not answer within {seconds:g} s")
    return task.result()


def follow_pages(database: Database) -> Callable[[int, int], Awaitable[Sequence[Row]]]:
    """Return what gives rows after a sequence number to whoever follows the journal."""

    async def page(after: int, limit: int) -> Sequence[Row]:
        async with database.session() as session:
            return await read_page(session, after, limit, ())

    return page


async def _lock(connection: AsyncConnection) -> bool:
    lock = select(func.pg_try_advisory_lock(_LEASE_KEY))
    if await connection.scalar(lock):
        return True
    hung = await connection.scalar(_END_HUNG, {"patience": _LEASE_SECONDS})
    if hung is None:
        return False
    # Its backend takes a moment to end.
    for _ in range(10):
        if await connection.scalar(lock):
            return True
        await asyncio.sleep(0.02)
    return False


async def read_page(session: AsyncSession, after: int, limit: int, kinds: Sequence[str]) -> list[Row]:
    """Return rows after a sequence number, oldest first, of some kinds where any are named."""
    query = _page(after, limit)
    if kinds:
        query = query.where(Journal.kind.in_(kinds))
    return [_row(record) for record in await session.execute(query)]


async def find_decision(session: AsyncSession, account_id: str, client_order_id: str) -> Row | None:
    """Return the row that decided on an order, None where there is none."""
    query = (
        select(*_COLUMNS)
        .where(
            Journal.account_id == account_id,
            Journal.kind.in_([EventKind.ORDER_APPROVED, EventKind.ORDER_DENIED]),
            # The body is canonical text: this is where, and how, the id stands in it.
            Journal.body.contains(f'"order":{{"client_order_id":"{client_order_id}",', autoescape=True),
        )
        .order_by(Journal.seq.desc())
        .limit(1)
    )
    record = (await session.execute(query)).one_or_none()
    return _row(record) if record else None


async def is_opened(session: AsyncSession, account_id: str) -> bool:
    """Tell whether an account was ever opened; any replica can, without an engine that leads."""
    opened = Journal.kind == EventKind.ACCOUNT_OPENED
    found = await session.scalar(select(Journal.seq).where(opened, Journal.account_id == account_id).limit(1))
    return found is not None


async def journal_shard(session: AsyncSession) -> Shard | None:
    """Return of which shard the journal is, None while nobody has led."""
    number, of = (await session.execute(select(Leader.shard, Leader.shards))).one()
    return None if number is None or of is None else Shard(number, of)


async def last_seq(session: AsyncSession) -> int:
    """Return the newest row's sequence number, 0 where there is none."""
    return await session.scalar(select(Leader.last_seq)) or 0


async def newest_of(session: AsyncSession, kind: str) -> int:
    """Return the sequence number of the newest row of a kind, 0 where there is none."""
    return await session.scalar(select(func.max(Journal.seq)).where(Journal.kind == kind)) or 0


async def hash_at(session: AsyncSession, seq: int) -> str | None:
    """Return the hash of one row, None where there is no such row."""
    found: str | None = await session.scalar(select(Journal.hash).where(Journal.seq == seq))
    return found


def _page(after: int, limit: int) -> Select[Any]:
    return select(*_COLUMNS).where(Journal.seq > after).order_by(Journal.seq).limit(limit)


def _record(row: Row) -> str:
    # By hand: kinds and hashes need no escapes, and an encoder that looks for them takes three times as long.
    account = "null" if row.account_id is None else _string(row.account_id)
    return (
        f'{{"seq":{row.seq},"ts":"{row.ts.isoformat()}","account_id":{account},"kind":"{row.kind}",'
        f'"body":{_string(row.body)},"prev_hash":"{row.prev_hash}","hash":"{row.hash}"}}'
    )


def _row(record: Record) -> Row:  # type: ignore[type-arg]  # the columns' types are the dataclass's
    return Row(*record)
