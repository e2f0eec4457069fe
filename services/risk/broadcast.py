"""Durable rows of the journal to whoever listens in this process."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from services.risk.core.chain import Row

# A listener that is so far behind is told to begin again from the journal, which waits for anybody.
_BACKLOG = 10_000


class Broadcast:
    """Pass rows on once they are durable; nobody is waited for."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[Row | None]] = set()

    def send(self, rows: Sequence[Row]) -> None:
        """Pass rows on; a listener that is too far behind is cut off."""
        for listener in tuple(self._listeners):
            if listener.qsize() + len(rows) >= _BACKLOG:
                self._end(listener)
                continue
            for row in rows:
                listener.put_nowait(row)

    def end(self) -> None:
        """Cut everybody off: this process decides no longer."""
        for listener in tuple(self._listeners):
            self._end(listener)

    @contextmanager
    def listen(self) -> Iterator["asyncio.Queue[Row | None]"]:
        """Yield the rows from here on; None is the end."""
        queue: asyncio.Queue[Row | None] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)

    def _end(self, listener: "asyncio.Queue[Row | None]") -> None:
        self._listeners.discard(listener)
        listener.put_nowait(None)
