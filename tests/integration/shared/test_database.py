"""How a service's connections are set, whatever the server's own defaults."""

import pytest
from sqlalchemy import text

from shared.database import Database

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
