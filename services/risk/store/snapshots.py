"""Snapshots of the state, the newest few."""

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.risk.core.snapshot.sealed import Sealed
from services.risk.models import Snapshot
from shared.version import VERSION

# One that cannot be used must not be the only one.
_KEPT = 3
_COLUMNS = (
    Snapshot.seq,
    Snapshot.row_hash,
    Snapshot.format,
    Snapshot.digest,
    Snapshot.signature,
    Snapshot.content,
)


async def put_snapshot(session: AsyncSession, sealed: Sealed) -> None:
    """Keep a snapshot, and of the older ones only the newest."""
    values = {
        "seq": sealed.seq,
        "row_hash": sealed.row_hash,
        "format": sealed.format,
        "digest": sealed.digest,
        "signature": sealed.signature,
        "content": sealed.content,
        "build": VERSION,
        "taken_at": func.now(),
    }
    # One of the same row that could not be read is replaced.
    await session.execute(insert(Snapshot).values(values).on_conflict_do_update(index_elements=["seq"], set_=values))
    kept = select(Snapshot.seq).order_by(Snapshot.seq.desc()).limit(_KEPT)
    await session.execute(delete(Snapshot).where(Snapshot.seq.not_in(kept)))


async def find_snapshot(session: AsyncSession, before: int) -> Sealed | None:
    """Return the newest snapshot of a row before this one, None where there is none."""
    query = select(*_COLUMNS).where(Snapshot.seq < before).order_by(Snapshot.seq.desc()).limit(1)
    record = (await session.execute(query)).one_or_none()
    return Sealed(*record) if record else None


async def newest_snapshot_seq(session: AsyncSession) -> int:
    """Return the row of the newest snapshot, 0 where there is none."""
    return await session.scalar(select(func.max(Snapshot.seq))) or 0
