"""What waits for one reader: each change as long as it keeps up, the latest of each symbol once it does not."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

# So many changes may wait beside one of each symbol before those in between are left out.
SLACK: Final = 256


@dataclass(frozen=True, slots=True)
class Change:
    """A mark as it is sent; `skipped` are those of its symbol that were left out just before it."""

    symbol: str
    moment: datetime
    text: str
    skipped: int = 0


class ConflatingBuffer:
    """Keep changes in their order, at most `SLACK` more than there are symbols, however many come.

    A symbol's marks never go back in event time. One that waits keeps its place in the queue when a later mark takes
    its turn, so that a busy symbol never keeps a quiet one waiting.
    """

    def __init__(self, symbols: Iterable[str]) -> None:
        self.symbols = frozenset(symbols)
        self.skipped = 0
        self._waiting: deque[Change] = deque()
        self._newest: dict[str, datetime] = {}
        self._most = len(self.symbols) + SLACK

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, symbol: str, moment: datetime, text: str) -> int:
        """Take a change unless its mark is older than the last; return how many are now left out."""
        newest = self._newest.get(symbol)
        if symbol not in self.symbols or (newest is not None and moment < newest):
            return 0
        self._newest[symbol] = moment
        self._waiting.append(Change(symbol, moment, text))
        return self._conflate() if len(self._waiting) > self._most else 0

    def pop(self) -> Change | None:
        """Return what has waited longest, None where nothing waits."""
        return self._waiting.popleft() if self._waiting else None

    def begin(self, marks: Iterable[Change]) -> None:
        """Go on from a snapshot: what it has, and what is older, is not sent again."""
        held = {mark.symbol: mark for mark in marks}
        last_known = {
            change.symbol: place
            for place, change in enumerate(self._waiting)
            if (mark := held.get(change.symbol)) is not None
            and (change.moment, change.text) == (mark.moment, mark.text)
        }
        self._waiting = deque(
            change
            for place, change in enumerate(self._waiting)
            if place > last_known.get(change.symbol, -1)
            and (change.symbol not in held or change.moment >= held[change.symbol].moment)
        )
        for symbol, mark in held.items():
            self._newest[symbol] = max(mark.moment, self._newest.get(symbol, mark.moment))

    def clear(self) -> None:
        """Forget what waits and what was sent: a snapshot follows."""
        self._waiting.clear()
        self._newest.clear()

    def _conflate(self) -> int:
        latest: dict[str, Change] = {}
        for change in self._waiting:
            before = latest.get(change.symbol)
            skipped = change.skipped + (before.skipped + 1 if before is not None else 0)
            # A key that is there keeps its place.
            latest[change.symbol] = Change(change.symbol, change.moment, change.text, skipped)
        left_out = len(self._waiting) - len(latest)
        self._waiting = deque(latest.values())
        self.skipped += left_out
        return left_out
