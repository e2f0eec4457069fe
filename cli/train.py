"""`keelson train`: fit the signal model on market data and register it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import httpx
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.training.sample import SAMPLE
from shared.clock import Clock, SystemClock

if TYPE_CHECKING:
    from cli.training.fit import TrainedModel
    from cli.training.publish import Published
    from services.marketdata.formats.dataset import BadRow

_SHOWN = 5


@dataclass(slots=True)
class Training:
    """What one run made: the model, where it went and what could not be read."""

    model: "TrainedModel"
    published: "Published | None" = None
    files: list[Path] = field(default_factory=list)
    bad_rows: "list[BadRow]" = field(default_factory=list)


def train(
    data: Path = SAMPLE,
    *,
    out: Path | None = None,
    version: str | None = None,
    client: httpx.Client | None = None,
    clock: Clock | None = None,
) -> Training:
    """Train on a folder's data; write files to `out` and register through `client`, where they are given.

    Raises FormatError, TrainingError or PublishError.
    """
    from cli.training.fit import train_model
    from cli.training.publish import FIRST_VERSION, publish, write_files
    from services.marketdata.formats.dataset import BadRow
    from services.marketdata.formats.discover import discover, preferred

    bad_rows: list[BadRow] = []
    run = Training(model=train_model(preferred(discover(data)), bad_rows.append), bad_rows=bad_rows)
    if client is not None:
        run.published = publish(client, run.model, version, (clock or SystemClock()).now())
    if out is not None:
        named = run.published.version if run.published else version or FIRST_VERSION
        run.files = write_files(run.model, named, out)
    return run


def has_champion(client: httpx.Client) -> bool:
    """Tell whether there is a model to score signals with. Raises CommandError."""
    from cli.client import Api, Refused
    from shared.schemas.ml import ModelView
    from strategies import MODEL_NAME

    try:
        Api(client).get(f"/api/v1/ml/models/{MODEL_NAME}/champion", ModelView)
    except Refused as error:
        if error.status != httpx.codes.NOT_FOUND:
            raise
        return False
    return True


def train_command(
    data: Annotated[Path, typer.Option(help="Folder of market data; the bundled sample by default.")] = SAMPLE,
    out: Annotated[Path | None, typer.Option(help="Write files here instead of registering the model.")] = None,
    version: Annotated[str | None, typer.Option(help="Semantic version; the next patch version by default.")] = None,
    if_missing: Annotated[bool, typer.Option("--if-missing", help="Do nothing where there is a champion.")] = False,
    url: Annotated[str | None, typer.Option(help="Where the suite answers; the running one by default.")] = None,
    token_file: Annotated[Path | None, typer.Option(help="File with the bearer token.")] = None,
) -> None:
    """Train the signal model and make it champion, or write it to files with --out."""
    from cli.client import CommandError, api_client
    from cli.training.publish import PublishError
    from cli.training.rows import TrainingError
    from services.marketdata.formats.dataset import FormatError

    console = Console()
    if version is not None and not _is_version(version):
        raise typer.BadParameter("a version is three numbers, such as 1.2.0", param_hint="--version")
    try:
        if out is not None and url is None:
            run = train(data, out=out, version=version)
        else:
            with api_client(url, token_file) as client:
                if if_missing and has_champion(client):
                    console.print("there is a champion model; nothing to train")
                    return
                run = train(data, out=out, version=version, client=client)
    except (FormatError, TrainingError, PublishError, CommandError) as error:
        Console(stderr=True).print(
            f"[red]{type(error).__name__}[/red]: {escape(str(error))}", highlight=False, soft_wrap=True
        )
        raise typer.Exit(1) from error
    console.print(summary(run))
    for line in remarks(run):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def summary(run: Training) -> Table:
    """Return what was trained as a table."""
    model = run.model
    table = Table(title=f"model {model.name}", show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for (dataset, strategy), count in model.signals.items():
        table.add_row(f"labelled signals, {strategy}", f"{count} of {dataset}")
    for name, value in model.metrics.items():
        table.add_row(name, f"{value:g}")
    table.add_row("training data", model.training_data_hash)
    table.add_row("ONNX SHA-256", model.sha256)
    return table


def remarks(run: Training) -> list[str]:
    """Return what must be said beside the table: where the model went, what it is not, what could not be read."""
    lines = [f"note: {note}" for note in run.model.notes]
    if run.published:
        state = "registered" if run.published.created else "already registered"
        lines.append(f"{state} as {run.model.name} {run.published.version}, champion")
    lines += [f"wrote {path}" for path in run.files]
    if run.bad_rows:
        lines.append(f"{len(run.bad_rows)} rows could not be taken as they stand:")
        lines += [f"  {bad}" for bad in run.bad_rows[:_SHOWN]]
        if len(run.bad_rows) > _SHOWN:
            lines.append(f"  and {len(run.bad_rows) - _SHOWN} more")
    return lines


def _is_version(text: str) -> bool:
    parts = text.split(".")
    return len(parts) == 3 and all(part.isascii() and part.isdigit() for part in parts)
