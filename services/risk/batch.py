"""What is decided in memory together, made durable together, and only then answered."""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from services.risk.core.answers import answer
from services.risk.core.chain import Row, Tip, link
from services.risk.core.commands import Command
from services.risk.core.decide import decide
from services.risk.core.outcome import Event, Refused
from services.risk.core.state import FirmState
from services.risk.core.step import apply
from services.risk.core.units import micros
from services.risk.effects import record
from services.risk.inbox import Job
from services.risk.metrics import DECISION_SECONDS
from services.risk.replica import Replica
from shared.clock import Clock
from shared.logging import Category, get_trading_logger

_LOG = get_trading_logger("keelson.risk.batch", Category.RISK)
# Nothing else is done meanwhile: stops wait, and the lease is not renewed.
_MOST_SECONDS: Final = 0.02


class Batch:
    """What is decided and not yet durable."""

    def __init__(self, replica: Replica, clock: Clock, epoch: int) -> None:
        self._replica, self._clock, self._epoch = replica, clock, epoch
        self.rows: list[Row] = []
        self._done: list[Job] = []
        # Of each job what it gave in this batch.
        self._events: list[list[Event]] = []

    def decide(self, jobs: Sequence[Job], most: int) -> list[Job]:
        """Decide on jobs in their sequence; return those that are left for another batch, the first perhaps in part.

        At least on one command, and on at most so many; on no more once they have taken long. Commands of one job are
        each by itself, so that others may come between them: what must be all or none is one command.
        """
        started, count = time.perf_counter(), 0
        for index, each in enumerate(jobs):
            events: list[Event] = []
            self._events.append(events)
            while each.left:
                if count and (count >= most or time.perf_counter() - started > _MOST_SECONDS):
                    return list(jobs[index:])
                count += 1
                events += self._decide(each)
            self._done.append(each)
        return []

    def answer(self) -> None:
        """Tell whoever asked, from the state as it is now: what a kill switch has taken back is not approved."""
        for each in self._done:
            self._answer(each)

    def record(self) -> None:
        """Log and count what was decided."""
        for events in self._events:
            record(self._replica.state, events)

    def _decide(self, asked: Job) -> list[Event]:
        """Find the next answer of a job; return the events of it."""
        state, now = self._replica.state, self._clock.now()
        if not callable(asked.ask):
            found = self._carry(asked.ask[len(asked.found)], state, now)
            asked.found.append(found)
            return found if isinstance(found, list) else []
        try:
            asked.found.append(asked.ask(state))
        except Exception as error:  # it changes nothing: what fails concerns whoever asked, nobody else
            _LOG.exception("a question failed")
            asked.found.append(None)
            if not asked.done.done():
                asked.done.set_exception(error)
        return []

    def _carry(self, command: Command, state: FirmState, now: datetime) -> list[Event] | Refused | Exception:
        """Decide on a command and bring memory forward by what follows."""
        time_of_it = micros(now)
        started = time.perf_counter()
        try:
            outcome = decide(state, command, time_of_it)
        except Exception as error:  # nothing has changed yet: what fails concerns whoever asked, nobody else
            _LOG.exception("a command failed", command=type(command).__name__)
            return error
        DECISION_SECONDS.observe(time.perf_counter() - started)
        if isinstance(outcome, Refused):
            return outcome
        events = apply(state, command, outcome, time_of_it)
        for event in events:
            row = link(self._replica.tip, event, now, self._epoch)
            self._replica.tip = Tip(row.seq, row.hash)
            self.rows.append(row)
        return events

    def _answer(self, asked: Job) -> None:
        if asked.done.done():
            return
        if callable(asked.ask):
            asked.done.set_result(asked.found[0])
            return
        try:
            told = [self._told(command, each) for command, each in zip(asked.ask, asked.found, strict=True)]
            asked.done.set_result(told)
        except Exception as error:  # durable all the same; it concerns whoever asked, nobody else
            asked.done.set_exception(error)

    def _told(self, command: Command, found: list[Event] | Refused | Exception) -> Any:
        if isinstance(found, Exception):
            raise found
        if isinstance(found, Refused):
            return found
        try:
            return answer(self._replica.state, command, found)
        except Exception:
            _LOG.exception("an answer failed", command=type(command).__name__)
            raise
