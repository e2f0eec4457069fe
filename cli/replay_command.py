"""`keelson replay`: recorded market data through the whole suite."""

import json
import os
import secrets
import shlex
import signal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.client import Api, CommandError, api_client, error_console, reporting_errors
from cli.paths import var_folder
from cli.replay.counts import total
from cli.replay.driver import Outcome, Plan, Replay
from cli.replay.names import fresh_simulation_id, simulation_id_problem
from cli.replay.progress import Progress
from cli.replay.rest import RestSuite
from cli.supervisor.lock import holder
from cli.training.sample import SAMPLE
from services.marketdata.formats.dataset import Dataset, FormatError
from services.marketdata.formats.discover import discover, preferred
from shared.clock import SystemClock
from shared.roles import Role

_INTERRUPTED = 130


def replay_command(
    speed: Annotated[float, typer.Option(min=0.1, help="Times faster than real time; nights pass in a second.")] = 600,
    once: Annotated[bool, typer.Option("--once", help="As fast as possible.")] = False,
    data: Annotated[Path, typer.Option(help="Folder of market data; the bundled sample by default.")] = SAMPLE,
    simulation_id: Annotated[
        str | None, typer.Option(help="Name of the run; a known one is resumed, and sends nothing twice.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Replay this dataset alone; may be repeated.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
    url: Annotated[str | None, typer.Option(help="Where the suite answers; the running one by default.")] = None,
    token_file: Annotated[Path | None, typer.Option(help="File with the bearer token of a service.")] = None,
) -> None:
    """Replay market data: ingest, signals, scores, risk decisions, simulated fills, ledger and roll-ups."""
    name = simulation_id or fresh_simulation_id(SystemClock().now(), secrets.token_hex(2))
    problem = simulation_id_problem(name)
    if problem:
        raise typer.BadParameter(problem, param_hint="--simulation-id")
    plan = Plan(_datasets(data, only or []), name, None if once else speed)
    if once and url is None and not os.environ.get("KEELSON_URL") and holder(var_folder()) is None:
        from cli.replay_suite import replay_in_own_suite

        raise typer.Exit(replay_in_own_suite(_arguments(data, name, only or [], as_json=as_json)))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with reporting_errors(), api_client(url, token_file, role=Role.SERVICE) as client:
        progress = Progress(Console(stderr=as_json))
        replay = Replay(plan, RestSuite(Api(client, notice=progress.notice), name), progress)
        again = resume_command(plan, data, only or [], url, token_file)
        outcome = _run(replay, progress, again)
    _show(name, outcome, as_json=as_json)
    if outcome.not_compared:
        error_console.print(outcome.not_compared, style="yellow", markup=False, soft_wrap=True)
    for line in outcome.differences:
        error_console.print(f"[red]differs[/red]: {escape(line)}", soft_wrap=True)
    raise typer.Exit(1 if outcome.differences else 0)


def _run(replay: Replay, progress: Progress, again: str) -> Outcome:
    plan = replay.plan
    progress.notice(f"replaying {', '.join(dataset.name for dataset in plan.datasets)} as {plan.simulation_id}")
    try:
        with progress:
            return replay.run()
    except KeyboardInterrupt:
        _stopped(replay, "stopped", again)
        raise typer.Exit(_INTERRUPTED) from None
    except (CommandError, FormatError) as error:
        _stopped(replay, f"failed: {error}", again)
        raise typer.Exit(1) from None


def _arguments(data: Path, name: str, only: list[str], *, as_json: bool) -> list[str]:
    named = [argument for dataset in only for argument in ("--only", dataset)]
    return ["--once", "--data", str(data.resolve()), "--simulation-id", name, *named, *(["--json"] if as_json else [])]


def _stopped(replay: Replay, why: str, again: str) -> None:
    sent = total(lane.tally for lane in replay.lanes)
    error_console.print(f"[red]{escape(why)}[/red]", soft_wrap=True)
    error_console.print(
        f"sent so far: {sent.bars} bars, {sent.states} states, "
        f"{sent.approved + sent.denied} orders, {sent.fills} fills",
        soft_wrap=True,
    )
    error_console.print(f"resume with: {again}", markup=False, soft_wrap=True)


def resume_command(plan: Plan, data: Path, only: list[str], url: str | None, token_file: Path | None) -> str:
    """Return the command that goes on with this very run: the same records, at the same pace, to the same suite."""
    words = ["keelson", "replay", *(["--once"] if plan.speed is None else ["--speed", str(plan.speed)])]
    words += [] if data == SAMPLE else ["--data", str(data)]
    words += [word for name in only for word in ("--only", name)]
    words += ["--url", url] if url else []
    words += ["--token-file", str(token_file)] if token_file else []
    return shlex.join([*words, "--simulation-id", plan.simulation_id])


def _datasets(data: Path, only: list[str]) -> list[Dataset]:
    try:
        found = preferred(discover(data))
    except FormatError as error:
        error_console.print(f"[red]error[/red]: {escape(str(error))}", soft_wrap=True)
        raise typer.Exit(1) from None
    unknown = set(only) - {dataset.name for dataset in found}
    if unknown:
        there = ", ".join(dataset.name for dataset in found)
        raise typer.BadParameter(f"no dataset {', '.join(sorted(unknown))}; there are {there}", param_hint="--only")
    return [dataset for dataset in found if not only or dataset.name in only]


def _show(name: str, outcome: Outcome, *, as_json: bool) -> None:
    rate = outcome.records / outcome.seconds if outcome.seconds else 0.0
    if as_json:
        told = {
            "simulation_id": name,
            "counts": outcome.counts,
            "differences": outcome.differences,
            "seconds": round(outcome.seconds, 3),
            "records_per_second": round(rate, 1),
        }
        typer.echo(json.dumps(told, indent=2))
        return
    table = Table(title=f"replay {name}", show_header=False)
    for key, value in outcome.counts.items():
        table.add_row(key.replace("_", " "), _text(value))
    console = Console()
    console.print(table)
    console.print(f"{outcome.records:,} records in {outcome.seconds:.1f} s ({rate:,.0f} records/s)", highlight=False)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{key} {entry}" for key, entry in value.items()) or "none"
    return str(value)
