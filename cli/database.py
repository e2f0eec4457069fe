"""The database of a command that needs no service: a named one, or this folder's own, started for it."""

from collections.abc import Iterator
from contextlib import contextmanager

from cli.paths import var_folder
from cli.supervisor.lock import AlreadyRunningError, Lock, holder
from cli.supervisor.storage import DATABASE
from shared.embedded import EmbeddedPostgres, running_url

_PREFIXES = ("postgresql+psycopg://", "postgresql://", "postgres://")


class NotOwnDatabaseError(Exception):
    """The suite runs, and not on a database of this folder."""


@contextmanager
def named_database(named: str | None) -> Iterator[str]:
    """Yield the URL of a database with its driver; None is this folder's own.

    Raises ValueError for another scheme, AlreadyRunningError where the suite has the folder, EmbeddedServerError.
    """
    if named is not None:
        prefix = next((prefix for prefix in _PREFIXES if named.startswith(prefix)), None)
        if prefix is None:
            raise ValueError(f"{DATABASE} must start with postgresql+psycopg:// or postgresql://")
        yield "postgresql+psycopg://" + named.removeprefix(prefix)
        return
    var = var_folder()
    # Two servers must not share one folder.
    if holder(var) is not None:
        raise AlreadyRunningError("the suite already runs from this folder: its database is migrated, and in use")
    lock = Lock(var)
    lock.acquire()
    server = EmbeddedPostgres(var / "postgres", log_file=var / "logs" / "postgres.log")
    try:
        yield server.start()
    finally:
        server.stop()
        lock.release()


@contextmanager
def readable_database(named: str | None) -> Iterator[str]:
    """Yield the URL of a database that is only read: as `named_database`, and that of the running suite beside it.

    Raises also NotOwnDatabaseError where the suite runs on a database that this folder does not know.
    """
    var = var_folder()
    if named is not None or holder(var) is None:
        with named_database(named) as url:
            yield url
        return
    running = running_url(var / "postgres")
    if running is None:
        raise NotOwnDatabaseError(
            f"the suite of this folder starts, stops, or runs on another database: name that with {DATABASE}"
        )
    yield running
