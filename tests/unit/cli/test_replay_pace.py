"""How fast a run goes, and how it is shown."""

import io
import time
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from rich.console import Console

from cli.replay import progress
from cli.replay.account import AccountReplay
from cli.replay.counts import Tally
from cli.replay.driver import Lane, Pacer
from cli.replay.execution import Book
from cli.replay.progress import Progress
from cli.replay.timeline import account_timeline
from services.marketdata.formats.dataset import BadRow
from tests.unit.cli.recording import CASH, RecordingSuite, bar, dataset, instrument

pytestmark = pytest.mark.unit


def test_a_run_as_fast_as_possible_never_waits_and_sends_full_batches() -> None:
    pacer = Pacer(None)
    assert pacer.due(timedelta(days=9))
    assert not pacer.flush_due()


def test_a_record_is_due_when_its_time_has_passed_at_that_speed() -> None:
    pacer = Pacer(600)
    assert pacer.due(timedelta(0))
    assert not pacer.due(timedelta(minutes=10))
    started = time.monotonic()
    pacer.sleep(timedelta(seconds=30))
    assert 0.03 < time.monotonic() - started < 0.2
    assert pacer.due(timedelta(seconds=30))


def test_a_long_wait_is_broken_up_to_send_what_waits() -> None:
    pacer = Pacer(1)
    started = time.monotonic()
    pacer.sleep(timedelta(hours=1))
    assert time.monotonic() - started < 1
    assert pacer.flush_due()
    assert not pacer.flush_due()


def lane() -> Lane:
    data = dataset([bar(0, "100")])
    book = Book(cash=CASH, instruments={"AAA": instrument()})
    tally = Tally(bars=1, signals=2, denied=1)
    step = next(account_timeline([data], timedelta(minutes=1)))
    return Lane(AccountReplay("demo.usd", "demo", book, RecordingSuite(), tally), tally, step)


def shown(monkeypatch: pytest.MonkeyPatch, **terminal: Any) -> str:
    for name in ("_LINE_SECONDS", "_DRAW_SECONDS"):
        monkeypatch.setattr(progress, name, 0.0)
    out = io.StringIO()
    with Progress(Console(file=out, width=200, **terminal)) as watching:
        watching.started([lane()])
        watching.moved()
        for number in range(9):
            watching.bad_row(BadRow("file.csv", number + 1, "[no] price"))
    return out.getvalue()


def test_away_from_a_terminal_progress_is_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch)
    assert "demo.usd 2024-12-02 09:01 records=1 signals=2 approved=0 denied=1 fills=0" in text
    assert "\x1b" not in text
    assert text.count("[no] price") == 5
    assert text.count("more rows left out") == 1


def test_on_a_terminal_progress_is_a_table_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch, force_terminal=True)
    assert "equity" in text
    assert f"{Decimal(1_000_000):,.2f}" in text
    assert text.rstrip().endswith("\x1b[2K") or "\x1b[?25h" in text
