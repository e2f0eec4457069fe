"""Durable rows of the journal to whoever listens in this process."""

import asyncio
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager

from services.risk.core.chain import Row

# A listener that is so far behind is told to begin again from the journal, which waits for anybody.
_BACKLOG = 10_000


class Broadcast:
    """Pass rows on once they are durable; nobody is waited for."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._listeners: dict[asyncio.Queue[Row | None], Container[str] | None] = {}

    @property
    def full(self) -> bool:
        """Tell whether as many listen as may: every row costs as many steps as there are listeners."""
        return len(self._listeners) >= self._most

    def send(self, rows: Sequence[Row]) -> None:
        """Pass rows on; a listener that is too far behind is cut off."""
        for listener, kinds in tuple(self._listeners.items()):
            if listener.qsize() + len(rows) >= _BACKLOG:
                self._end(listener)
                continue
            for row in rows:
                if kinds is None or row.kind in kinds:
                    listener.put_nowait(row)

    def end(self) -> None:
        """Cut everybody off: this process decides no longer."""
        for listener in tuple(self._listeners):
            self._end(listener)

    @contextmanager
    def listen(self, kinds: Container[str] | None = None) -> Iterator["asyncio.Queue[Row | None]"]:
        """Yield the rows from here on, of some kinds where any are named; None is the end."""
        queue: asyncio.Queue[Row | None] = asyncio.Queue()
        self._listeners[queue] = kinds
        try:
            yield queue
        finally:
            self._listeners.pop(queue, None)

    def _end(self, listener: "asyncio.Queue[Row | None]") -> None:
        self._listeners.pop(listener, None)
        listener.put_nowait(None)
