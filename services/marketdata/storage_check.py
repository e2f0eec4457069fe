"""Which database serves, for `/readyz`: TimescaleDB with what edition, or plain PostgreSQL."""

from sqlalchemy.exc import ProgrammingError

from services.marketdata import store
from shared.database import UNAVAILABLE, Database
from shared.health import Well


async def storage_check(database: Database) -> str | Well:
    """Tell what the tables were made as, or why that can no longer be served."""
    try:
        async with database.session() as session:
            made = await store.made_as(session)
            serving = await store.serves(session)
            server, extension = await store.versions(session)
    except ProgrammingError:
        return "not migrated; run `keelson migrate`"
    except UNAVAILABLE:
        return "PostgreSQL does not answer"
    if (made.aggregates and not serving.aggregates) or (made.hypertables and not serving.hypertables):
        return f"made as {made}, and served by {serving}: roll-ups are not worked out"
    return Well(f"{made} {extension}" if made.hypertables and extension else f"{made} {server}")
