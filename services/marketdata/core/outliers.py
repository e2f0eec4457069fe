"""The Hampel identifier: how far a value is from the median of those before it, in scaled MADs."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

WINDOW = 50
# Of fewer values a median says little.
_LEAST = 10
# The MAD of a normal distribution times this is its standard deviation (Hampel, 1974).
_SCALE = 1.4826
# A price that stands still has a MAD of zero. A move by less than a few of these is none, whatever the MAD says:
# the minutes of a liquid market move by this much (BTCUSDT of December 2024 by 5 basis points).
_FLOOR = 0.0005
# Between two sessions it moves as far as it likes: shares open some per cent from where they closed.
_FLOOR_OVER_A_BREAK = 0.01
# A share of 7 rupees moves by 0.7 % if it moves at all, which is then three of these.
_TICK_UNKNOWN = 0.0025


def outlier_scores(values: Floats, before: int, least: float, after_break: Mask | None = None) -> tuple[Longs, Floats]:
    """Return the places after the first `before` whose score may reach `least`, and their scores.

    A score is the distance from the median of the 50 values before, or from the last one if that is nearer: a new
    level is confirmed by its second value. Only that of a place whose step is large enough is worked out.
    `after_break` says of the values after the first `before` which are the first of a session.
    """
    count = len(values)
    if count - before <= 0 or count < 2:
        return np.empty(0, np.int64), np.empty(0)
    steps = np.abs(np.diff(values, prepend=values[0]))
    floors = _FLOOR * np.abs(np.concatenate([values[:1], values[:-1]]))
    if after_break is not None:
        floors[before:] *= np.where(after_break, _FLOOR_OVER_A_BREAK / _FLOOR, 1.0)
    places = np.flatnonzero((steps >= least * floors) & (steps > 0))
    places = places[(places >= max(before, 1)) & (places >= _LEAST)]
    scores = np.array(
        [_score(values[max(0, place - WINDOW) : place], values[place], floors[place]) for place in places]
    )
    return places - before, scores


def _score(window: Floats, value: float, floor: float) -> float:
    median = _median(window)
    spread = _SCALE * _median(np.abs(window - median))
    moves = np.abs(np.diff(window))
    moves = moves[moves > 0]
    # One tick is no outlier, however coarse the tick.
    # Of a price that has stood still nobody knows it.
    tick = float(moves.min()) if len(moves) else _TICK_UNKNOWN * abs(float(window[-1]))
    scale = max(spread, floor, tick)
    distance = min(abs(value - median), abs(value - float(window[-1])))
    return distance / scale if scale > 0 else 0.0


def _median(values: Floats) -> float:
    # Of so few values sorting all of them is faster than what numpy does for any number.
    ordered = np.sort(values)
    return float(ordered[(len(ordered) - 1) >> 1] + ordered[len(ordered) >> 1]) / 2
