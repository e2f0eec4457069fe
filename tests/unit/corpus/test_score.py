"""How cases are counted."""

import pytest

from benchmarks.corpus.case import Case, Suite, judged, score

pytestmark = pytest.mark.unit


def case(given: str, check: str = "a", expected: str = "", tolerated: str = "") -> Case[str]:
    return Case(check, f"t{given}", "made", given, frozenset(expected.split()), frozenset(tolerated.split()))


def test_each_case_counts_for_every_check_by_what_ought_to_be_found_in_it() -> None:
    cases = [
        case("a", expected="a"),
        case("", expected="a"),
        case("a"),
        case(""),
        case("a b", check="b", expected="b", tolerated="a"),
        case("a b", check="b", expected="b"),
    ]
    suite = Suite("x", ("a", "b"), lambda: cases, str.split)
    scores = score(judged(suite), suite.checks)
    a, b = scores["a"], scores["b"]
    assert (a.found, a.missed, a.false_alarms, a.rightly_silent, a.sound) == (1, 1, 2, 1, 2)
    assert (a.precision, a.recall) == (1 / 3, 0.5)
    assert (dict(a.origins), dict(a.misses), dict(a.alarms)) == ({"made": 4}, {"t": 1}, {"ta": 1, "ta b": 1})
    assert (b.found, b.missed, b.false_alarms, b.rightly_silent, b.sound) == (2, 0, 0, 4, 0)


def test_without_faults_or_alarms_there_is_no_share() -> None:
    suite = Suite("x", ("a",), lambda: [case("")], str.split)
    one = score(judged(suite), suite.checks)["a"]
    assert (one.precision, one.recall) == (None, None)
