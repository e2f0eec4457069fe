"""The ledger's tables, reached without a service around them."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.reporting import handlers
from services.reporting.core.journal import JournalRow
from services.reporting.state import ledger_state
from services.reporting.worker import Progress
from shared.database import Database
from tests.harness import plain
from tests.unit.reporting.test_core import decided, entry, filled

pytestmark = pytest.mark.integration
NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    found = Database(database_url, application_name="test")
    yield found
    await found.dispose()


async def take(database: Database, rows: list[JournalRow]) -> None:
    async with database.session() as session:
        before = await handlers.position(session, 0)
        assert await handlers.apply(session, 0, before, rows, NOW) is not None


def page_of(seq: int) -> list[JournalRow]:
    """An approval and its fill."""
    approved = entry("ORDER_APPROVED", decided("APPROVED"), seq)
    return [approved, entry("FILL_APPLIED", filled("BUY", "1", "1", trade_id=f"t{seq}"), seq + 1, approved.hash)]


async def test_totals_never_mix_what_was_before_a_page_with_what_was_after_it(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(plain(database_url), autocommit=True) as connection:
        connection.execute("INSERT INTO reporting.account (account_id, currency) VALUES ('main', 'USD')")
    await take(database, page_of(1))
    pages = 1
    execute = AsyncSession.execute

    async def interrupted(session: AsyncSession, *arguments: Any, **options: Any) -> Any:
        nonlocal pages
        found = await execute(session, *arguments, **options)
        if session is reading:
            # A worker takes a page between any two statements of the answer.
            await take(database, page_of(2 * pages + 1))
            pages += 1
        return found

    monkeypatch.setattr(AsyncSession, "execute", interrupted)
    async with database.session() as reading:
        counts = await handlers.counts(reading, None)
        assert pages > 2
        assert (counts.approved, counts.trades) == (1, 1)
    before = pages
    async with database.session() as reading:
        state = await ledger_state(reading, [Progress()])
        assert pages > before
        assert (state.cursor, state.trades) == (2 * before, before)
    # The next one sees what came since, and a connection goes back to the pool as it was.
    async with database.session() as session:
        assert (await handlers.counts(session, None)).trades == pages
    async with database.session() as session:
        assert await session.scalar(text("SHOW transaction_isolation")) == "read committed"
