"""Show an ingest as it runs: bars on a terminal, plain lines elsewhere."""

import time
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bars
from rich.table import Table

from cli.ingest.positions import Position
from cli.ingest.run import Ending, Lane, total

_LINE_SECONDS = 5.0
_COUNTS = ("sent", "stored", "unchanged", "revised", "rejected", "flagged")


class Progress:
    """Follow a run on a console; use it as a context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lanes: Sequence[Lane] = ()
        self._tasks: dict[str, TaskID] = {}
        self._started = self._told = time.monotonic()
        self._bars = _bars(console) if console.is_terminal else None
        self._all: TaskID | None = None

    def __enter__(self) -> "Progress":
        if self._bars:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars:
            self._bars.stop()

    def follow(self, lanes: Sequence[Lane]) -> None:
        """Learn of the run's datasets."""
        self._lanes = lanes
        if self._bars:
            self._all = self._bars.add_task("all", total=1.0, said="")

    def began(self, lane: Lane) -> None:
        """Show a dataset."""
        if lane.began_at:
            self.notice(f"{lane.dataset.name}: going on after {lane.began_at:,} rows")
        if self._bars:
            self._tasks[lane.key] = self._bars.add_task(escape(lane.dataset.name), total=1.0, said="")

    def moved(self, lane: Lane) -> None:
        """Show what was confirmed."""
        self._draw(lane)
        now = time.monotonic()
        if self._bars is None and now - self._told >= _LINE_SECONDS:
            self._told = now
            self._line(f"{now - self._started:.0f} s: {lane.dataset.name} {lane.done:.0%}: {_said(lane.position)}")

    def ended(self, lane: Lane) -> None:
        """Show how a dataset ended."""
        self._draw(lane)
        if self._bars is None:
            self._told = time.monotonic()
            self._line(f"{lane.dataset.name}: {lane.ending.value}: {_said(lane.position)}")
        if lane.error:
            self._console.print(f"[red]{escape(lane.dataset.name)}[/red]: {escape(lane.error)}", soft_wrap=True)
        for bad in lane.first_bad:
            self.notice(f"row left out: {bad}")
        if lane.bad_rows > len(lane.first_bad):
            self.notice(f"{lane.dataset.name}: {lane.bad_rows:,} rows left out in all")
        for text in lane.first_rejected:
            self.notice(f"rejected: {text}")
        for text in lane.stream.lines():
            self.notice(f"{lane.dataset.name}: {text}")

    def notice(self, text: str) -> None:
        """Say something that stays on the screen."""
        self._console.print(f"[yellow]{escape(text)}[/yellow]", highlight=False, soft_wrap=True)

    def _line(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _draw(self, lane: Lane) -> None:
        if self._bars is None or self._all is None:
            return
        task = self._tasks.get(lane.key)
        if task is not None:
            took = self._bars.tasks[self._bars.task_ids.index(task)].elapsed or 0.0
            self._bars.update(task, completed=lane.done, said=_shortly(lane.position, _rate(lane.sent_now, took)))
        most = sum(each.reading.bytes for each in self._lanes) or 1
        done = sum(each.done * each.reading.bytes for each in self._lanes) / most
        sent = sum(each.sent_now for each in self._lanes)
        rate = _rate(sent, time.monotonic() - self._started)
        self._bars.update(self._all, completed=done, said=_shortly(total(self._lanes), rate))


def final_table(lanes: Sequence[Lane], seconds: float) -> Table:
    """Return what became of each dataset, and of all."""
    table = Table()
    table.add_column("dataset", overflow="fold")
    for name in (*_COUNTS, "bad rows", "rows/s"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for lane in lanes:
        _row(table, lane.dataset.name, lane.position, lane.bad_rows, _rate(lane.sent_now, lane.seconds), lane.ending)
    table.add_section()
    sent, bad = sum(lane.sent_now for lane in lanes), sum(lane.bad_rows for lane in lanes)
    _row(table, "all", total(lanes), bad, _rate(sent, seconds), None)
    return table


def _row(table: Table, name: str, position: Position, bad: int, rate: float, ending: Ending | None) -> None:
    counts = (f"{getattr(position, count):,}" for count in _COUNTS)
    table.add_row(escape(name), *counts, f"{bad:,}", f"{rate:,.0f}", ending.value if ending else "")


def _bars(console: Console) -> Bars:
    said = TextColumn("{task.fields[said]}", markup=False)
    return Bars(TextColumn("{task.description}"), BarColumn(bar_width=20), TaskProgressColumn(), said, console=console)


def _shortly(position: Position, rate: float) -> str:
    # A terminal is narrow: what there is none of is left out.
    counts = [f"{count:,} {name}" for name in _COUNTS if (count := getattr(position, name))]
    return ", ".join([*counts, f"{rate:,.0f} rows/s"])


def _said(position: Position) -> str:
    return ", ".join(f"{getattr(position, name):,} {name}" for name in _COUNTS)


def _rate(rows: int, seconds: float) -> float:
    return rows / seconds if seconds > 0 else 0.0
