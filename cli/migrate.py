"""`keelson migrate`: bring the database to the schema this code needs."""

import os
from typing import Annotated

import typer
from rich.console import Console
from sqlalchemy import create_engine, pool, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from cli.client import error_console
from cli.database import named_database
from cli.supervisor.lock import AlreadyRunningError
from cli.supervisor.storage import DATABASE
from shared.embedded import EmbeddedServerError
from shared.migrations import SERVICES, upgrade


def migrate(
    service: Annotated[list[str] | None, typer.Option(help="This service alone; may be repeated.")] = None,
) -> None:
    """Bring each service's tables to the newest revision, and say from which to which.

    The database is that of TRADING_DATABASE_URL, or this folder's own one, which is started for it.
    """
    chosen = service or list(SERVICES)
    unknown = sorted(set(chosen) - set(SERVICES))
    if unknown:
        raise typer.BadParameter(
            f"no service {', '.join(unknown)}; there are {', '.join(SERVICES)}", param_hint="--service"
        )
    try:
        with named_database(os.environ.get(DATABASE)) as url:
            for name in chosen:
                before = _revision(name, url)
                upgrade(name, url)
                after = _revision(name, url)
                told = f"at {after}, nothing to do" if before == after else f"{before or 'nothing'} -> {after}"
                Console(highlight=False).print(f"{name}: {told}")
    except (OperationalError, EmbeddedServerError, AlreadyRunningError, ValueError, OSError) as error:
        first = str(error.orig if isinstance(error, OperationalError) and error.orig else error).strip()
        error_console.print("[red]error[/red]:", end=" ")
        error_console.print(first.splitlines()[0] if first else type(error).__name__, markup=False, soft_wrap=True)
        raise typer.Exit(1) from None


def _revision(service: str, url: str) -> str | None:
    engine = create_engine(url, poolclass=pool.NullPool)
    try:
        with engine.connect() as connection:
            found = connection.scalar(text(f"SELECT version_num FROM {service}.alembic_version"))  # noqa: S608
            return None if found is None else str(found)
    except ProgrammingError:
        return None
    finally:
        engine.dispose()
