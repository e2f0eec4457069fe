"""Market states: spot prices and option chains, each as it was sent."""

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.marketdata.core.states import EarlierState
from services.marketdata.models import MarketStateRow
from services.marketdata.store.origin import Origin
from shared.schemas.base import Severity
from shared.schemas.marketdata import MarketState, QualityIssue, StoredMarketState
from shared.windows import Window, page_of


async def earlier_state(
    session: AsyncSession, origin: Origin, symbol: str, before: datetime | None
) -> EarlierState | None:
    """Return the newest state of a symbol before a moment, or of all where none is given."""
    query = (
        select(MarketStateRow.spot_price, MarketStateRow.content_hash)
        .where(
            MarketStateRow.scope == origin.scope,
            MarketStateRow.symbol == symbol,
            MarketStateRow.source == origin.source,
            MarketStateRow.ts.is_not(None),
        )
        .order_by(MarketStateRow.ts.desc())
        .limit(1)
    )
    if before is not None:
        query = query.where(MarketStateRow.ts < before)
    row = (await session.execute(query)).first()
    return EarlierState(row.spot_price, row.content_hash) if row else None


async def put_state(
    session: AsyncSession,
    origin: Origin,
    market_state_id: str,
    state: MarketState,
    content: str,
    verdict: tuple[Severity, list[QualityIssue]],
) -> bool:
    """Store a state; return whether it is new."""
    severity, issues = verdict
    row: dict[str, Any] = {
        "market_state_id": market_state_id,
        "scope": origin.scope,
        "source": origin.source,
        "symbol": state.symbol,
        "ts": state.timestamp,
        "spot_price": state.spot_price,
        "total_call_oi": state.total_call_oi,
        "total_put_oi": state.total_put_oi,
        "option_chain": None
        if state.option_chain is None
        else [quote.model_dump(mode="json", exclude_none=True) for quote in state.option_chain],
        "content_hash": content,
        "severity": severity.value,
        "issues": [issue.model_dump(mode="json") for issue in issues],
        "ts_init": origin.ts_init,
    }
    statement = upsert(MarketStateRow).values(row).on_conflict_do_nothing().returning(MarketStateRow.market_state_id)
    return await session.scalar(statement) is not None


async def list_states(
    session: AsyncSession,
    scope: str,
    symbol: str,
    window: Window,
    after: tuple[datetime, str] | None,
    limit: int,
) -> list[StoredMarketState]:
    """Return states of a symbol from a start until before an end, oldest first; those without a time are left out."""
    chosen = select(MarketStateRow).where(
        MarketStateRow.scope == scope, MarketStateRow.symbol == symbol, MarketStateRow.ts.is_not(None)
    )
    query = page_of(chosen, (MarketStateRow.ts, MarketStateRow.market_state_id), window, after, limit)
    return [_stored_state(row) for row in await session.scalars(query)]


async def get_state(session: AsyncSession, market_state_id: str) -> StoredMarketState | None:
    """Return a state by its id."""
    row = await session.get(MarketStateRow, market_state_id)
    return _stored_state(row) if row else None


async def current_state(session: AsyncSession, scope: str, symbol: str) -> StoredMarketState | None:
    """Return the newest state that is not critical."""
    query = (
        select(MarketStateRow)
        .where(
            MarketStateRow.scope == scope,
            MarketStateRow.symbol == symbol,
            MarketStateRow.severity != Severity.CRITICAL.value,
        )
        .order_by(MarketStateRow.ts.desc())
        .limit(1)
    )
    row = await session.scalar(query)
    return _stored_state(row) if row else None


def _stored_state(row: MarketStateRow) -> StoredMarketState:
    values = {name: getattr(row, name) for name in StoredMarketState.model_fields if hasattr(row, name)}
    return StoredMarketState.model_validate({**values, "timestamp": row.ts, "simulation_id": row.scope or None})
