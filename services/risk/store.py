"""All SQL of risk: the journal, and the lease of the one who may append to it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sqlalchemy import Row as Record
from sqlalchemy import bindparam, func, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, BIGINT, TEXT, TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from services.risk.core.chain import Row
from services.risk.models import Journal, Leader
from shared.database import Database

_COLUMNS = tuple(Journal.__table__.columns)
# Any number nobody else uses on this database; PostgreSQL's advisory locks are named by numbers only.
_LEASE_KEY = 0x6B65656C

# One statement, one round trip, one transaction: rows are added only while the epoch is still ours.
_APPEND = text("""
    WITH fence AS (
        UPDATE risk.leader SET last_seq = :last_seq WHERE id = 1 AND epoch = :epoch RETURNING epoch
    )
    INSERT INTO risk.journal (seq, ts, epoch, account_id, kind, body, prev_hash, hash)
    SELECT r.seq, r.ts, fence.epoch, r.account_id, r.kind, r.body, r.prev_hash, r.hash
    FROM fence, unnest(:seqs, :tss, :account_ids, :kinds, :bodies, :prev_hashes, :hashes)
        AS r(seq, ts, account_id, kind, body, prev_hash, hash)
""").bindparams(
    bindparam("seqs", type_=ARRAY(BIGINT)),
    bindparam("tss", type_=ARRAY(TIMESTAMP(timezone=True))),
    *(bindparam(name, type_=ARRAY(TEXT)) for name in ("account_ids", "kinds", "bodies", "prev_hashes", "hashes")),
)


class DeposedError(Exception):
    """Another process leads now; nothing was appended."""


class Lease:
    """The right to append, held by one connection for as long as it lives."""

    def __init__(self, connection: AsyncConnection, epoch: int, last_seq: int) -> None:
        self._connection = connection
        self.epoch = epoch
        self.last_seq = last_seq

    async def append(self, rows: Sequence[Row]) -> None:
        """Append rows, all or none. Raises DeposedError, or UNAVAILABLE with the outcome unknown."""
        result = await self._connection.execute(
            _APPEND,
            {
                "last_seq": rows[-1].seq,
                "epoch": self.epoch,
                "seqs": [row.seq for row in rows],
                "tss": [row.ts for row in rows],
                "account_ids": [row.account_id for row in rows],
                "kinds": [row.kind for row in rows],
                "bodies": [row.body for row in rows],
                "prev_hashes": [row.prev_hash for row in rows],
                "hashes": [row.hash for row in rows],
            },
        )
        if result.rowcount != len(rows):
            raise DeposedError

    async def check(self) -> None:
        """Make sure the lease still holds. Raises DeposedError or UNAVAILABLE."""
        epoch = await self._connection.scalar(select(Leader.epoch))
        if epoch != self.epoch:
            raise DeposedError

    async def page(self, after: int, limit: int) -> list[Row]:
        """Return rows after a sequence number."""
        query = select(*_COLUMNS).where(Journal.seq > after).order_by(Journal.seq).limit(limit)
        return [_row(record) for record in await self._connection.execute(query)]


@asynccontextmanager
async def try_lease(database: Database) -> AsyncIterator[Lease | None]:
    """Yield the lease, or None while another process has it.

    Taking it raises the epoch, so that whatever a former leader still sends is refused.
    """
    async with database.engine.connect() as plain:
        connection = await plain.execution_options(isolation_level="AUTOCOMMIT")
        if not await connection.scalar(select(func.pg_try_advisory_lock(_LEASE_KEY))):
            yield None
            return
        try:
            raised = update(Leader).values(epoch=Leader.epoch + 1).returning(Leader.epoch, Leader.last_seq)
            epoch, last_seq = (await connection.execute(raised)).one()
            yield Lease(connection, epoch, last_seq)
        finally:
            # The lock belongs to the connection: it must end and not go back to the pool.
            await connection.invalidate()


async def read_page(session: AsyncSession, after: int, limit: int, kinds: Sequence[str]) -> list[Row]:
    """Return rows after a sequence number, oldest first, of some kinds where any are named."""
    query = select(*_COLUMNS).where(Journal.seq > after).order_by(Journal.seq).limit(limit)
    if kinds:
        query = query.where(Journal.kind.in_(kinds))
    return [_row(record) for record in await session.execute(query)]


async def last_seq(session: AsyncSession) -> int:
    """Return the newest row's sequence number, 0 where there is none."""
    return await session.scalar(select(Leader.last_seq)) or 0


async def hash_at(session: AsyncSession, seq: int) -> str | None:
    """Return the hash of one row, None where there is no such row."""
    found: str | None = await session.scalar(select(Journal.hash).where(Journal.seq == seq))
    return found


def _row(record: Record) -> Row:  # type: ignore[type-arg]  # the columns' types are the dataclass's
    return Row(*record)
