"""A whole replay: prepare the accounts, play the records at their pace, settle and compare."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from itertools import chain
from typing import Any, Protocol

from cli.replay.account import AccountReplay
from cli.replay.counts import Tally, differences, document, equity_differences, holds_more, total
from cli.replay.execution import Book
from cli.replay.names import account_id
from cli.replay.rest import RestSuite
from cli.replay.timeline import Step, account_timeline, by_currency, interleave, longest_pause
from services.marketdata.formats.dataset import BadRow, Dataset
from shared.schemas.accounts import AccountCreate
from shared.schemas.instruments import Instrument

INITIAL_CASH = {"USD": Decimal(1_000_000), "INR": Decimal(10_000_000), "USDT": Decimal(1_000_000)}
_OTHER_CASH = Decimal(1_000_000)
# What waits to be sent is sent this often, in seconds of ours.
_FLUSH_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Plan:
    """What to replay, under which name and how fast; `speed` None is as fast as possible."""

    datasets: Sequence[Dataset]
    simulation_id: str
    speed: float | None


@dataclass(slots=True)
class Lane:
    """One account of a run, and how far it has come."""

    account: AccountReplay
    tally: Tally
    last: Step | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The counts of a finished run, and every figure on which the services do not agree with them."""

    counts: dict[str, Any]
    differences: list[str]
    seconds: float
    records: int
    not_compared: str | None = None


class Watcher(Protocol):
    """Whoever follows a run."""

    def started(self, lanes: Sequence[Lane]) -> None:
        """Learn of the run's accounts."""

    def moved(self) -> None:
        """Learn that a record has been played."""

    def bad_row(self, bad: BadRow) -> None:
        """Learn of a row that could not be read."""


class Replay:
    """One run of a plan."""

    def __init__(self, plan: Plan, suite: RestSuite, watcher: Watcher) -> None:
        self.plan = plan
        self._suite = suite
        self._watcher = watcher
        self.lanes: list[Lane] = []

    def run(self) -> Outcome:
        """Play everything and return the counts. Raises CommandError or FormatError."""
        started = time.monotonic()
        self._suite.require_champion()
        self._suite.set_instruments(_instruments(self.plan.datasets))
        self._suite.set_calendars(self.plan.datasets)
        timelines = self._open()
        self._watcher.started(self.lanes)
        self._play(timelines)
        for lane in self.lanes:
            lane.account.finish()
            self._watcher.moved()
        return self._compare(started)

    def _open(self) -> list[Iterator[Step]]:
        """Open one account for each currency on the day of its first record."""
        timelines: list[Iterator[Step]] = []
        for currency, datasets in by_currency(self.plan.datasets).items():
            tally = Tally()
            steps = account_timeline(datasets, longest_pause(self.plan.speed), BadRows(tally, self._watcher))
            first = next(steps, None)
            if first is None:
                continue
            name = account_id(self.plan.simulation_id, currency)
            cash = INITIAL_CASH.get(currency, _OTHER_CASH)
            self._suite.open_account(
                AccountCreate(
                    account_id=name,
                    base_currency=currency,
                    initial_cash=cash,
                    simulation_id=self.plan.simulation_id,
                    session_date=first.session_date,
                    ts_event=first.known_at,
                )
            )
            book = Book(cash=cash, instruments={dataset.symbol: dataset.instrument for dataset in datasets})
            self.lanes.append(Lane(AccountReplay(name, self.plan.simulation_id, book, self._suite, tally), tally))
            timelines.append(chain([first], steps))
        return timelines

    def _play(self, timelines: Sequence[Iterator[Step]]) -> None:
        pacer = Pacer(self.plan.speed)
        for index, step in interleave(timelines):
            while not pacer.due(step.elapsed):
                if pacer.flush_due():
                    self._flush()
                pacer.sleep(step.elapsed)
            lane = self.lanes[index]
            lane.account.take(step)
            lane.last = step
            if pacer.flush_due():
                self._flush()
            self._watcher.moved()

    def _flush(self) -> None:
        for lane in self.lanes:
            lane.account.flush()

    def _compare(self, started: float) -> Outcome:
        tally = total([lane.tally for lane in self.lanes])
        ledger = self._suite.counts()
        seconds = time.monotonic() - started
        accounts = {lane.account.account_id: self._suite.account(lane.account.account_id) for lane in self.lanes}
        if holds_more(self.plan.datasets, self._suite.feeds()):
            why = f"{self.plan.simulation_id} holds more than these datasets: its totals are not compared with theirs"
            ours = {accounts[lane.account.account_id].base_currency: lane.account.book.equity for lane in self.lanes}
            return Outcome(document(tally, None, ours), [], seconds, tally.records, why)
        equity = {lane.account.account_id: lane.account.book.equity for lane in self.lanes}
        wrong = [*differences(tally, ledger), *equity_differences(equity, accounts)]
        held = {account.base_currency: account.equity for account in accounts.values()}
        return Outcome(document(tally, ledger, held), wrong, seconds, tally.records)


class BadRows:
    """Count the rows of an account that could not be read, and pass them on."""

    def __init__(self, tally: Tally, watcher: Watcher) -> None:
        self._tally = tally
        self._watcher = watcher

    def __call__(self, bad: BadRow) -> None:
        """Count one."""
        self._tally.bad_rows += 1
        self._watcher.bad_row(bad)


class Pacer:
    """Tell when a record is due at `speed` times real time; None: at once, and nothing waits to be sent for long."""

    def __init__(self, speed: float | None) -> None:
        self._speed = speed
        self._start = self._flushed = time.monotonic()

    def due(self, elapsed: timedelta) -> bool:
        """Tell whether it is time for a record."""
        return self._speed is None or self._wait(elapsed) <= 0

    def sleep(self, elapsed: timedelta) -> None:
        """Sleep until the record is due, or until something should be flushed."""
        time.sleep(max(0.0, min(self._wait(elapsed), _FLUSH_SECONDS)))

    def flush_due(self) -> bool:
        """Tell whether what waits should be sent; a run as fast as possible sends full batches."""
        now = time.monotonic()
        if self._speed is None or now - self._flushed < _FLUSH_SECONDS:
            return False
        self._flushed = now
        return True

    def _wait(self, elapsed: timedelta) -> float:
        speed = self._speed or 1.0
        return self._start + elapsed.total_seconds() / speed - time.monotonic()


def _instruments(datasets: Sequence[Dataset]) -> list[Instrument]:
    by_symbol = {dataset.symbol: dataset.instrument for dataset in datasets}
    return [by_symbol[symbol] for symbol in sorted(by_symbol)]
