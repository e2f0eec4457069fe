"""What waits for the engine: commands and questions, each with whoever waits for its answer."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from services.risk.core.commands import ActivateKillSwitch, Command
from services.risk.core.state import FirmState
from services.risk.metrics import QUEUE
from shared.problems import DependencyUnavailable

Ask = tuple[Command, ...] | Callable[[FirmState], Any]
# So many stops may wait, however many others do.
_STOPS: Final = 1_000


@dataclass(slots=True)
class Job:
    """Commands, each by itself, or a question; and what is waited for: an answer to each command, or the one asked."""

    ask: Ask
    done: asyncio.Future[Any]
    # Of each command that was carried out the events it gave, its refusal or its failure; of a question its answer.
    found: list[Any] = field(default_factory=list)

    @property
    def left(self) -> int:
        """How many answers are still to be found."""
        return (1 if callable(self.ask) else len(self.ask)) - len(self.found)

    @property
    def stops(self) -> bool:
        """Tell whether it is all about stopping something: that waits for nothing else."""
        return not callable(self.ask) and all(isinstance(each, ActivateKillSwitch) for each in self.ask)

    def fail(self, why: str) -> None:
        """Tell whoever waits that nothing can be decided now."""
        if not self.done.done():
            self.done.set_exception(unavailable(why))


class Inbox:
    """A bounded queue of jobs, and of stops, which go first; closed, it takes none and says why."""

    def __init__(self, most: int, closed: str) -> None:
        self._jobs: deque[Job] = deque()
        self._stops: deque[Job] = deque()
        self._arrived = asyncio.Event()
        # Of jobs alone: a queue that is full has room for stops.
        self._most, self._waiting = most, 0
        self.closed: str | None = closed
        # Asked for when it is read: a queue behind a commit that hangs is seen too.
        QUEUE.set_function(lambda: self._waiting / self._most)

    def put(self, ask: Ask) -> Job:
        """Let commands or a question wait. Raises DependencyUnavailable while closed, and where it is full."""
        if self.closed is not None:
            raise unavailable(self.closed)
        waiting = job(ask)
        if waiting.stops:
            if len(self._stops) >= _STOPS:
                raise unavailable("too many stops wait for the engine")
            self._stops.append(waiting)
        else:
            if self._jobs and self._waiting + waiting.left > self._most:
                raise unavailable("too many commands wait for the engine")
            self._jobs.append(waiting)
            self._waiting += waiting.left
        self._arrived.set()
        return waiting

    def put_back(self, jobs: Sequence[Job]) -> None:
        """Let jobs that were taken and are not done wait again, before all others of their kind."""
        for each in reversed(jobs):
            if each.stops:
                self._stops.appendleft(each)
            else:
                self._jobs.appendleft(each)
                self._waiting += each.left

    async def next(self, most: int, seconds: float) -> list[Job]:
        """Return all stops, then what waits longest; none in so long: none.

        At least one job, and beyond it at most so many commands.
        """
        if not self._jobs and not self._stops:
            self._arrived.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._arrived.wait()
            except TimeoutError:
                return []
        # What has arrived and is not read yet shares the commit.
        await asyncio.sleep(0)
        found = list(self._stops)
        self._stops.clear()
        size = sum(each.left for each in found)
        while self._jobs and (not found or size + self._jobs[0].left <= most):
            found.append(self._jobs.popleft())
            size += found[-1].left
            self._waiting -= found[-1].left
        return found

    def close(self, why: str) -> None:
        """Take nothing from here on, and leave nobody waiting."""
        self.closed = why
        for waiting in (self._stops, self._jobs):
            while waiting:
                waiting.popleft().fail(why)
        self._waiting = 0


def job(ask: Ask) -> Job:
    """Return a job nobody has asked for from outside."""
    return Job(ask, asyncio.get_running_loop().create_future())


def unavailable(why: str) -> DependencyUnavailable:
    """Return the problem of an engine that cannot decide."""
    return DependencyUnavailable(f"Nothing can be decided now: {why}", headers={"Retry-After": "1"})
