"""Ways to break bars, and ways to change them that break nothing."""

from collections.abc import Callable
from datetime import datetime

import numpy as np

from benchmarks.corpus.bars import Bars
from benchmarks.corpus.rows import micros

Change = Callable[[Bars, np.random.Generator], None]
# A market that moves is traded: each leap of more than six scales in the minutes and quarters of BTCUSDT of 2024 had 5
# to 110 times the usual volume, 14 in the middle.
TRADED_IN_A_MOVE = 14.0


def bad_close(moves: float, volume: float = 1.0) -> Change:
    """Print one close so many of the market's moves away, in a bar of so many times its volume that is stretched."""

    def change(bars: Bars, rng: np.random.Generator) -> None:
        place = bars.somewhere(rng)
        size = moves * bars.market.move * float(rng.choice([-1.0, 1.0]))
        bars.put(place, float(_tick(bars, bars.close[place] * np.exp(size))))
        _trade(bars, place, volume)

    return change


def bad_wick(field: str, moves: float) -> Change:
    """Print one high, low or open so many of the market's moves away; the bar is stretched to hold it."""

    def change(bars: Bars, rng: np.random.Generator) -> None:
        place = bars.somewhere(rng)
        size = moves * bars.market.move
        if field == "low" or (field == "open" and rng.random() < 0.5):
            size = -size
        bars.reach(place, float(_tick(bars, bars.close[place] * np.exp(size))), field == "open")

    return change


def printed(field: str, price: float) -> Change:
    """Print a high or a low of a price that has nothing to do with the market."""

    def change(bars: Bars, rng: np.random.Generator) -> None:
        getattr(bars, field)[bars.somewhere(rng)] = price

    return change


def crash_within(by: float) -> Change:
    """Let the market fall within one bar and come back: there are trades at the low, and many."""

    def change(bars: Bars, rng: np.random.Generator) -> None:
        place = bars.somewhere(rng)
        bars.reach(place, float(_tick(bars, bars.low[place] * by)))
        _trade(bars, place, TRADED_IN_A_MOVE)

    return change


def long_wicks(moves: float) -> Change:
    """Let two bars in three reach so many moves beyond open and close, as in a book with little in it."""

    def change(bars: Bars, rng: np.random.Generator) -> None:
        wide = np.flatnonzero(rng.random(len(bars)) < 2 / 3)
        for place in wide.tolist():
            size = moves * bars.market.move * float(rng.uniform(0.6, 1.2)) * float(rng.choice([-1.0, 1.0]))
            bars.reach(place, float(_tick(bars, bars.close[place] * np.exp(size))))

    return change


def not_received(number: int) -> Change:
    """Lose so many bars in a row, while the market goes on."""

    def change(bars: Bars, rng: np.random.Generator) -> None:
        place = bars.somewhere(rng, number + 5)
        bars.keep(np.r_[:place, place + number : len(bars)])

    return change


def scaled_bar(by: float) -> Change:
    """Multiply all prices of one bar."""

    def change(bars: Bars, rng: np.random.Generator) -> None:
        place = bars.somewhere(rng)
        for prices in (bars.open, bars.high, bars.low, bars.close):
            prices[place] = _tick(bars, prices[place] * by)
        bars.amount[place] = bars.amount[place] * by

    return change


def shifted_from(by: float, over: int = 1, back_after: int | None = None) -> Change:
    """Move the market itself, over so many bars, for good or until it comes back."""

    def change(bars: Bars, rng: np.random.Generator) -> None:
        place = bars.somewhere(rng, over + (back_after or 0) + 5)
        _move(bars, place, by, over)
        if back_after is not None:
            _move(bars, place + over + back_after, 1 / by, over)
            _trade(bars, slice(place + over + back_after, place + 2 * over + back_after), TRADED_IN_A_MOVE)
        _trade(bars, slice(place, place + over), TRADED_IN_A_MOVE)

    return change


def gap_at_opening(by: float) -> Change:
    """Open a session somewhere else, and stay there."""

    def change(bars: Bars, rng: np.random.Generator) -> None:
        gaps = np.diff(bars.ts)
        places = np.flatnonzero(gaps > 2 * np.median(gaps)) + 1
        place = int(rng.choice(places[places > 50]))
        for prices in (bars.open, bars.high, bars.low, bars.close):
            prices[place:] = _tick(bars, prices[place:] * by)
        bars.amount[place:] *= by
        _trade(bars, place, TRADED_IN_A_MOVE)

    return change


def _trade(bars: Bars, places: int | slice, times: float) -> None:
    bars.volume[places] *= times
    bars.amount[places] *= times


def _move(bars: Bars, place: int, by: float, over: int) -> None:
    done = np.ones(len(bars))
    done[place:] = by ** np.minimum(np.arange(1, len(bars) - place + 1) / over, 1.0)
    before = np.concatenate([[1.0], done[:-1]])
    # Within a bar the price goes from where the one before ended to where this one does.
    bars.open[:] = _tick(bars, bars.open * before)
    bars.close[:] = _tick(bars, bars.close * done)
    bars.high[:] = np.maximum.reduce([bars.open, bars.close, _tick(bars, bars.high * done)])
    bars.low[:] = np.minimum.reduce([bars.open, bars.close, _tick(bars, bars.low * done)])
    middle = (bars.high + bars.low) / 2
    bars.amount[:] = np.where(np.isnan(bars.amount), np.nan, bars.volume * middle)


