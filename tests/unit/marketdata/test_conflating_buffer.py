"""What waits for one reader is bounded by its symbols, and says what was left out."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.marketdata.core.live.buffer import SLACK, Change, ConflatingBuffer

pytestmark = pytest.mark.unit
START = datetime(2026, 3, 2, tzinfo=UTC)


def at(number: int) -> datetime:
    return START + timedelta(seconds=number)


def drained(buffer: ConflatingBuffer) -> list[Change]:
    found = []
    while (change := buffer.pop()) is not None:
        found.append(change)
    return found


def test_whoever_keeps_up_gets_everything_in_order() -> None:
    buffer = ConflatingBuffer(["A", "B"])
    for number in range(SLACK + 2):
        assert buffer.put("AB"[number % 2], at(number), str(number)) == 0
    assert [change.text for change in drained(buffer)] == [str(number) for number in range(SLACK + 2)]
    assert buffer.skipped == 0


def test_one_more_leaves_only_the_latest_of_each_symbol() -> None:
    buffer = ConflatingBuffer(["A", "B"])
    left_out = sum(buffer.put("AB"[number % 2], at(number), str(number)) for number in range(SLACK + 3))
    assert left_out == SLACK + 1 == buffer.skipped
    assert [(change.text, change.skipped) for change in drained(buffer)] == [
        (str(SLACK + 2), SLACK // 2 + 1),
        (str(SLACK + 1), SLACK // 2),
    ]


def test_a_busy_symbol_does_not_keep_a_quiet_one_waiting() -> None:
    """Between any two of what a very slow reader takes, A comes before B and far more often."""
    buffer = ConflatingBuffer(["A", "B"])
    taken = []
    for turn in range(20):
        for number in range(SLACK * 2):
            buffer.put("B" if number % 100 == 99 else "A", at(turn * 1_000 + number), "")
        taken.append(buffer.pop())
    symbols = [change.symbol for change in taken if change is not None]
    assert {symbols.count("A"), symbols.count("B")} == {10}


def test_an_older_mark_never_follows_a_newer_one() -> None:
    buffer = ConflatingBuffer(["A"])
    for moment in (5, 3, 5, 6):
        buffer.put("A", at(moment), str(moment))
    assert [change.text for change in drained(buffer)] == ["5", "5", "6"]
    buffer.put("A", at(5), "late")
    assert len(buffer) == 0
    buffer.clear()
    assert buffer.put("A", at(1), "1") == 0
    assert len(buffer) == 1


def test_what_nobody_asked_for_is_not_kept() -> None:
    buffer = ConflatingBuffer(["A"])
    buffer.put("B", at(0), "")
    assert len(buffer) == 0


def test_a_snapshot_takes_the_place_of_what_it_has() -> None:
    buffer = ConflatingBuffer(["A", "B", "C"])
    for symbol, number in (("A", 1), ("A", 2), ("B", 2), ("A", 3), ("C", 1)):
        buffer.put(symbol, at(number), f"{symbol}{number}")
    buffer.begin([Change("A", at(2), "A2"), Change("B", at(9), "B9")])
    assert [change.text for change in drained(buffer)] == ["A3", "C1"]
    buffer.put("B", at(8), "B8")
    buffer.put("B", at(9), "B9, corrected")
    assert [change.text for change in drained(buffer)] == ["B9, corrected"]


def test_of_one_moment_the_last_word_counts_after_a_snapshot_too() -> None:
    buffer = ConflatingBuffer(["A"])
    buffer.put("A", at(1), "first")
    buffer.put("A", at(1), "corrected")
    buffer.begin([Change("A", at(1), "corrected")])
    assert drained(buffer) == []


@given(st.lists(st.tuples(st.sampled_from("ABCDE"), st.integers(0, 50), st.booleans()), max_size=2_000))
def test_every_symbol_ends_with_its_newest_and_nothing_is_lost_untold(steps: list[tuple[str, int, bool]]) -> None:
    """However it is read, what was read and what was left out are all that came, and the last is the newest."""
    buffer = ConflatingBuffer("ABCDE")
    came: dict[str, list[int]] = {symbol: [] for symbol in "ABCDE"}
    read: list[Change] = []
    for symbol, number, pops in steps:
        buffer.put(symbol, at(number), str(number))
        if not came[symbol] or number >= came[symbol][-1]:
            came[symbol].append(number)
        assert len(buffer) <= SLACK + 5
        if pops and (change := buffer.pop()) is not None:
            read.append(change)
    read += drained(buffer)
    for symbol, numbers in came.items():
        mine = [change for change in read if change.symbol == symbol]
        assert len(mine) + sum(change.skipped for change in mine) == len(numbers)
        assert [change.moment for change in mine] == sorted(change.moment for change in mine)
        assert not numbers or mine[-1].text == str(numbers[-1])
    assert buffer.skipped == sum(change.skipped for change in read)
