"""The history of accounts, page by page."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from services.risk import store
from shared.pagination import decode_cursor, encode_cursor
from shared.problems import NotFound, Unprocessable
from shared.schemas.base import Page
from shared.schemas.history import PortfolioPoint, RiskPoint
from shared.windows import Window

_Point = TypeVar("_Point", PortfolioPoint, RiskPoint)
_List = Callable[[AsyncSession, str, Window, tuple[datetime, int] | None, int], Awaitable[list[_Point]]]


async def list_portfolios(
    session: AsyncSession, account_id: str, window: Window, cursor: str | None, limit: int
) -> Page[PortfolioPoint]:
    """Return what an account held and was worth, oldest first. Raises Problem."""
    return await _page(store.list_portfolios, session, account_id, window, cursor, limit)


async def list_risks(
    session: AsyncSession, account_id: str, window: Window, cursor: str | None, limit: int
) -> Page[RiskPoint]:
    """Return how an account stood against its limits, oldest first. Raises Problem."""
    return await _page(store.list_risks, session, account_id, window, cursor, limit)


async def require_account(session: AsyncSession, account_id: str) -> None:
    """Raise NotFound for an account that was never opened; a replica that stands by can tell too."""
    if not await store.is_opened(session, account_id):
        raise NotFound(f"account {account_id} does not exist")


async def _page(
    read: _List[_Point], session: AsyncSession, account_id: str, window: Window, cursor: str | None, limit: int
) -> Page[_Point]:
    start, end = window
    if start is not None and end is not None and end <= start:
        raise Unprocessable("The end must lie after the start")
    place = decode_cursor(cursor, ts=datetime, seq=int) if cursor is not None else None
    after = (place["ts"], place["seq"]) if place else None
    await require_account(session, account_id)
    found = await read(session, account_id, window, after, limit + 1)
    if len(found) <= limit:
        return Page(items=found)
    last = found[limit - 1]
    return Page(items=found[:limit], next_cursor=encode_cursor({"ts": last.ts, "seq": last.journal_seq}))
