"""The Hampel identifier: how far a value is from the median of those before it, in scaled MADs."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]

WINDOW = 50
# Of fewer values a median says little.
_LEAST = 10
# The MAD of a normal distribution times this is its standard deviation (Hampel, 1974).
_SCALE = 1.4826
# A price that stands still has a MAD of zero. A move by less than a few of these is none, whatever the MAD says:
# the minutes of a liquid market move by this much (BTCUSDT of December 2024 by 5 basis points).
_FLOOR = 0.0005


def outlier_scores(values: Floats, before: int, least: float) -> tuple[Longs, Floats]:
    """Return the places after the first `before` whose score may reach `least`, and their scores.

    A score is the distance from the median of the 50 values before, or from the last one if that is nearer: a new
    level is confirmed by its second value. Only that of a place whose step is large enough is worked out.
    """
    count = len(values)
    if count - before <= 0 or count < 2:
        return np.empty(0, np.int64), np.empty(0)
    steps = np.abs(np.diff(values, prepend=values[0]))
    floors = _FLOOR * np.abs(np.concatenate([values[:1], values[:-1]]))
    places = np.flatnonzero((steps >= least * floors) & (steps > 0))
    places = places[(places >= max(before, 1)) & (places >= _LEAST)]
    scores = np.array([_score(values[max(0, place - WINDOW) : place], values[place]) for place in places])
    return places - before, scores


def _score(window: Floats, value: float) -> float:
    median = float(np.median(window))
    spread = _SCALE * float(np.median(np.abs(window - median)))
    moves = np.abs(np.diff(window))
    moves = moves[moves > 0]
    # One tick is no outlier, however coarse the tick.
    tick = float(moves.min()) if len(moves) else 0.0
    scale = max(spread, _FLOOR * abs(float(window[-1])), tick)
    distance = min(abs(value - median), abs(value - float(window[-1])))
    return distance / scale if scale > 0 else 0.0
