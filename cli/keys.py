"""`keelson keys`: the file of API keys."""

import os
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Table

from cli.client import error_console
from cli.paths import var_folder
from shared.api_keys import KeyFileError, create_key, list_keys, revoke_key
from shared.roles import Role
from shared.schemas.base import Identifier

keys = typer.Typer(help="Create, list and revoke API keys.", no_args_is_help=True, add_completion=False)

_File = Annotated[
    Path | None,
    typer.Option("--file", help="File of hashed keys; TRADING_API_KEYS_FILE or that of this folder by default."),
]


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="Whom the key is for.")],
    role: Annotated[Role, typer.Option(help="What its holder may do.")],
    file: _File = None,
    out: Annotated[Path | None, typer.Option(help="Write the key to this new file, mode 0600; print it not.")] = None,
) -> None:
    """Create a key and show it, this once."""
    try:
        TypeAdapter(Identifier).validate_python(name)
    except ValueError:
        raise typer.BadParameter(
            "a name has at most 64 letters, digits, '.', '_', ':' and '-', and begins with a letter or digit",
            param_hint="NAME",
        ) from None
    if out is not None and out.exists():
        _fail(f"{out} exists; name another file")
    try:
        token = create_key(_path(file), name, role)
    except (KeyFileError, OSError) as error:
        _fail(str(error))
    if out is None:
        error_console.print(f"key of {name} ({role}), shown only this once:", markup=False)
        typer.echo(token)
        return
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as written:
            written.write(token + "\n")
    except OSError as error:
        # A key nobody can ever see is of no use to anybody.
        revoke_key(_path(file), name)
        _fail(f"{out} cannot be written ({error.strerror}); no key was made")
    typer.echo(f"key of {name} ({role}) written to {out}")


@keys.command("list")
def list_command(file: _File = None) -> None:
    """List the keys: names, roles and ids, never the keys."""
    try:
        known = list_keys(_path(file))
    except KeyFileError as error:
        _fail(str(error))
    table = Table("name", "role", "id", "created")
    for key in known:
        table.add_row(key.name, key.role.value, key.key_id, f"{key.created_at:%Y-%m-%d %H:%M:%SZ}")
    Console().print(table if known else f"no keys in {_path(file)}", soft_wrap=not known, markup=False)


@keys.command()
def revoke(name: Annotated[str, typer.Argument(help="Whose key.")], file: _File = None) -> None:
    """Revoke a key; services refuse it within a second."""
    try:
        found = revoke_key(_path(file), name)
    except (KeyFileError, OSError) as error:
        _fail(str(error))
    if not found:
        _fail(f"there is no key named {name} in {_path(file)}")
    typer.echo(f"revoked: {name}")


def _path(file: Path | None) -> Path:
    named = os.environ.get("TRADING_API_KEYS_FILE")
    return file or (Path(named) if named else var_folder() / "keys" / "api-keys.json")


def _fail(message: str) -> NoReturn:
    error_console.print("[red]error[/red]:", end=" ")
    error_console.print(message, markup=False, soft_wrap=True)
    raise typer.Exit(1)
