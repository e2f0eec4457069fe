"""How far a source's clock is from ours, as far as rows tell."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

import numpy as np

_FEWEST_BATCHES = 20
# Where batches come further apart, how old a row is when it comes says how often somebody looks.
_DENSE_SECONDS = 1.0


def skew_of(batches: Sequence[tuple[datetime, float]]) -> float | None:
    """Return the median of receive less event time in seconds, None where the rows do not tell.

    Of each batch, by its time of receipt, the least of its rows counts: the others waited for it. A delay is told from
    a dense stream only; an event after its receipt is one however seldom it comes.
    """
    if len(batches) < _FEWEST_BATCHES:
        return None
    ordered = sorted(batches)
    skew = float(np.median([least for _, least in ordered]))
    waits = [(after[0] - before[0]).total_seconds() for before, after in pairwise(ordered)]
    return skew if skew < 0 or float(np.median(waits)) <= _DENSE_SECONDS else None