def _tick(bars: Bars, prices: object) -> np.ndarray:
    tick = bars.market.tick
    return np.maximum(np.round(np.round(np.asarray(prices, np.float64) / tick) * tick, 10), tick)


def high_below(ticks: int) -> Change:
    """Set a high so many ticks below the close or the open."""

    def change(bars: Bars, rng: np.random.Generator) -> None:
        place = bars.somewhere(rng)
        most = max(bars.open[place], bars.close[place])
        bars.high[place] = most - ticks * bars.market.tick
        bars.low[place] = min(bars.low[place], bars.high[place])

    return change


def swapped(one: str, other: str) -> Change:
    """Swap two columns of every bar, as a source does that changed its layout."""

    def change(bars: Bars, rng: np.random.Generator) -> None:
        first, second = getattr(bars, one).copy(), getattr(bars, other).copy()
        getattr(bars, one)[:], getattr(bars, other)[:] = second, first

    return change


def flat(bars: Bars, rng: np.random.Generator) -> None:
    """Let all prices of half of the bars be the close: nothing moved within them."""
    chosen = rng.random(len(bars)) < 0.5
    for prices in (bars.open, bars.high, bars.low):
        prices[chosen] = bars.close[chosen]
    bars.amount[chosen] = (bars.volume * bars.close)[chosen]


def amount_times(by: float, share: float = 0.0) -> Change:
    """Multiply the amounts of one bar, or of a share of them."""

    def change(bars: Bars, rng: np.random.Generator) -> None:
        chosen = rng.random(len(bars)) < share
        traded = np.flatnonzero(bars.volume[50:] > 0) + 50
        chosen[int(rng.choice(traded))] = True
        bars.amount[chosen] *= by

    return change


def amount_of_highs(beyond: float) -> Change:
    """Let the amounts say that all was paid for at the high, and so much more."""

    def change(bars: Bars, rng: np.random.Generator) -> None:
        bars.amount[:] = np.where(np.isnan(bars.amount), np.nan, bars.volume * bars.high * (1 + beyond))

    return change


def whole_amounts(bars: Bars, rng: np.random.Generator) -> None:
    """Round amounts to whole units of money."""
    bars.amount[:] = np.round(bars.amount)


def no_amounts(bars: Bars, rng: np.random.Generator) -> None:
    """Send no amounts."""
    bars.amount[:] = np.nan


def without_volume(run: int, still: bool = False) -> Change:
    """Lose the volume of some bars in a row; where `still`, nothing was traded in them at all."""

    def change(bars: Bars, rng: np.random.Generator) -> None:
        place = bars.somewhere(rng, run)
        chosen = slice(place, place + run)
        bars.volume[chosen] = 0.0
        bars.amount[chosen] = np.nan
        if still:
            for prices in (bars.open, bars.high, bars.low, bars.close):
                prices[chosen] = bars.close[place - 1]

    return change


def moved_to(moment: datetime) -> Change:
    """Give the last bar another time."""

    def change(bars: Bars, rng: np.random.Generator) -> None:
        bars.ts[-1] = micros(moment)

    return change


def later_by(seconds: float) -> Change:
    """Date all bars later, or earlier."""

    def change(bars: Bars, rng: np.random.Generator) -> None:
        bars.ts += round(seconds * 1e6)

    return change


def received(seconds_after: float) -> Change:
    """Receive the bars so many seconds after the last one ended."""

    def change(bars: Bars, rng: np.random.Generator) -> None:
        bars.received_after = seconds_after

    return change


def sent_twice(rows: int, conflicting: bool = False) -> Change:
    """Send the last rows of a live batch again, with another close where they conflict."""

    def change(bars: Bars, rng: np.random.Generator) -> None:
        last = np.arange(len(bars) - rows, len(bars))
        _append(bars, last)
        if conflicting:
            bars.put(len(bars) - 1, float(_tick(bars, bars.close[-1] * 1.001)) + bars.market.tick)
        bars.received_after = 1.0

    return change


def sent_in(order: str) -> Change:
    """Send a live batch newest first, or in no order."""

    def change(bars: Bars, rng: np.random.Generator) -> None:
        number = len(bars) - 50
        bars.order = np.arange(number)[::-1] if order == "newest first" else rng.permutation(number)
        bars.received_after = 1.0

    return change


def _append(bars: Bars, rows: np.ndarray) -> None:
    for name in ("ts", "open", "high", "low", "close", "volume", "amount"):
        column = getattr(bars, name)
        setattr(bars, name, np.concatenate([column, column[rows]]))


def closed_at(move: float) -> Change:
    """Close one day so far from the day before, and go on from there."""

    def change(bars: Bars, rng: np.random.Generator) -> None:
        place = bars.somewhere(rng, 10)
        _move(bars, place, bars.close[place - 1] * (1 + move) / bars.close[place], 1)

    return change


def negative(price: float) -> Change:
    """Trade at a price of zero or less for a bar."""

    def change(bars: Bars, rng: np.random.Generator) -> None:
        place = bars.somewhere(rng)
        bars.close[place] = price
        bars.low[place] = price

    return change
