"""Updates of order books that never came: each names the one before it."""

from services.marketdata.core.flags import Flags, Longs
from services.marketdata.core.thresholds import Thresholds

# What stands for no number.
UNNUMBERED = -1


def judge_sequence(flags: Flags, thresholds: Thresholds, sequence: Longs, previous: Longs, before: int | None) -> None:
    """Find the books, in the order of their times, whose update before never came; `before` is the last one known.

    A book that names no update before it begins anew, as does a stream whose numbers fall back: there is nothing to
    miss. What is missing is as many updates as lie between. The book itself is whole, and the next one goes on from
    it: that is the resynchronisation.
    """
    last = UNNUMBERED if before is None else before
    for place, (number, named) in enumerate(zip(sequence.tolist(), previous.tolist(), strict=True)):
        if last != UNNUMBERED and last < named < number:
            missing = float(named - last)
            issue = thresholds.issue(
                "sequence_break", missing, f"{missing:.0f} updates before this one never came", last=last, named=named
            )
            if issue is not None:
                flags.add(place, issue)
        if number != UNNUMBERED:
            last = number
