"""Marks that wait to be published, in their order."""

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY, TEXT
from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata.models import Outbox

# Any number nobody else uses on this database.
_OUTBOX_KEY = 0x6F757462

_PUT_MARKS = text("""
    INSERT INTO marketdata.outbox (message)
    SELECT r.message FROM unnest(:messages) WITH ORDINALITY AS r(message, position) ORDER BY r.position
""").bindparams(bindparam("messages", type_=ARRAY(TEXT)))


async def put_marks(session: AsyncSession, messages: Sequence[str]) -> None:
    """Queue marks to be published, in this order."""
    await session.execute(_PUT_MARKS, {"messages": list(messages)})


async def take_marks(session: AsyncSession, limit: int) -> list[tuple[int, str]]:
    """Return the oldest queued marks, kept from other processes until the transaction ends."""
    await session.execute(select(func.pg_advisory_xact_lock(_OUTBOX_KEY)))
    query = select(Outbox.outbox_id, Outbox.message).order_by(Outbox.outbox_id).limit(limit)
    return [(outbox_id, message) for outbox_id, message in await session.execute(query)]


async def remove_marks(session: AsyncSession, ids: Sequence[int]) -> None:
    """Remove marks that were published."""
    await session.execute(delete(Outbox).where(Outbox.outbox_id.in_(ids)))
