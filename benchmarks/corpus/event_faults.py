"""Ways to break trades, liquidations and books, and ways to change them that break nothing."""

import json
from collections.abc import Callable
from dataclasses import fields
from datetime import datetime

import numpy as np

from benchmarks.corpus.events import Events
from benchmarks.corpus.rows import micros

Change = Callable[[Events, np.random.Generator], None]


def nothing(events: Events, rng: np.random.Generator) -> None:
    """Change nothing."""


def one_price(by: float) -> Change:
    """Multiply one price."""

    def change(events: Events, rng: np.random.Generator) -> None:
        events.price[events.somewhere(rng)] *= by

    return change


def set_price(price: float) -> Change:
    """Set one price."""

    def change(events: Events, rng: np.random.Generator) -> None:
        place = events.somewhere(rng)
        events.price[place], events.spread[place] = price, 0.0

    return change


def moved(by: float, over: int, back_after: int | None = None) -> Change:
    """Move the market over so many rows, for good or until it comes back."""

    def change(events: Events, rng: np.random.Generator) -> None:
        place = events.somewhere(rng, over + (back_after or 0) + 5)
        steps = np.clip(np.arange(len(events)) - place + 1, 0, over) / over
        if back_after is not None:
            steps -= np.clip(np.arange(len(events)) - place - over - back_after + 1, 0, over) / over
        tick = events.market.tick
        events.price[:] = np.maximum(np.round(events.price * by**steps / tick), 1) * tick

    return change


def set_quantity(quantity: float) -> Change:
    """Set one quantity."""

    def change(events: Events, rng: np.random.Generator) -> None:
        events.quantity[events.somewhere(rng)] = quantity

    return change


def at(moment: datetime) -> Change:
    """Let the last row be of another moment."""

    def change(events: Events, rng: np.random.Generator) -> None:
        events.ts[-1] = micros(moment)

    return change


def starting(moment: datetime) -> Change:
    """Let the rows begin at another moment."""

    def change(events: Events, rng: np.random.Generator) -> None:
        events.ts += micros(moment) - int(events.ts[0])

    return change


def twice(rows: int, price_by: float = 1.0) -> Change:
    """Send the last rows of a live batch again, with other prices where they conflict."""

    def change(events: Events, rng: np.random.Generator) -> None:
        last = np.arange(len(events) - rows, len(events))
        _take(events, np.concatenate([np.arange(len(events)), last]))
        events.price[-rows:] *= price_by
        events.received_after = 0.2

    return change


def named_again(by: int, days: int = 0) -> Change:
    """Give one trade the id of the one so many rows before it, or all the ids of those so many days earlier."""

    def change(events: Events, rng: np.random.Generator) -> None:
        if not days:
            place = events.somewhere(rng)
            events.numbers[place] = events.numbers[place - by]
            return
        half = len(events) // 2
        events.numbers[half:] = events.numbers[: len(events) - half]
        events.ts[half:] = events.ts[: len(events) - half] + days * 86_400_000_000

    return change


def late(rows: int, by: int) -> Change:
    """Send some rows of a live batch later than so many that came after them."""

    def change(events: Events, rng: np.random.Generator) -> None:
        order = np.arange(len(events), dtype=np.float64)
        order[rng.choice(len(events) - by - 1, rows, replace=False)] += by + 0.5
        events.order = np.argsort(order)
        events.received_after = 0.2

    return change


def newest_first(events: Events, rng: np.random.Generator) -> None:
    """Send a live batch newest first."""
    events.order = np.arange(len(events))[::-1]
    events.received_after = 0.2


def one_moment(events: Events, rng: np.random.Generator) -> None:
    """Let five rows each bear the time of the first of them, as trades of one order do."""
    events.ts[:] = np.repeat(events.ts[::5], 5)[: len(events)]
    events.received_after = 0.2


def received(seconds_after: float, lead: float = 0.0) -> Change:
    """Receive the rows so many seconds after the last one, from a clock known to be ahead."""

    def change(events: Events, rng: np.random.Generator) -> None:
        events.received_after, events.lead = seconds_after, lead

    return change


def crossed(rows: int, ticks: float) -> Change:
    """Let the bids of some books be so many steps above their asks; none, and they are the same."""

    def change(events: Events, rng: np.random.Generator) -> None:
        chosen = rng.choice(len(events), rows, replace=False)
        middle = np.round(events.price[chosen] / events.market.tick) * events.market.tick
        events.price[chosen], events.spread[chosen] = middle, -ticks * events.market.tick

    return change


def one_sided(events: Events, rng: np.random.Generator) -> None:
    """Let a tenth of the books have no side, as in an auction."""
    events.price[rng.random(len(events)) < 0.1] = np.nan


def levels(rows: int, *order: int) -> Change:
    """Let some books have several levels a side, each so many steps from the best as `order` has it."""

    def change(events: Events, rng: np.random.Generator) -> None:
        for place in rng.choice(len(events), rows, replace=False).tolist():
            middle, half = events.price[place], events.spread[place] / 2
            steps = [half + each * events.market.tick for each in order]
            bids, asks = ([f"{middle + way * step:.10f}" for step in steps] for way in (-1, 1))
            events.sides[place] = json.dumps([[b, "1"] for b in bids]), json.dumps([[a, "1"] for a in asks])

    return change


def empty(rows: int, bids: bool = True) -> Change:
    """Let some books have no level, or no asks."""

    def change(events: Events, rng: np.random.Generator) -> None:
        for place in rng.choice(len(events), rows, replace=False).tolist():
            bid = f"{events.price[place] - events.spread[place] / 2:.10f}"
            events.sides[place] = "[]" if bids else json.dumps([[bid, "1"]]), "[]"

    return change


def went_back(by: int) -> Change:
    """Let a book of so many books before come again at a later moment; the next one goes on from the newest."""

    def change(events: Events, rng: np.random.Generator) -> None:
        assert events.named is not None
        place = events.somewhere(rng, 2)
        events.numbers[place], events.named[place] = events.numbers[place - by], events.named[place - by]
        events.named[place + 1] = events.numbers[place - 1]

    return change


def wider(times: float, rows: int = 1) -> Change:
    """Widen some books in a row to so many times what books usually are."""

    def change(events: Events, rng: np.random.Generator) -> None:
        place = events.somewhere(rng, rows)
        events.spread[place : place + rows] = times * np.median(events.spread)

    return change


def lost(updates: int) -> Change:
    """Lose some books in a row, whose updates the next one follows."""

    def change(events: Events, rng: np.random.Generator) -> None:
        place = events.somewhere(rng, updates + 1)
        _take(events, np.delete(np.arange(len(events)), np.arange(place, place + updates)))

    return change


def lost_before(events: Events, rng: np.random.Generator) -> None:
    """Lose the books between the batch before and this one."""
    _take(events, np.arange(10, len(events)))


def began_anew(by: int, named: bool = False) -> Change:
    """Let the venue count anew, after a restart or with a snapshot that names no update before it."""

    def change(events: Events, rng: np.random.Generator) -> None:
        assert events.named is not None
        place = events.somewhere(rng)
        events.numbers[place:] += by
        events.named[place + 1 :] += by
        events.named[place] = events.numbers[place] - 1 if named else -1

    return change


def unnumbered(events: Events, rng: np.random.Generator) -> None:
    """Take the numbers away."""
    events.named = None


def _take(events: Events, rows: np.ndarray) -> None:
    for each in fields(events):
        column = getattr(events, each.name)
        if isinstance(column, np.ndarray) and each.name != "before":
            setattr(events, each.name, column[rows])
