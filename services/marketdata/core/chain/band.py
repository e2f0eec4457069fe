"""Between what the spot of a symbol lies, learnt from what it was."""

from collections.abc import Mapping, Sequence

import numpy as np

from services.marketdata.core.thresholds import Bands

# Fewer closes say nothing of how a symbol moves.
FEWEST_SPOTS = 20
_DEVIATIONS = 10.0
_NARROWEST, _WIDEST = 0.20, 1.5


def learn_band(spots: Sequence[float]) -> Mapping[str, Bands]:
    """Return the bands of `spot_below_band` and `spot_above_band` from good spots, oldest first, one a session.

    The edges lie beyond the lowest and the highest of them by ten robust standard deviations of a month's log
    return (1.4826 MAD of those of a session, times the root of 21), at least 20 % and at most a factor of e^1.5.
    Empty where there are fewer than twenty.
    """
    known = np.array([spot for spot in spots if spot > 0], np.float64)
    if len(known) < FEWEST_SPOTS:
        return {}
    returns = np.diff(np.log(known))
    deviation = 1.4826 * float(np.median(np.abs(returns - np.median(returns))))
    beyond = float(np.clip(_DEVIATIONS * deviation * 21**0.5, np.log1p(_NARROWEST), _WIDEST))
    return {
        "spot_below_band": Bands(None, float(known.min() * np.exp(-beyond))),
        "spot_above_band": Bands(None, float(known.max() * np.exp(beyond))),
    }
