"""How far the ledger is."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from services.reporting import store
from services.reporting.store import Position
from services.reporting.worker import Progress
from shared.schemas.reporting import LedgerShard, LedgerState, LedgerStateName

_WORSE: tuple[LedgerStateName, ...] = ("current", "behind", "risk_unreachable", "journal_broken")


async def ledger_state(session: AsyncSession, progress: Sequence[Progress]) -> LedgerState:
    """Return how far the ledger has read the journal of each shard, and of all of them together."""
    await store.see_one_moment(session)
    shards = [_shard(shard, await store.position(session, shard), followed) for shard, followed in enumerate(progress)]
    trades, rollups = await store.totals(session)
    worst = max(shards, key=lambda each: _WORSE.index(each.state))
    lags = [each.lag for each in shards if each.lag is not None]
    newest = [each.journal_last_seq for each in shards if each.journal_last_seq is not None]
    moved = [each.updated_at for each in shards if each.updated_at is not None]
    named = f"shard {worst.shard}: {worst.problem}" if worst.problem and len(shards) > 1 else worst.problem
    return LedgerState(
        cursor=sum(each.cursor for each in shards),
        journal_last_seq=sum(newest) if len(newest) == len(shards) else None,
        lag=sum(lags) if len(lags) == len(shards) else None,
        trades=trades,
        rollups=rollups,
        state=worst.state,
        problem=named,
        updated_at=max(moved, default=None),
        shards=shards,
    )


def _shard(shard: int, read: Position, progress: Progress) -> LedgerShard:
    newest = progress.journal_last_seq
    lag = None if newest is None else max(newest - read.seq, 0)
    state: LedgerStateName = "behind" if lag != 0 else "current"
    if progress.broken is not None:
        state = "journal_broken"
    elif progress.unreachable is not None or newest is None:
        state = "risk_unreachable"
    return LedgerShard(
        shard=shard,
        cursor=read.seq,
        journal_last_seq=newest,
        lag=lag,
        state=state,
        problem=progress.broken or progress.unreachable,
        updated_at=read.updated_at,
    )
