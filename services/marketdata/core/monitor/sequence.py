"""Updates of order books that never came, each naming the one before it, and books older than the one before them."""

from collections.abc import Sequence

from services.marketdata.core.flags import Flags, Longs
from services.marketdata.core.thresholds import Thresholds

# What stands for no number.
UNNUMBERED = -1


def judge_sequence(
    flags: Flags, thresholds: Thresholds, sequence: Longs, previous: Longs, before: Sequence[int] = ()
) -> None:
    """Find the books, in the order of their times, whose update before never came or whose number goes back.

    `before` are the last two numbers known, oldest first. What is missing is as many updates as lie between. The book
    itself is whole, and the next one goes on from it: that is the resynchronisation. After a book that went back it may
    also go on from the one before that: an old book came late, and not a venue that counts anew. A book that names no
    update before it begins anew: there is nothing to miss.
    """
    last = before[-1] if before else UNNUMBERED
    passed = before[-2] if len(before) > 1 and before[-2] > last else UNNUMBERED
    for place, (number, named) in enumerate(zip(sequence.tolist(), previous.tolist(), strict=True)):
        since = passed if passed != UNNUMBERED and named >= passed else last
        back = UNNUMBERED != number < last
        if back:
            value, message = float(last - number), f"it is {last - number} updates older than the book before it"
        else:
            value, message = float(named - since), f"{named - since} updates before this one never came"
        if back or (last != UNNUMBERED and since < named < number):
            issue = thresholds.issue("sequence_break", value, message, last=last if back else since, named=named)
            if issue is not None:
                flags.add(place, issue)
        if number != UNNUMBERED:
            passed, last = last if back else UNNUMBERED, number
