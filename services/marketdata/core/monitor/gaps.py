"""The gap ledger: what became of the gaps that are known, once a window was looked at again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.marketdata.core.calendars.sessions import Gap


@dataclass(frozen=True, slots=True)
class OpenGap:
    """A gap that was found and not filled."""

    gap_id: int
    start: datetime
    end: datetime
    bars: int
    found_at: datetime


@dataclass(frozen=True, slots=True)
class Ledger:
    """What to write: gaps that are new, each with when it was first found; those that changed, by their ids.

    `filled` are those of which every bar came, `absorbed` those that turned out to be part of another.
    """

    new: tuple[tuple[Gap, datetime], ...] = ()
    changed: tuple[tuple[int, Gap], ...] = ()
    filled: tuple[int, ...] = ()
    absorbed: tuple[int, ...] = ()


def reconcile(known: Sequence[OpenGap], found: Sequence[Gap], now: datetime) -> Ledger:
    """Return what makes the ledger of a window say what was found in it; `known` are the gaps within the window.

    What is left of a gap goes on as that gap, and a second remainder is one of its own, found when the whole was.
    """
    new, changed = [], []
    used: set[int] = set()
    ordered = sorted(known, key=lambda gap: gap.start)
    for gap in found:
        mates = [each for each in ordered if _meet(each, gap)]
        mate = next((each for each in mates if each.gap_id not in used), None)
        if mate is None:
            new.append((gap, min((each.found_at for each in mates), default=now)))
            continue
        used.add(mate.gap_id)
        if (mate.start, mate.end, mate.bars) != (gap.start, gap.end, gap.bars):
            changed.append((mate.gap_id, gap))
    rest = [each for each in ordered if each.gap_id not in used]
    absorbed = {each.gap_id for each in rest if any(_meet(each, gap) for gap in found)}
    filled = tuple(each.gap_id for each in rest if each.gap_id not in absorbed)
    return Ledger(tuple(new), tuple(changed), filled, tuple(sorted(absorbed)))


def _meet(known: OpenGap, gap: Gap) -> bool:
    return known.start < gap.end and gap.start < known.end
