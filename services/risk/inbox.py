"""What waits for the engine: commands and questions, each with whoever waits for its answer."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from services.risk.core.commands import Command
from services.risk.core.state import FirmState
from services.risk.metrics import QUEUE
from shared.problems import DependencyUnavailable

Ask = Command | Callable[[FirmState], Any]


@dataclass(slots=True)
class Job:
    """A command or a question, and the answer that is waited for."""

    ask: Ask
    done: asyncio.Future[Any]

    def fail(self, why: str) -> None:
        """Tell whoever waits that nothing can be decided now."""
        if not self.done.done():
            self.done.set_exception(unavailable(why))


class Inbox:
    """A bounded queue of jobs; closed, it takes none and says why."""

    def __init__(self, most: int, closed: str) -> None:
        self._queue: asyncio.Queue[Job] = asyncio.Queue(most)
        self.closed: str | None = closed
        # Asked for when it is read: a queue behind a commit that hangs is seen too.
        QUEUE.set_function(lambda: self._queue.qsize() / self._queue.maxsize)

    def put(self, ask: Ask) -> Job:
        """Let a command or a question wait. Raises DependencyUnavailable while closed, and where it is full."""
        if self.closed is not None:
            raise unavailable(self.closed)
        waiting = job(ask)
        try:
            self._queue.put_nowait(waiting)
        except asyncio.QueueFull:
            raise unavailable("too many commands wait for the engine") from None
        return waiting

    async def next(self, seconds: float) -> Job | None:
        """Return what waits longest, None where nothing comes for so long."""
        if self._queue.empty():
            try:
                async with asyncio.timeout(seconds):
                    first = await self._queue.get()
            except TimeoutError:
                return None
        else:
            first = self._queue.get_nowait()
        try:
            # What has arrived and is not read yet shares the commit.
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            first.fail("the service is stopping")
            raise
        return first

    def take(self, most: int) -> list[Job]:
        """Return what else waits, at most so many."""
        return [self._queue.get_nowait() for _ in range(min(most, self._queue.qsize()))]

    def close(self, why: str) -> None:
        """Take nothing from here on, and leave nobody waiting."""
        self.closed = why
        for each in self.take(self._queue.qsize()):
            each.fail(why)


def job(ask: Ask) -> Job:
    """Return a job nobody has asked for from outside."""
    return Job(ask, asyncio.get_running_loop().create_future())


def unavailable(why: str) -> DependencyUnavailable:
    """Return the problem of an engine that cannot decide."""
    return DependencyUnavailable(f"Nothing can be decided now: {why}", headers={"Retry-After": "1"})
