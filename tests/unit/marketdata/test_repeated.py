"""Trades of one id at several moments."""

import numpy as np
import pytest

from services.marketdata.core.flags import Flags
from services.marketdata.core.repeated import judge_ids
from services.marketdata.core.thresholds import DEFAULTS, Bands, Thresholds

pytestmark = pytest.mark.unit

HOUR = 3_600_000_000


def again(
    ids: str, ts: list[int], sent: list[int] | None = None, thresholds: Thresholds = DEFAULTS, **known: int
) -> dict[int, list[str]]:
    flags = Flags(len(ts))
    order = np.array(sent if sent is not None else range(len(ts)), np.int64)
    judge_ids(flags, thresholds, list(ids), np.array(ts, np.int64), order, known)
    return {place: [issue.code for issue in issues] for place, issues in flags.issues.items()}


FOUND = ["duplicate_conflicting"]


def test_of_one_id_the_trade_that_came_first_stays() -> None:
    assert again("abc", [1, 2, 3]) == {}
    assert again("aba", [1, 2, 3]) == {2: FOUND}
    # Not the one that was first: what is known of a trade may have been passed on.
    assert again("aba", [1, 2, 3], [2, 1, 0]) == {0: FOUND}
    assert again("aaa", [1, 2, 3]) == {1: FOUND, 2: FOUND}


def test_what_came_before_the_batch_counts() -> None:
    assert again("ab", [1, 2], a=5) == {0: FOUND}
    # The same trade again, and another one as well.
    assert again("ab", [5, 6], a=5) == {}
    assert again("aa", [5, 6], a=5) == {1: FOUND}


def test_a_venue_may_count_anew_each_session() -> None:
    assert again("aa", [0, 12 * HOUR]) == {}
    assert again("aa", [0, 12 * HOUR - 1]) == {1: FOUND}
    assert again("aaa", [0, 24 * HOUR, 25 * HOUR]) == {2: FOUND}
    assert again("a", [24 * HOUR], a=0) == {}


def test_a_venue_whose_ids_say_nothing_can_be_left_out() -> None:
    off = Thresholds({"duplicate_conflicting": Bands(None, None)})
    assert again("aa", [1, 2], thresholds=off) == {}


def test_the_finding_names_the_trade_and_its_first_moment() -> None:
    flags = Flags(2)
    judge_ids(flags, DEFAULTS, ["a", "a"], np.array([0, HOUR]), np.arange(2), {})
    (issue,) = flags.issues[1]
    assert (issue.severity.value, issue.details) == ("critical", {"trade_id": "a"})
    assert issue.message.endswith("of 1970-01-01T00:00:00+00:00")
