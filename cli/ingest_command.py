"""`keelson ingest`: a folder of market data into a running suite."""

import json
import shlex
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from cli.client import Api, CommandError, api_client, error_console, reporting_errors
from cli.ingest.batches import Limits
from cli.ingest.positions import Positions
from cli.ingest.progress import Progress, final_table
from cli.ingest.run import Ending, Ingest, Lane, Plan, total
from cli.paths import var_folder
from cli.replay.names import simulation_id_problem
from services.marketdata.formats.dataset import AnyRecord, Dataset, FormatError
from services.marketdata.formats.discover import discover_all, left_alone
from shared.roles import Role
from shared.schemas.market_events import MOST_ROWS

_INTERRUPTED = 130
_MOST_NAMED = 10
# The front lets a service work on an answer for 35 s.
_ANSWER_SECONDS = 60.0
# Whoever reads a file or a pipe is not bound to the width of a terminal.
_PLAIN_WIDTH = 140


def ingest_command(
    folder: Annotated[Path, typer.Argument(help="Folder of market data.")],
    only: Annotated[list[str] | None, typer.Option(help="Take this dataset alone; may be repeated.")] = None,
    simulation_id: Annotated[
        str | None, typer.Option(help="Keep the rows away from live ones, under this name.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop a dataset at its first bad row instead of leaving the row out.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Send all from the beginning, whatever a run that was ended had sent.")
    ] = False,
    batch_rows: Annotated[
        int | None, typer.Option(min=1, max=MOST_ROWS, help="Most rows of one request; as many as fit by default.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the datasets and send nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what became of the rows as JSON.")] = False,
    url: Annotated[str | None, typer.Option(help="Where the suite answers; the running one by default.")] = None,
    token_file: Annotated[Path | None, typer.Option(help="File with the bearer token of a service.")] = None,
) -> None:
    """Take a folder of market data in: bars, option chains, trades, books, funding rates. It may be done again."""
    problem = simulation_id_problem(simulation_id) if simulation_id else None
    if problem:
        raise typer.BadParameter(problem, param_hint="--simulation-id")
    datasets = _datasets(folder, only or [])
    if dry_run:
        _list(datasets, as_json=as_json)
        return
    plan = Plan(datasets, simulation_id, strict)
    started = time.monotonic()
    with (
        reporting_errors(),
        _stopping() as stopped,
        api_client(url, token_file, _ANSWER_SECONDS, role=Role.SERVICE) as client,
    ):
        progress = Progress(Console(stderr=as_json))
        positions = Positions(var_folder() / "ingest", str(client.base_url), simulation_id, progress.notice)
        if not again:
            positions.load()
        api = Api(client, notice=progress.notice, give_up=stopped.is_set)
        ingest = Ingest(plan, api, positions, progress, stopped=stopped, limits=Limits(rows=batch_rows))
        failure = _run(ingest, progress)
    _show(ingest.lanes, time.monotonic() - started, simulation_id, as_json=as_json)
    if ingest.complete:
        return
    if failure:
        error_console.print(f"[red]error[/red]: {escape(failure)}", soft_wrap=True)
    resume = _resume_command(folder, only or [], simulation_id, strict, url, token_file)
    error_console.print(f"go on with: {resume}", markup=False, soft_wrap=True)
    raise typer.Exit(_INTERRUPTED if stopped.is_set() else 1)


