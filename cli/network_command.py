"""`keelson network`: how each source of market data is reached, and what to do where it is not."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.client import error_console
from cli.network.model import STEPS, Report, Step, Verdict, worst
from cli.network.probe import probe
from cli.network.targets import targets
from cli.network.wire import Limits
from services.marketdata.feeds.routing import routing_of
from services.marketdata.settings import FeedSettings
from shared.clock import SystemClock
from shared.settings import SettingsError, load_settings

_AT_ONCE = 8
# Without a terminal there is no width to keep to.
_WIDTH = 140
_COLOURS = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.FAILED: "red", Verdict.SKIPPED: "dim"}


def network(
    target: Annotated[
        list[str] | None, typer.Argument(help="Sources by name, or URLs; those of the settings by default.")
    ] = None,
    services: Annotated[bool, typer.Option("--services", help="Look at Keelson's own services too.")] = False,
    ca_file: Annotated[Path | None, typer.Option(help="Certificates (PEM) to trust beside the usual ones.")] = None,
    timeout: Annotated[float | None, typer.Option(min=0.1, max=300, help="Seconds each step may take.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Diagnose DNS, TCP, TLS, HTTP and clock offset of each source; exit 1 where one cannot be used."""
    try:
        settings = load_settings(FeedSettings)
    except SettingsError as error:
        error_console.print(str(error), markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    limits = Limits(timeout or settings.connection_timeout, ca_file or settings.marketdata_ca_file)
    wanted = targets(settings, target or [], services)
    if not wanted:
        error_console.print(
            "no source is set: TRADING_PRIMARY_SOURCE or TRADING_MARKETDATA_SOURCES; or name one, such as "
            "`keelson network ccxt.binance` or a URL",
            markup=False,
            soft_wrap=True,
        )
        raise typer.Exit(1)
    look = partial(probe, routing=routing_of(settings), limits=limits, clock=SystemClock())
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        reports = list(pool.map(look, wanted))
    verdict = worst(report.verdict for report in reports)
    if as_json:
        document = {"verdict": verdict, "targets": [report.document() for report in reports]}
        typer.echo(json.dumps(document, indent=2))
    else:
        _show(reports)
    if verdict is Verdict.FAILED:
        raise typer.Exit(1)


def _show(reports: Sequence[Report]) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH)
    table = Table("source", *STEPS, "verdict", title="milliseconds", title_justify="left")
    for report in reports:
        steps = {step.name: step for step in report.steps}
        cells = [_cell(steps[name]) if name in steps else Text("") for name in STEPS]
        table.add_row(Text(report.target.name), *cells, _coloured(report.verdict, report.verdict.value))
    console.print(table)
    for report in reports:
        for step in report.steps:
            if step.verdict in {Verdict.WARNING, Verdict.FAILED} or (step.hint and step.name == "route"):
                console.print(
                    _coloured(step.verdict, f"{report.target.name}: {step.name}: {step.detail}"), soft_wrap=True
                )
                if step.hint:
                    console.print(Text(f"    {step.hint}"), soft_wrap=True)


def _cell(step: Step) -> Text:
    if step.verdict is Verdict.SKIPPED:
        return _coloured(step.verdict, "-")
    if step.name == "route":
        return _coloured(step.verdict, step.detail if step.verdict is Verdict.OK else step.verdict.value)
    if "offset_seconds" in step.data:
        return _coloured(step.verdict, f"{float(step.data['offset_seconds']) * 1000:+.0f}")
    return _coloured(step.verdict, "" if step.milliseconds is None else f"{step.milliseconds:.1f}")


def _coloured(verdict: Verdict, text: str) -> Text:
    return Text(text, style=_COLOURS[verdict])
