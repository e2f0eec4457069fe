"""Ways to break a snapshot: each breaks a share of what it can break, drawn at random, and returns how much it was.

Half a contract cannot be broken: of a small chain a larger share is than was asked for.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from math import ceil
from typing import TypeVar

import numpy as np

from benchmarks.corpus.market import Leg, Snapshot

T = TypeVar("T")
Breaking = Callable[[Snapshot, float, np.random.Generator], float]


def some(of: Sequence[T], share: float, rng: np.random.Generator) -> list[T]:
    """Return a share of what is given, rounded up to the next whole one, in its order."""
    number = min(ceil(share * len(of)), len(of))
    return [of[i] for i in sorted(rng.choice(len(of), number, replace=False))] if number else []


def places(snapshot: Snapshot, legs: Sequence[Leg]) -> list[list[Leg]]:
    """Return the contracts of each expiry and strike."""
    found: dict[object, list[Leg]] = {}
    for leg in legs:
        found.setdefault((leg.expiry, leg.strike), []).append(leg)
    return list(found.values())


def pairs(snapshot: Snapshot) -> list[tuple[Leg, Leg]]:
    """Return the calls and puts near the money that are quoted on both sides."""
    near = places(snapshot, [leg for leg in snapshot.near() if leg.is_quoted])
    both = [sorted(legs, key=lambda leg: not leg.is_call) for legs in near if len(legs) == 2]
    counts: dict[object, int] = {}
    for call, _ in both:
        counts[call.expiry] = counts.get(call.expiry, 0) + 1
    return [(call, put) for call, put in both if counts[call.expiry] >= 4]


def neighbours(snapshot: Snapshot, length: int) -> list[list[Leg]]:
    """Return all runs of so many quoted contracts of one right and expiry, by strike."""
    quoted = sorted(
        (leg for leg in snapshot.legs if leg.is_quoted), key=lambda leg: (leg.is_call, leg.expiry, leg.strike)
    )
    runs = [quoted[i : i + length] for i in range(len(quoted) - length + 1)]
    return [run for run in runs if len({(leg.is_call, leg.expiry) for leg in run}) == 1]


def move(leg: Leg, by: float, tick: float) -> None:
    """Move both sides of a quote by whole ticks, never to zero or below."""
    assert leg.bid is not None
    assert leg.ask is not None
    moved = max(round(by / tick) * tick, tick - leg.bid)
    leg.bid, leg.ask = round(leg.bid + moved, 6), round(leg.ask + moved, 6)


def mispriced_pairs(widths: float) -> Breaking:
    """Move calls by so many times what call and put are wide together, up or down."""

    def breaks(snapshot: Snapshot, share: float, rng: np.random.Generator) -> float:
        chosen = some(pairs(snapshot), share, rng)
        for call, put in chosen:
            wide = (call.ask or 0) - (call.bid or 0) + (put.ask or 0) - (put.bid or 0)
            move(call, widths * wide * float(rng.choice([-1.0, 1.0])), snapshot.tick)
        return len(chosen) / len(pairs(snapshot))

    return breaks


def frozen_calls(drift: float) -> Breaking:
    """Leave the calls of an expiry where they were when the spot stood elsewhere: off by delta times the drift."""

    def breaks(snapshot: Snapshot, share: float, rng: np.random.Generator) -> float:
        spot = snapshot.spot or 0.0
        expiry = max((call.expiry for call, _ in pairs(snapshot)), key=[c.expiry for c, _ in pairs(snapshot)].count)
        for call, _ in pairs(snapshot):
            if call.expiry == expiry:
                delta = 1 / (1 + np.exp((call.strike / spot - 1) / 0.02))
                move(call, float(drift * spot * delta), snapshot.tick)
        return 1.0

    return breaks


def moved_spot(by: float) -> Breaking:
    """Move the spot away from its chain."""

    def breaks(snapshot: Snapshot, share: float, rng: np.random.Generator) -> float:
        snapshot.spot = round((snapshot.spot or 0.0) * (1 + by), 2)
        return 1.0

    return breaks


def swapped_neighbours(snapshot: Snapshot, share: float, rng: np.random.Generator) -> float:
    """Give the quote of one strike to the next, and the other way round."""
    runs = neighbours(snapshot, 2)
    taken: set[int] = set()
    wanted = max(ceil(share * len(runs)), 1)
    for index in rng.permutation(len(runs)):
        first, second = runs[index]
        if wanted and not {id(first), id(second)} & taken:
            taken |= {id(first), id(second)}
            first.bid, second.bid = second.bid, first.bid
            first.ask, second.ask = second.ask, first.ask
            wanted -= 1
    return len(taken) / 2 / len(runs)


def raised_middles(spreads: float) -> Breaking:
    """Bid the middle of three so many spreads above what its wings ask for it."""

    def breaks(snapshot: Snapshot, share: float, rng: np.random.Generator) -> float:
        chosen = some(neighbours(snapshot, 3), share, rng)
        for left, middle, right in chosen:
            weight = (right.strike - middle.strike) / (right.strike - left.strike)
            wings = weight * (left.ask or 0) + (1 - weight) * (right.ask or 0)
            wide = (middle.ask or 0) - (middle.bid or 0)
            move(middle, wings - (middle.bid or 0) + spreads * wide, snapshot.tick)
        return len(chosen) / len(neighbours(snapshot, 3))

    return breaks


def stale_block(snapshot: Snapshot, share: float, rng: np.random.Generator) -> float:
    """Shift the quotes of a block of calls by one strike, as a row lost in the middle of a page does."""
    calls = sorted(
        (leg for leg in snapshot.near() if leg.is_call and leg.is_quoted), key=lambda leg: (leg.expiry, leg.strike)
    )
    expiry = calls[len(calls) // 2].expiry
    block = [leg for leg in calls if leg.expiry == expiry]
    for leg, after in zip(block, [*block[1:], block[-1]], strict=True):
        leg.bid, leg.ask = after.bid, after.ask
    return 1.0


def on_quoted(change: Callable[[Leg], Leg]) -> Breaking:
    """Change a share of the contracts that are quoted on both sides."""

    def breaks(snapshot: Snapshot, share: float, rng: np.random.Generator) -> float:
        quoted = [leg for leg in snapshot.legs if leg.is_quoted]
        chosen = {id(leg) for leg in some(quoted, share, rng)}
        snapshot.legs = [change(leg) if id(leg) in chosen else leg for leg in snapshot.legs]
        return len(chosen) / len(quoted)

    return breaks


def on_any(change: Callable[[Leg], Leg]) -> Breaking:
    """Change a share of all contracts."""

    def breaks(snapshot: Snapshot, share: float, rng: np.random.Generator) -> float:
        chosen = {id(leg) for leg in some(snapshot.legs, share, rng)}
        snapshot.legs = [change(leg) if id(leg) in chosen else leg for leg in snapshot.legs]
        return len(chosen) / len(snapshot.legs)

    return breaks


def without_volatility(snapshot: Snapshot, share: float, rng: np.random.Generator) -> float:
    """Take the volatility of contracts out of the money that have traded, near the money."""
    spot = snapshot.spot or 0.0
    stated = [leg for leg in snapshot.near() if leg.is_quoted and leg.last and (leg.strike >= spot) is leg.is_call]
    chosen = some(stated, share, rng)
    for leg in chosen:
        leg.volatility = 0.0
    return len(chosen) / len(stated)


def in_percent(snapshot: Snapshot, share: float, rng: np.random.Generator) -> float:
    """Give volatilities in percent."""
    for leg in snapshot.legs:
        leg.volatility = None if leg.volatility is None else leg.volatility * 100
    return 1.0


def scaled_last(by: float) -> Breaking:
    """Multiply last prices near the money."""

    def breaks(snapshot: Snapshot, share: float, rng: np.random.Generator) -> float:
        quoted = [leg for leg in snapshot.near() if leg.is_quoted]
        traded = [leg for leg in quoted if leg.last]
        chosen = some(traded, min(share * len(quoted) / max(len(traded), 1), 1.0), rng)
        for leg in chosen:
            leg.last = round((leg.last or 0.0) * by, 6)
        return len(chosen) / len(quoted)

    return breaks


def wider(times: float) -> Breaking:
    """Make all spreads wider about their middle."""

    def breaks(snapshot: Snapshot, share: float, rng: np.random.Generator) -> float:
        for leg in snapshot.legs:
            if leg.is_quoted:
                assert leg.bid is not None
                assert leg.ask is not None
                mid, half = (leg.bid + leg.ask) / 2, times * (leg.ask - leg.bid) / 2
                leg.bid, leg.ask = round(max(mid - half, snapshot.tick), 6), round(mid + half, 6)
        return 1.0

    return breaks


def unpriced_strikes(snapshot: Snapshot, share: float, rng: np.random.Generator) -> float:
    """Take all prices of a share of the strikes."""
    chosen = some(places(snapshot, snapshot.legs), share, rng)
    for legs in chosen:
        for leg in legs:
            leg.bid = leg.ask = leg.last = 0.0
    return len(chosen) / len(places(snapshot, snapshot.legs))


def missing_calls(imbalance: float) -> Breaking:
    """Take as many calls near the money that calls and puts differ by this share of both."""

    def breaks(snapshot: Snapshot, share: float, rng: np.random.Generator) -> float:
        near = snapshot.near()
        calls, puts = [leg for leg in near if leg.is_call], sum(1 for leg in near if not leg.is_call)
        kept = puts * (1 - imbalance) / (1 + imbalance)
        gone = {id(leg) for leg in some(calls, max(1 - kept / len(calls), 0.0), rng)}
        snapshot.legs = [leg for leg in snapshot.legs if id(leg) not in gone]
        left = len(calls) - len(gone)
        return abs(left - puts) / (left + puts)

    return breaks


def repeated(change: Callable[[Leg], Leg] = replace) -> Breaking:
    """Append a share of the contracts again, changed or not."""

    def breaks(snapshot: Snapshot, share: float, rng: np.random.Generator) -> float:
        again = [change(leg) for leg in some(snapshot.legs, share, rng)]
        snapshot.legs += again
        return len(again) / len(snapshot.legs)

    return breaks


def next_day(leg: Leg) -> Leg:
    """Return the contract of the same strike that expires a day later."""
    return replace(leg, expiry=leg.expiry + timedelta(days=1))


def unpriced(leg: Leg) -> Leg:
    """Return a contract of which only open interest is sent."""
    return replace(leg, bid=None, ask=None, last=None, volatility=None, quantity=None)


def first_expiry(snapshot: Snapshot, share: float, rng: np.random.Generator) -> float:
    """Keep the first expiry alone."""
    first = min(leg.expiry for leg in snapshot.legs)
    snapshot.legs = [leg for leg in snapshot.legs if leg.expiry == first]
    return 1.0


def on_far_expiries(change: Callable[[Leg], Leg]) -> Breaking:
    """Change a share of the contracts of the latter half of the expiries."""

    def breaks(snapshot: Snapshot, share: float, rng: np.random.Generator) -> float:
        expiries = sorted({leg.expiry for leg in snapshot.legs})
        far = [i for i, leg in enumerate(snapshot.legs) if leg.expiry >= expiries[len(expiries) // 2]]
        chosen = some(far, share, rng)
        for i in chosen:
            snapshot.legs[i] = change(snapshot.legs[i])
        return len(chosen) / len(far)

    return breaks
