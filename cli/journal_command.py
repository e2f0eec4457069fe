"""`keelson journal`: risk's journal without any service."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy.exc import DBAPIError

from cli.client import error_console
from cli.database import NotOwnDatabaseError, readable_database
from cli.journal.export import ExportError, export
from cli.journal.prove import Proof, Signed, prove, read_signed
from cli.journal.sources import DatabaseSource, ExportSource, Source, UnreadableRowError
from cli.paths import var_folder
from cli.supervisor.checkpoints import (
    CHECKPOINT_FILE,
    CHECKPOINT_KEY_FILE,
    checkpoint_file,
    checkpoint_key,
    public_half,
)
from cli.supervisor.lock import AlreadyRunningError
from cli.supervisor.storage import DATABASE
from services.risk.signing import SigningKeyError, create_signing_key, load_public_key
from shared.database import Database
from shared.embedded import EmbeddedServerError
from shared.schemas.base import format_utc

journal = typer.Typer(help="Risk's journal without any service.", no_args_is_help=True, add_completion=False)
console = Console(highlight=False)
_COULD_NOT_RUN = (
    OSError,
    ValueError,
    DBAPIError,
    SigningKeyError,
    AlreadyRunningError,
    NotOwnDatabaseError,
    EmbeddedServerError,
)

_Database = Annotated[
    str | None, typer.Option("--database", help=f"URL of the database; {DATABASE} or this folder's own by default.")
]


@journal.command()
def verify(
    database: _Database = None,
    exported: Annotated[
        list[Path] | None, typer.Option("--export", help="Read this export instead; may be repeated, in order.")
    ] = None,
    checkpoints: Annotated[
        Path | None, typer.Option(help=f"File of checkpoints; {CHECKPOINT_FILE} or this folder's own by default.")
    ] = None,
    public_key: Annotated[
        list[Path] | None, typer.Option(help="Public key that proves them; may be repeated; this folder's by default.")
    ] = None,
    newest: Annotated[
        int, typer.Option(min=0, help="Newest checkpoint's number as known from elsewhere, such as a log line.")
    ] = 0,
) -> None:
    """Prove the journal by its chain and its signed checkpoints: exit 0 sound, 1 bad, 2 where it could not run."""
    if database is not None and exported:
        raise typer.BadParameter("name a database or exports, not both", param_hint="--export")
    path = checkpoints or _named(CHECKPOINT_FILE) or checkpoint_file(var_folder())
    key_file = _named(CHECKPOINT_KEY_FILE) or checkpoint_key(var_folder())
    try:
        loaded = [load_public_key(file) for file in public_key or [public_half(key_file)]]
        keys = {key.key_id: key for key in loaded}
        # Before the journal: what is added to both meanwhile must not look cut.
        signed = read_signed(path, keys, newest)

        async def run() -> Proof:
            async with _source(database, exported) as source:
                last = signed.newest.journal_seq if signed.newest else 0
                with _progress("rows", max(last, await source.recorded() or 0)) as moved:
                    return await prove(source, path, keys, signed, moved)

        proof = asyncio.run(run())
    except _COULD_NOT_RUN as error:
        _fail(error, 2)
    _tell(signed, proof)
    raise typer.Exit(1 if proof.findings else 0)


@journal.command("export")
def export_command(
    file: Annotated[Path, typer.Option(help="File to write, a row on each line; one that is there is carried on.")],
    after: Annotated[
        int | None, typer.Option(min=0, help="Begin after this row; by default after the last one of the file.")
    ] = None,
    database: _Database = None,
) -> None:
    """Write the journal to a file that `verify --export` reads; run it again to carry on."""

    async def run() -> tuple[int, int]:
        async with _source(database, None) as source:
            with _progress("rows", await source.recorded() or 0) as moved:
                return await export(source, file, after, moved)

    try:
        begin, last = asyncio.run(run())
    except (*_COULD_NOT_RUN, ExportError, UnreadableRowError) as error:
        _fail(error, 1)
    told = f"rows {begin + 1} to {last} written to {file}" if last > begin else f"{file}: nothing after row {begin}"
    console.print(told, markup=False, soft_wrap=True)


@journal.command("create-key")
def create_key(
    file: Annotated[Path, typer.Argument(help="New file of the private key, mode 0600; FILE.pub gets the public one.")],
) -> None:
    """Make the key that signs checkpoints; show its public half, never the private one."""
    try:
        made = create_signing_key(file)
        public_half(file).write_text(made.pem(), encoding="ascii")
    except FileExistsError:
        _fail(FileExistsError(f"{file} exists; name another file"), 1)
    except OSError as error:
        _fail(error, 1)
    error_console.print(f"key {made.key_id} written to {file}, its public half to {public_half(file)}:", markup=False)
    typer.echo(made.pem(), nl=False)


@asynccontextmanager
async def _source(database: str | None, exported: list[Path] | None) -> AsyncIterator[Source]:
    if exported:
        yield ExportSource(exported)
        return
    with readable_database(database or os.environ.get(DATABASE)) as url:
        opened = Database(url, application_name="journal", pool_size=1)
        try:
            yield DatabaseSource(opened)
        finally:
            await opened.dispose()


@contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=error_console, transient=True, disable=not error_console.is_terminal) as progress:
        task = progress.add_task(what, total=total or None)
        yield lambda done: progress.update(task, completed=done)


def _tell(signed: Signed, proof: Proof) -> None:
    if signed.torn:
        told = f"note: the line after checkpoint {signed.count} is torn, as a crash leaves it; it is ignored"
        error_console.print(told, style="yellow", soft_wrap=True)
    for finding in proof.findings:
        error_console.print("[red]bad[/red]:", end=" ")
        error_console.print(str(finding), markup=False, soft_wrap=True)
    if not proof.findings:
        console.print(f"the journal is sound: {proof.tip.seq} rows, to {proof.tip.hash}", soft_wrap=True)
    agreed = proof.agreed
    if agreed is not None:
        console.print(
            f"signed up to row {agreed.journal_seq}, by checkpoint {agreed.number} of {format_utc(agreed.ts)}",
            soft_wrap=True,
        )


def _named(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value) if value else None


def _fail(error: Exception, code: int) -> NoReturn:
    text = str(error.orig if isinstance(error, DBAPIError) and error.orig else error).strip()
    error_console.print("[red]error[/red]:", end=" ")
    error_console.print(text.splitlines()[0] if text else type(error).__name__, markup=False, soft_wrap=True)
    raise typer.Exit(code)
