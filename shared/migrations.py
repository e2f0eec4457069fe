"""Alembic, one history and one schema for each service."""

from functools import cache
from importlib import import_module
from pathlib import Path

from alembic import command, context
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, create_engine, pool, text
from sqlalchemy.exc import ProgrammingError

from shared.database import Database

SERVICES = ("risk", "marketdata", "ml", "reporting")


def upgrade(service: str, database_url: str) -> None:
    """Bring a service's schema to the newest revision; several at once wait for each other."""
    config = _config(service)
    config.attributes["database_url"] = database_url
    command.upgrade(config, "head")


@cache
def head(service: str) -> str:
    """Return the newest revision of a service's schema."""
    revision = ScriptDirectory.from_config(_config(service)).get_current_head()
    if revision is None:
        raise RuntimeError(f"{service} has no migrations")
    return revision


async def schema_problem(service: str, database: Database) -> str | None:
    """Tell why a service's tables are not those its code needs, or None if they are. Raises UNAVAILABLE."""
    try:
        async with database.engine.connect() as connection:
            revision = await connection.scalar(text(f"SELECT version_num FROM {service}.alembic_version"))  # noqa: S608
    except ProgrammingError:
        return "not migrated; run `keelson migrate`"
    if revision != head(service):
        return f"at revision {revision}, this code needs {head(service)}; run `keelson migrate`"
    return None


def run_env(service: str, metadata: MetaData) -> None:
    """Run a migration: the body of each service's `env.py`."""
    if context.is_offline_mode():
        raise RuntimeError("migrations run against a database only")
    engine = create_engine(context.config.attributes["database_url"], poolclass=pool.NullPool)
    with engine.connect() as connection:
        # Two deploys at once must not both create the tables. The lock falls with the connection, as a migration
        # may end its transaction: TimescaleDB makes aggregates outside of any.
        connection.execute(text("SELECT pg_advisory_lock(hashtext(:name))"), {"name": f"keelson.{service}"})
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {service}"))
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=metadata,
            version_table_schema=service,
            include_schemas=True,
            include_name=lambda name, kind, _: kind != "schema" or name == service,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


def _config(service: str) -> Config:
    package = import_module(f"services.{service}")
    config = Config()
    config.set_main_option("script_location", str(Path(str(package.__file__)).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config