def _run(ingest: Ingest, progress: Progress) -> str | None:
    """Run to the end, or to what ends it, and return that."""
    progress.follow(ingest.lanes)
    try:
        with progress:
            ingest.run()
    except CommandError as error:
        return str(error)
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None
    return None


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Yield an event that the first Ctrl-C or SIGTERM sets; the second ends the command where it is."""
    stopped = threading.Event()

    def stop(_: int, frame: FrameType | None) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        stopped.set()

    numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _datasets(folder: Path, only: Sequence[str]) -> list[Dataset[AnyRecord]]:
    try:
        found = discover_all(folder)
    except FormatError as error:
        error_console.print(f"[red]error[/red]: {escape(str(error))}", soft_wrap=True)
        raise typer.Exit(1) from None
    _tell_left_alone(folder, found)
    unknown = set(only) - {dataset.name for dataset in found}
    if unknown:
        there = ", ".join(dataset.name for dataset in found)
        raise typer.BadParameter(f"no dataset {', '.join(sorted(unknown))}; there are {there}", param_hint="--only")
    return [dataset for dataset in found if not only or dataset.name in only]


def _tell_left_alone(folder: Path, found: Sequence[Dataset[AnyRecord]]) -> None:
    alone = [str(path.relative_to(folder)) for path in left_alone(folder, found)]
    if alone:
        more = f" and {len(alone) - _MOST_NAMED} more" if len(alone) > _MOST_NAMED else ""
        said = f"left alone, as neither name nor header is of a known format: {', '.join(alone[:_MOST_NAMED])}{more}"
        error_console.print(said, markup=False, highlight=False, soft_wrap=True)


def _list(datasets: Sequence[Dataset[AnyRecord]], *, as_json: bool) -> None:
    if as_json:
        listed = [
            {
                "name": dataset.name,
                "kind": dataset.kind.value,
                "symbol": dataset.symbol,
                "source": dataset.source,
                "interval": dataset.interval,
                "calendar": dataset.calendar,
                "files": [str(file) for file in dataset.files],
            }
            for dataset in datasets
        ]
        typer.echo(json.dumps(listed, indent=2))
        return
    console = Console()
    for dataset in datasets:
        kind = " ".join([dataset.kind.value, *([dataset.interval] if dataset.interval else [])])
        calendar = f"calendar {dataset.calendar}" if dataset.calendar else "no calendar"
        said = f"{dataset.name}: {kind} of {dataset.symbol}, source {dataset.source}, {calendar}"
        for line in (said, *(f"    {file}" for file in dataset.files)):
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def _show(lanes: Sequence[Lane], seconds: float, simulation_id: str | None, *, as_json: bool) -> None:
    if not as_json:
        console = Console()
        if not console.is_terminal:
            console = Console(width=max(console.width, _PLAIN_WIDTH))
        console.print(final_table(lanes, seconds))
        console.print(f"{sum(lane.sent_now for lane in lanes):,} rows sent in {seconds:.1f} s", highlight=False)
        return
    sent = sum(lane.sent_now for lane in lanes)
    told = {
        "simulation_id": simulation_id,
        "datasets": {lane.dataset.name: _told(lane) for lane in lanes},
        "total": total(lanes).model_dump(exclude={"done"}),
        "complete": all(lane.ending in (Ending.TAKEN, Ending.TAKEN_BEFORE) for lane in lanes),
        "seconds": round(seconds, 3),
        "rows_per_second": round(sent / seconds, 1) if seconds else 0.0,
    }
    typer.echo(json.dumps(told, indent=2))


def _told(lane: Lane) -> dict[str, Any]:
    return {
        **lane.position.model_dump(exclude={"done"}),
        "sent_before": lane.began_at,
        "bad_rows": lane.bad_rows,
        "first_bad_rows": [str(bad) for bad in lane.first_bad],
        "lost_files": [str(bad) for bad in lane.lost_files],
        "first_rejected": lane.first_rejected,
        "stream_findings": lane.stream.told(),
        "seconds": round(lane.seconds, 3),
        "ending": lane.ending.value,
        "error": lane.error,
    }


def _resume_command(
    folder: Path, only: Sequence[str], simulation_id: str | None, strict: bool, url: str | None, token_file: Path | None
) -> str:
    words = ["keelson", "ingest", str(folder), *(word for name in only for word in ("--only", name))]
    words += ["--simulation-id", simulation_id] if simulation_id else []
    words += ["--strict"] if strict else []
    words += ["--url", url] if url else []
    words += ["--token-file", str(token_file)] if token_file else []
    return shlex.join(words)
