"""The Hampel identifier: how far a value is from the median of those before it, in scaled MADs."""

from dataclasses import dataclass

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
# All bars of BTCUSDT of 2024 that leapt had 5 to 110 times the usual volume; twice and thrice is nothing special. The
# scale grows by this at most: a volume that is wrong itself must not hide a price that is.
_BUSY, _MOST_TIMES = 4.0, 5.0
# So many windows are looked at together; those of a year of minutes would not fit into memory.
_AT_ONCE = 4_096


@dataclass(frozen=True, slots=True)
class Beside:
    """What is known of bars beside their closes: after how many bars' time each came, high less low, and volume."""

    elapsed: Floats
    ranges: Floats
    volumes: Floats


def outlier_scores(values: Floats, before: int, least: float) -> tuple[Longs, Floats]:
    """Return the places after the first `before` whose score may reach `least`, and their scores.

    A score is the distance from the median of the 50 values before, or from the last one if that is nearer: a new
    level is confirmed by its second value. Only that of a place whose step is large enough is worked out.
    """
    floors = floors_of(values)
    places = judged_places(steps_of(values), floors, before, least)
    medians, scales = usual(values, places, floors)
    scores: Floats = level_distances(values, places, medians) / scales
    return places - before, scores


def floors_of(values: Floats, after_break: Mask | None = None) -> Floats:
    """Return the least scale of each value; `after_break` says of the last ones which are the first of a session."""
    floors: Floats = _FLOOR * np.abs(np.concatenate([values[:1], values[:-1]]))
    if after_break is not None:
        floors[len(floors) - len(after_break) :] *= np.where(after_break, _FLOOR_OVER_A_BREAK / _FLOOR, 1.0)
    return floors


def steps_of(values: Floats) -> Floats:
    """Return how far each value is from the one before it."""
    steps: Floats = np.abs(np.diff(values, prepend=values[:1]))
    return steps


def judged_places(distances: Floats, floors: Floats, before: int, least: float) -> Longs:
    """Return the places after the first `before` where a distance may be `least` scales, and enough is known."""
    places = np.flatnonzero((distances >= least * floors) & (distances > 0))
    return places[(places >= max(before, 1)) & (places >= _LEAST)]


def level_distances(values: Floats, places: Longs, medians: Floats) -> Floats:
    """Return how far values are from the medians before them, or from the last values if those are nearer."""
    return np.minimum(np.abs(values[places] - medians), np.abs(values[places] - values[places - 1]))


def usual(values: Floats, places: Longs, floors: Floats, beside: Beside | None = None) -> tuple[Floats, Floats]:
    """Return the median of the 50 values before each place, and the scale that a distance there is held against."""
    medians, scales = np.empty(len(places)), np.empty(len(places))
    for start in range(0, len(places), _AT_ONCE):
        chosen = places[start : start + _AT_ONCE]
        window = _before(values, chosen)
        count = np.minimum(chosen, WINDOW)
        median = _medians(window, count)
        spread = _SCALE * _medians(np.abs(window - median[:, None]), count)
        moves = np.abs(np.diff(window, axis=1))
        moves = np.where(moves > 0, moves, np.nan)
        # One tick is no outlier, however coarse the tick. Of a price that has stood still nobody knows it.
        tick = np.fmin.reduce(moves, axis=1)
        tick = np.where(np.isnan(tick), _TICK_UNKNOWN * np.abs(values[chosen - 1]), tick)
        scale = np.maximum.reduce([spread, floors[chosen], tick])
        if beside is not None:
            step = _SCALE * _known_medians(moves)
            step = np.where(np.isnan(step), tick, step)
            scale = _of_bars(scale, step, beside, chosen)
        part = slice(start, start + len(chosen))
        # Prices of nothing but zero have no scale, and none is far from another.
        medians[part], scales[part] = median, np.where(scale > 0, scale, np.inf)
    return medians, scales


def _of_bars(scale: Floats, step: Floats, beside: Beside, places: Longs) -> Floats:
    """Return scales that know of bars more than their closes; `step` is how far the price goes when it moves.

    A price that nobody saw for a while moves on as a random walk does; a wick of the usual length is none; and where
    much is traded the price moves by the root of it (Clark, 1973).
    """
    walked = step * np.sqrt(beside.elapsed[places])
    scale = np.maximum.reduce([scale, walked, _known_medians(_before(beside.ranges, places))])
    volumes = _before(beside.volumes, places)
    traded = _known_medians(np.where(volumes > 0, volumes, np.nan))
    times = np.nan_to_num(beside.volumes[places] / traded, nan=1.0)
    busier: Floats = scale * np.clip(np.sqrt(times / _BUSY), 1.0, _MOST_TIMES)
    return busier


def _before(values: Floats, places: Longs) -> Floats:
    """Return a row of the 50 values before each place, of those before the first one NaN."""
    found = places[:, None] + np.arange(-WINDOW, 0)
    return np.where(found >= 0, values[np.maximum(found, 0)], np.nan)


def _known_medians(rows: Floats) -> Floats:
    """Return the median of what is no NaN of each row, NaN without any."""
    return _medians(rows, np.maximum(np.count_nonzero(~np.isnan(rows), axis=1), 1))


def _medians(rows: Floats, count: Longs) -> Floats:
    """Return the median of so many numbers of each row; the others are NaN, which sorts last."""
    ordered = np.sort(rows, axis=1)
    each = np.arange(len(rows))
    medians: Floats = (ordered[each, (count - 1) >> 1] + ordered[each, count >> 1]) / 2
    return medians
