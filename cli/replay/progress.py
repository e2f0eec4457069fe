"""Show a replay as it runs: a live table on a terminal, plain lines elsewhere."""

import time
from collections.abc import Sequence

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from cli.replay.driver import Lane
from services.marketdata.formats.dataset import BadRow

_LINE_SECONDS = 5.0
_DRAW_SECONDS = 0.25
_SHOWN_BAD_ROWS = 5


class Progress:
    """Follow a run on a console; use it as a context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lanes: Sequence[Lane] = ()
        self._bad_rows = 0
        self._started = self._drawn = time.monotonic()
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> "Progress":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def started(self, lanes: Sequence[Lane]) -> None:
        """Learn of the run's accounts."""
        self._lanes = lanes

    def moved(self) -> None:
        """Draw again if it is time to."""
        now = time.monotonic()
        if now - self._drawn < (_DRAW_SECONDS if self._live else _LINE_SECONDS):
            return
        self._drawn = now
        if self._live:
            self._live.update(self._table(), refresh=True)
        else:
            self._console.print(self._line(now), highlight=False, markup=False, soft_wrap=True)

    def bad_row(self, bad: BadRow) -> None:
        """Show the first rows that could not be read; count the others."""
        self._bad_rows += 1
        if self._bad_rows <= _SHOWN_BAD_ROWS:
            self.notice(f"row left out: {bad}")
        elif self._bad_rows == _SHOWN_BAD_ROWS + 1:
            self.notice("more rows left out; they are counted")

    def notice(self, text: str) -> None:
        """Say something that stays on the screen."""
        self._console.print(f"[yellow]{escape(text)}[/yellow]", highlight=False, soft_wrap=True)

    def _table(self) -> Table:
        table = Table("account", "now", "records", "signals", "dropped", "approved", "denied", "fills", "equity")
        for lane in self._lanes:
            tally, last = lane.tally, lane.last
            local = last.known_at.astimezone(last.dataset.timezone) if last else None
            table.add_row(
                lane.account.account_id,
                f"{local:%Y-%m-%d %H:%M}" if local else "",
                f"{tally.records:,}",
                str(tally.signals),
                str(tally.dropped),
                str(tally.approved),
                str(tally.denied),
                str(tally.fills),
                f"{lane.account.book.equity:,.2f}",
            )
        return table

    def _line(self, now: float) -> str:
        parts = []
        for lane in self._lanes:
            tally, last = lane.tally, lane.last
            moment = f"{last.known_at.astimezone(last.dataset.timezone):%Y-%m-%d %H:%M}" if last else "not begun"
            parts.append(
                f"{lane.account.account_id} {moment} records={tally.records} signals={tally.signals} "
                f"approved={tally.approved} denied={tally.denied} fills={tally.fills}"
            )
        return f"{now - self._started:.0f} s: " + "; ".join(parts)
