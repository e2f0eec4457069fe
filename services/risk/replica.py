"""The state as the journal gives it: folded from the start, and kept up with."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from services.risk.core.chain import Row, Tip, event_of, follow
from services.risk.core.evolve import evolve
from services.risk.core.state import FirmState

_PAGE = 5_000
# Folding holds the interpreter; a standby has health checks to answer meanwhile.
_AT_ONCE = 200


class JournalBrokenError(Exception):
    """The journal is not what was written; nothing may be decided on it."""


@dataclass(frozen=True, slots=True)
class Folded:
    """A state, and the row of the journal it is that of."""

    state: FirmState
    tip: Tip


# Gives the state of a row before this one, the newest that is kept; None where there is none.
Restore = Callable[[int], Awaitable[Folded | None]]


class Replica:
    """A state, and the row of the journal it has come to; it begins with what `restore` gives, or with nothing."""

    def __init__(self, restore: Restore | None = None) -> None:
        self.state = FirmState()
        self.tip = Tip()
        self._restore = restore

    async def catch_up(self, page: Callable[[int, int], Awaitable[Sequence[Row]]]) -> int:
        """Fold what was appended since; return how many rows. Raises JournalBrokenError.

        `page` gives rows after a sequence number, at most so many.
        """
        count = 0
        if self._restore is not None and self.tip.seq == 0:
            found = await self._restore(sys.maxsize)
            if found is not None:
                self.state, self.tip = found.state, found.tip
        while True:
            rows = await page(self.tip.seq, _PAGE)
            for first in range(0, len(rows), _AT_ONCE):
                self._fold(rows[first : first + _AT_ONCE])
                await asyncio.sleep(0)
            count += len(rows)
            if len(rows) < _PAGE:
                return count

    def _fold(self, rows: Sequence[Row]) -> None:
        tip, broken = follow(self.tip, rows)
        if broken is not None:
            raise JournalBrokenError(f"row {broken.seq}: {broken.problem}")
        for row in rows:
            try:
                event = event_of(row)
            except ValueError as error:
                raise JournalBrokenError(f"row {row.seq} cannot be read: {error}") from error
            evolve(self.state, event, row.seq)
        self.tip = tip
