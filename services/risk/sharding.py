"""A process answers for the accounts of its own shard, and for no other's."""

from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncSession

from services.risk import store
from shared.database import Database
from shared.problems import Misdirected
from shared.shards import RIGHT_SHARD_HEADER, Shard, shard_of


class ForeignJournalError(Exception):
    """The journal is that of another shard, or of another number of shards: nothing may be decided on it."""


def require_own(shard: Shard, account_id: str) -> None:
    """Raise Misdirected, which names the right shard, for an account of another one."""
    if not shard.has(account_id):
        raise misdirected(shard, shard_of(account_id, shard.of), f"account {account_id} belongs to")


def misdirected(shard: Shard, right: int, what: str) -> Misdirected:
    """Return the problem that names the right shard, in its body and in a header that proxies can read."""
    detail = f"{what} shard {right}; this is {shard}"
    return Misdirected(detail, headers={RIGHT_SHARD_HEADER: str(right)}, shard=right, shards=shard.of)


async def refuse_foreign_journal(database: Database, shard: Shard, accounts: Iterable[str]) -> None:
    """Raise ForeignJournalError for a journal that another shard wrote, or that holds an account of one."""
    refuse_foreign_accounts(shard, accounts)
    async with database.session() as session:
        await _refuse_other(session, shard)


def refuse_foreign_accounts(shard: Shard, accounts: Iterable[str]) -> None:
    """Raise ForeignJournalError where an account belongs to another shard."""
    for account_id in accounts:
        if not shard.has(account_id):
            right = shard_of(account_id, shard.of)
            raise ForeignJournalError(f"this is {shard}, and the journal holds account {account_id} of shard {right}")


async def _refuse_other(session: AsyncSession, shard: Shard) -> None:
    written = await store.journal_shard(session)
    if written is not None and written != shard:
        raise ForeignJournalError(f"this is {shard}, and the journal is that of {written}")
