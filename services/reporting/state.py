"""How far the ledger is."""

from typing import Literal

from sqlalchemy.ext.asyncio import AsyncSession

from services.reporting import store
from services.reporting.worker import Progress
from shared.schemas.reporting import LedgerState


async def ledger_state(session: AsyncSession, progress: Progress) -> LedgerState:
    """Return how far the ledger has read the journal."""
    await store.see_one_moment(session)
    read = await store.position(session)
    trades, rollups = await store.totals(session)
    newest = progress.journal_last_seq
    lag = None if newest is None else max(newest - read.seq, 0)
    state: Literal["current", "behind", "risk_unreachable", "journal_broken"] = "behind" if lag != 0 else "current"
    if progress.broken is not None:
        state = "journal_broken"
    elif progress.unreachable is not None or newest is None:
        state = "risk_unreachable"
    return LedgerState(
        cursor=read.seq,
        journal_last_seq=newest,
        lag=lag,
        trades=trades,
        rollups=rollups,
        state=state,
        problem=progress.broken or progress.unreachable,
        updated_at=read.updated_at,
    )
