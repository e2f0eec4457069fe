"""Trades that a venue sends again as if they were others."""

from collections.abc import Mapping, Sequence

import numpy as np

from services.marketdata.core.calendars.sessions import from_micros
from services.marketdata.core.flags import Flags, Longs
from services.marketdata.core.thresholds import Thresholds

# Venues that count anew do so from one session to the next.
_SAME_MICROS = 12 * 3_600 * 1_000_000


def judge_ids(
    flags: Flags, thresholds: Thresholds, ids: Sequence[str], ts: Longs, sent: Longs, known: Mapping[str, int]
) -> None:
    """Find the trades whose id one had that came before them, at another moment of the same half day.

    `sent` is the order in which they came; `known` are the moments of ids that came before the batch. All times are
    microseconds since 1970.
    """
    if not known and len(set(ids)) == len(ids):
        return
    first = dict(known)
    for place in np.argsort(sent).tolist():
        moment = int(ts[place])
        before = first.setdefault(ids[place], moment)
        if abs(moment - before) >= _SAME_MICROS:
            first[ids[place]] = moment
        elif moment != before:
            message = f"a trade of this id came before, of {from_micros(before).isoformat()}"
            issue = thresholds.issue("duplicate_conflicting", 1.0, message, trade_id=ids[place])
            if issue is not None:
                flags.add(place, issue)
