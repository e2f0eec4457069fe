"""What waits for the engine: commands and questions, each with whoever waits for its answer."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from services.risk.core.commands import Command
from services.risk.core.state import FirmState
from services.risk.metrics import QUEUE
from shared.problems import DependencyUnavailable

Ask = tuple[Command, ...] | Callable[[FirmState], Any]


@dataclass(slots=True)
class Job:
    """Commands, each by itself, or a question; and what is waited for: an answer to each command, or the one asked."""

    ask: Ask
    done: asyncio.Future[Any]

    @property
    def size(self) -> int:
        """How many answers it takes."""
        return 1 if callable(self.ask) else len(self.ask)

    def fail(self, why: str) -> None:
        """Tell whoever waits that nothing can be decided now."""
        if not self.done.done():
            self.done.set_exception(unavailable(why))


class Inbox:
    """A bounded queue of jobs; closed, it takes none and says why."""

    def __init__(self, most: int, closed: str) -> None:
        self._jobs: deque[Job] = deque()
        self._arrived = asyncio.Event()
        self._most, self._waiting = most, 0
        self.closed: str | None = closed
        # Asked for when it is read: a queue behind a commit that hangs is seen too.
        QUEUE.set_function(lambda: self._waiting / self._most)

    def put(self, ask: Ask) -> Job:
        """Let commands or a question wait. Raises DependencyUnavailable while closed, and where it is full."""
        if self.closed is not None:
            raise unavailable(self.closed)
        waiting = job(ask)
        if self._jobs and self._waiting + waiting.size > self._most:
            raise unavailable("too many commands wait for the engine")
        self._jobs.append(waiting)
        self._waiting += waiting.size
        self._arrived.set()
        return waiting

    async def next(self, most: int, seconds: float) -> list[Job]:
        """Return what waits longest, at least one job and beyond it at most so many commands; none in so long: none."""
        if not self._jobs:
            self._arrived.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._arrived.wait()
            except TimeoutError:
                return []
        # What has arrived and is not read yet shares the commit.
        await asyncio.sleep(0)
        found: list[Job] = []
        size = 0
        while self._jobs and (not found or size + self._jobs[0].size <= most):
            found.append(self._jobs.popleft())
            size += found[-1].size
        self._waiting -= size
        return found

    def close(self, why: str) -> None:
        """Take nothing from here on, and leave nobody waiting."""
        self.closed = why
        while self._jobs:
            self._jobs.popleft().fail(why)
        self._waiting = 0


def job(ask: Ask) -> Job:
    """Return a job nobody has asked for from outside."""
    return Job(ask, asyncio.get_running_loop().create_future())


def unavailable(why: str) -> DependencyUnavailable:
    """Return the problem of an engine that cannot decide."""
    return DependencyUnavailable(f"Nothing can be decided now: {why}", headers={"Retry-After": "1"})
