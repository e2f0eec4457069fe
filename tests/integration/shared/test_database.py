"""How a service's connections are set, whatever the server's own defaults."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from shared.database import UNAVAILABLE, Database, _Connection

pytestmark = pytest.mark.integration
WANTED = {
    "timezone": "UTC",
    "synchronous_commit": "on",
    "statement_timeout": "8s",
    "idle_in_transaction_session_timeout": "1min",
    # On by default; where the server has LLVM, one correction of one bar took more than a second with it.
    "jit": "off",
}


async def test_what_a_connection_is_set_to(database_url: str) -> None:
    database = Database(database_url, application_name="test")
    try:
        async with database.session() as session:
            found = {
                name: await session.scalar(text("SELECT current_setting(:name)"), {"name": name}) for name in WANTED
            }
    finally:
        await database.dispose()
    assert found == WANTED


async def test_a_statement_that_may_take_long_is_waited_for(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.database._PATIENCE", timedelta(seconds=0.5))
    monkeypatch.setattr(_Connection, "patience", timedelta(seconds=0.5))
    database = Database(database_url, application_name="test", pool_size=1)
    try:
        async with database.autocommit(timedelta(seconds=20)) as connection:
            served_by = await connection.scalar(text("SELECT pg_backend_pid() FROM pg_sleep(1.5)"))
        # The same connection, lent to the next: it is as it was.
        async with database.session() as session:
            assert await session.scalar(text("SELECT pg_backend_pid()")) == served_by
        with pytest.raises(UNAVAILABLE, match=r"silent for 0\.5 s"):
            async with database.session() as session:
                await session.execute(text("SELECT pg_sleep(5)"))
        with pytest.raises(UNAVAILABLE, match="statement timeout"):
            async with database.autocommit(timedelta(seconds=1)) as connection:
                await connection.execute(text("SELECT pg_sleep(5)"))
    finally:
        await database.dispose()
