"""Prices of one symbol at one time, from several sources."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

Prices = Sequence[tuple[datetime, float]]
_BASIS_POINT = 1e-4


@dataclass(frozen=True, slots=True)
class Compared:
    """A source's price beside the others': how many basis points off, the price they agree on, and who they are."""

    price: float
    reference: float
    basis_points: float
    at: datetime
    others: tuple[str, ...]


def compare(prices: Mapping[str, Prices], behind: timedelta, tolerance: timedelta) -> dict[str, Compared]:
    """Return how far each source's price is off at the last moment that all of them have reached.

    `prices` are those of each source, oldest first. One that is further `behind` the others is left out, and one that
    has no price within `tolerance` before that moment. Of three or more it is measured from their median, of two each
    from the other. Empty with fewer.
    """
    known = {source: rows for source, rows in prices.items() if rows}
    newest = {source: rows[-1][0] for source, rows in known.items()}
    if not known:
        return {}
    # A source that has fallen behind keeps nobody else from being compared: that it is stale is another check's.
    latest = max(newest.values())
    known = {source: rows for source, rows in known.items() if latest - newest[source] <= behind}
    at = min(newest[source] for source in known)
    held = {}
    for source, rows in known.items():
        before = [(moment, price) for moment, price in rows if moment <= at]
        if before and at - before[-1][0] <= tolerance:
            held[source] = before[-1][1]
    if len(held) < 2:
        return {}
    found = {}
    for source, price in held.items():
        others = tuple(sorted(other for other in held if other != source))
        reference = median(held.values()) if len(held) > 2 else held[others[0]]
        off = abs(price - reference) / reference / _BASIS_POINT
        found[source] = Compared(price, reference, off, at, others)
    return found
