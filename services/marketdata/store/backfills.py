"""Backfills and how far they came."""

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata.models import BackfillRow
from shared.schemas.feeds import Backfill, BackfillRequest, BackfillState

_TO_DO = (BackfillState.QUEUED.value, BackfillState.RUNNING.value)


async def put_backfill(
    session: AsyncSession, backfill_id: str, request: BackfillRequest, who: str, now: datetime
) -> None:
    """Queue a backfill."""
    session.add(
        BackfillRow(
            backfill_id=backfill_id,
            source=request.source,
            symbol=request.symbol,
            interval=request.interval,
            start_ts=request.start,
            end_ts=request.end,
            position_ts=request.start,
            state=BackfillState.QUEUED.value,
            rows=0,
            stored=0,
            error=None,
            requested_by=who,
            reason=request.reason,
            created_at=now,
            updated_at=now,
        )
    )
    await session.flush()


async def get_backfill(session: AsyncSession, backfill_id: str) -> Backfill | None:
    """Return a backfill."""
    row = await session.get(BackfillRow, backfill_id, populate_existing=True)
    return _backfill(row) if row else None


async def list_backfills(session: AsyncSession, before: tuple[datetime, str] | None, limit: int) -> list[Backfill]:
    """Return backfills, the newest first."""
    row = BackfillRow
    query = select(row).order_by(row.created_at.desc(), row.backfill_id.desc()).limit(limit)
    if before is not None:
        moment, identifier = before
        later = (row.created_at < moment) | ((row.created_at == moment) & (row.backfill_id < identifier))
        query = query.where(later)
    return [_backfill(found) for found in await session.scalars(query)]


async def next_backfill(session: AsyncSession) -> Backfill | None:
    """Return the oldest backfill that is not over."""
    query = select(BackfillRow).where(BackfillRow.state.in_(_TO_DO)).order_by(BackfillRow.created_at).limit(1)
    row = await session.scalar(query)
    return _backfill(row) if row else None


async def set_state(
    session: AsyncSession, backfill_id: str, state: BackfillState, now: datetime, error: str | None = None
) -> bool:
    """Change a backfill's state; of one that is over, only to be resumed. Return whether it was."""
    row = BackfillRow
    over = row.state.not_in(_TO_DO) if state is BackfillState.QUEUED else row.state.in_(_TO_DO)
    statement = (
        update(row)
        .where(row.backfill_id == backfill_id, over, row.state != BackfillState.DONE.value)
        .values(state=state.value, error=error, updated_at=now)
        .returning(row.backfill_id)
    )
    return await session.scalar(statement) is not None


async def move_on(
    session: AsyncSession, backfill_id: str, position: datetime, rows: int, stored: int, now: datetime
) -> bool:
    """Say how far a running backfill came; return whether it is still to go on."""
    row = BackfillRow
    statement = (
        update(row)
        .where(row.backfill_id == backfill_id, row.state == BackfillState.RUNNING.value)
        .values(position_ts=position, rows=row.rows + rows, stored=row.stored + stored, updated_at=now)
        .returning(row.backfill_id)
    )
    return await session.scalar(statement) is not None


def _backfill(row: BackfillRow) -> Backfill:
    whole = (row.end_ts - row.start_ts).total_seconds()
    done = (min(row.position_ts, row.end_ts) - row.start_ts).total_seconds()
    return Backfill.model_validate(
        {
            "backfill_id": row.backfill_id,
            "source": row.source,
            "symbol": row.symbol,
            "interval": row.interval,
            "start": row.start_ts,
            "end": row.end_ts,
            "reason": row.reason,
            "state": row.state,
            "position": row.position_ts,
            "progress": 1.0 if row.state == BackfillState.DONE.value else done / whole,
            "rows": row.rows,
            "stored": row.stored,
            "error": row.error,
            "requested_by": row.requested_by,
            "created_at": row.created_at,
            "updated_at": row.updated_at,
        }
    )
