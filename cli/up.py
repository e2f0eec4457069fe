"""`keelson up` and `keelson down`: the whole suite on this machine."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from cli.paths import var_folder
from cli.supervisor.children import ChildFailedError
from cli.supervisor.lock import AlreadyRunningError, holder
from cli.supervisor.run import StartError, StoppedError, Suite
from services.risk.signing import SigningKeyError
from shared.api_keys import KeyFileError
from shared.embedded import EmbeddedServerError
from shared.settings import SettingsError

_DOWN_SECONDS = 60
_FAILURES = (ChildFailedError, EmbeddedServerError, KeyFileError, SettingsError, SigningKeyError, StartError, OSError)
console = Console(highlight=False)


def up(
    port: Annotated[
        int, typer.Option(envvar="PORT", min=0, max=65535, help="Port of everything; 0 takes a free one.")
    ] = 8080,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    speed: Annotated[float, typer.Option(min=0.1, help="Replay this many times faster than it happened.")] = 600,
    data: Annotated[Path | None, typer.Option(help="Replay this folder instead of the bundled sample.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Replay as fast as possible, then stop everything.")] = False,
    replay: Annotated[bool, typer.Option(help="Replay market data through the suite.")] = True,
) -> None:
    """Start the whole suite, replay market data through it, and keep it running until Ctrl-C."""
    started = time.monotonic()
    try:
        suite = Suite(var_folder(), host, port, lambda told: console.print(told, markup=False, soft_wrap=True))
    except (AlreadyRunningError, StartError, OSError) as error:
        _complain(error)
        raise typer.Exit(1) from None
    code = 0
    try:
        _summary(suite, suite.start(), time.monotonic() - started)
        code = _work(suite, speed, data, once=once, replay=replay)
    except StoppedError:
        console.print("stopping")
    except _FAILURES as error:
        _complain(error)
        code = 1
    finally:
        suite.stop()
    console.print("stopped")
    raise typer.Exit(code)


def down() -> None:
    """Stop the suite that runs from this folder."""
    pid = holder(var_folder())
    if pid is None:
        console.print("nothing runs from this folder")
        return
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _DOWN_SECONDS
    while holder(var_folder()) is not None:
        if time.monotonic() > deadline:
            console.print(f"[red]process {pid} has not stopped after {_DOWN_SECONDS} s[/red]")
            raise typer.Exit(1)
        time.sleep(0.1)
    console.print("stopped")


def _complain(error: Exception) -> None:
    # What it quotes is not ours: a path or a log line may look like markup.
    console.print(str(error), style="red", markup=False, soft_wrap=True)


def _summary(suite: Suite, states: dict[str, dict[str, str | None]], seconds: float) -> None:
    table = Table(Column("service"), Column("URL", no_wrap=True), Column("state"), Column("needs"), box=None)
    for service, dependencies in states.items():
        listed = ", ".join(f"{name} {detail or 'ok'}" for name, detail in dependencies.items())
        table.add_row(service, f"{suite.url}/api/v1/{service}", "[green]ready[/green]", listed)
    table.add_row("dashboard", f"{suite.url}/", "[green]ready[/green]", "")
    console.print(table)
    console.print(f"ready in {seconds:.1f} s; Ctrl-C stops everything")
    if suite.keys is None:
        return
    console.print(f"admin key: {suite.keys.admin}", markup=False, soft_wrap=True)
    if suite.keys.new_admin_key:
        console.print(
            f"made just now, kept in that file and not shown again: {suite.keys.new_admin_key}", soft_wrap=True
        )
    elif not suite.keys.admin.exists():
        console.print("that file is gone; make another key: .venv/bin/keelson keys create NAME --role admin")


def _work(suite: Suite, speed: float, data: Path | None, *, once: bool, replay: bool) -> int:
    if replay:
        folder = ["--data", str(data.resolve())] if data else []
        code = suite.wait(suite.job("train", "--if-missing"))
        if code == 0:
            pace = ["--once"] if once else ["--speed", str(speed)]
            code = suite.wait(suite.job("replay", *pace, *folder))
        if once:
            return code
        console.print("the replay has ended" if code == 0 else f"[red]the replay failed with exit code {code}[/red]")
    if not once:
        console.print(f"serving at {suite.url}/ until Ctrl-C")
        suite.wait()
    return 0
