"""Gaps, clocks, prices side by side, rows by slot and sequences of updates."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.training.sample import SAMPLE
from services.marketdata.calendars import calendar_of
from services.marketdata.core.calendars import Gap, micros_array
from services.marketdata.core.flags import Flags
from services.marketdata.core.monitor.cross_source import compare
from services.marketdata.core.monitor.gaps import OpenGap, reconcile
from services.marketdata.core.monitor.sequence import judge_sequence
from services.marketdata.core.monitor.skew import skew_of
from services.marketdata.core.monitor.volume import SESSIONS, last_slot, volume_score
from services.marketdata.core.thresholds import DEFAULTS
from services.marketdata.formats.binance_stream import read_books

pytestmark = pytest.mark.unit
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
NOON = datetime(2024, 1, 2, 12, tzinfo=UTC)
Held = dict[int, OpenGap]


def write(held: Held, found: list[Gap], now: datetime) -> tuple[Held, list[int]]:
    """Return the ledger once a scan was written to it, and which gaps were filled."""
    ledger = reconcile(list(held.values()), found, now)
    kept = {n: gap for n, gap in held.items() if n not in (*ledger.filled, *ledger.absorbed)}
    for n, gap in ledger.changed:
        kept[n] = OpenGap(n, gap.start, gap.end, gap.bars, kept[n].found_at)
    for n, (gap, found_at) in enumerate(ledger.new, start=max(held, default=0) + 1):
        kept[n] = OpenGap(n, gap.start, gap.end, gap.bars, found_at)
    return kept, list(ledger.filled)


@given(st.lists(st.sets(st.integers(0, 40)), min_size=1, max_size=6))
def test_the_ledger_says_what_the_last_scan_found(scans: list[set[int]]) -> None:
    calendar = calendar_of("24x7")
    held: Held = {}
    for number, present in enumerate(scans):
        there = micros_array(NOON + n * MINUTE for n in present)
        found = calendar.missing(there, "1m", NOON, NOON + 41 * MINUTE)
        held, _ = write(held, found, NOON + number * timedelta(days=1))
        assert sorted((gap.start, gap.end, gap.bars) for gap in held.values()) == [
            (gap.start, gap.end, gap.bars) for gap in found
        ]
        again, filled = write(held, found, NOON)
        assert (again, filled) == (held, [])


def test_a_gap_is_filled_when_its_last_bar_came() -> None:
    def gap(first: int, last: int) -> Gap:
        return Gap(NOON + first * MINUTE, NOON + last * MINUTE, last - first)

    held, filled = write({}, [gap(0, 10), gap(20, 30)], NOON)
    assert (sorted(held), filled) == ([1, 2], [])
    held, filled = write(held, [gap(0, 3), gap(6, 10), gap(20, 30)], NOON + MINUTE)
    assert filled == []
    assert {each.found_at for each in held.values()} == {NOON}
    whole, filled = write(held, [gap(0, 10), gap(20, 30)], NOON)
    assert (sorted(each.bars for each in whole.values()), filled) == ([10, 10], [])
    held, filled = write(held, [gap(20, 30)], NOON + 2 * MINUTE)
    assert (list(held), filled) == ([2], [1, 3])
    held, filled = write(held, [gap(15, 45)], NOON + 3 * MINUTE)
    assert (list(held), filled, held[2].bars) == ([2], [], 30)


def test_skew_is_told_from_dense_streams_and_from_events_of_the_future() -> None:
    def batches(count: int, pause: float, delay: float) -> list[tuple[datetime, float]]:
        return [(NOON + n * pause * SECOND, delay + 0.01 * (n % 3)) for n in range(count)]

    assert skew_of(batches(100, 0.1, 1.5)) == pytest.approx(1.51)
    assert skew_of(batches(19, 0.1, 1.5)) is None
    # A poll every five seconds: how old its newest trade is says nothing of clocks.
    assert skew_of(batches(100, 5.0, 2.5)) is None
    assert skew_of(batches(100, 5.0, -2.5)) == pytest.approx(-2.49)


def test_which_of_several_sources_is_off() -> None:
    def at(*prices: tuple[float, float]) -> list[tuple[datetime, float]]:
        return [(NOON + seconds * SECOND, price) for seconds, price in prices]

    near = 5 * SECOND
    sound = {"a": at((0, 100.0), (3, 100.02)), "b": at((0, 100.01), (2, 100.0))}
    assert max(each.basis_points for each in compare(sound, near, near).values()) < 20
    found = compare({**sound, "c": at((1, 102.0))}, near, near)
    assert {source for source, each in found.items() if each.basis_points >= 20} == {"c"}
    assert found["c"].others == ("a", "b")
    first = compare({"a": at((0, 102.0)), "b": at((0, 100.0)), "c": at((0, 100.01))}, near, near)
    assert {source for source, each in first.items() if each.basis_points >= 20} == {"a"}
    two = compare({"a": at((0, 100.0)), "c": at((1, 102.0))}, near, near)
    assert all(each.basis_points >= 100 for each in two.values())
    # A price moves: what was true before is not held against what is true now.
    moved = {"a": at((0, 100.0), (4, 103.0)), "b": at((0, 100.0))}
    assert max(each.basis_points for each in compare(moved, near, near).values()) == 0
    assert compare({"a": at((0, 100.0))}, near, near) == compare({}, near, near) == {}
    assert compare({"a": at((0, 100.0)), "b": at((60, 100.0)), "c": []}, near, near) == {}


@given(st.lists(st.floats(1, 1e6), min_size=2, max_size=6), st.floats(0.01, 100))
def test_being_off_does_not_depend_on_the_unit_of_the_price(prices: list[float], unit: float) -> None:
    near = 5 * SECOND
    one = compare({str(n): [(NOON, price)] for n, price in enumerate(prices)}, near, near)
    other = compare({str(n): [(NOON, price * unit)] for n, price in enumerate(prices)}, near, near)
    for source, each in one.items():
        assert other[source].basis_points == pytest.approx(each.basis_points, rel=1e-6, abs=1e-6)


def test_slots_are_those_of_the_session() -> None:
    calendar = calendar_of("XSHG")
    # The 2nd of January 2024: open 1:30 to 3:30 and 5:00 to 7:00.
    day = datetime(2024, 1, 2, tzinfo=UTC)
    slot = last_slot(calendar, day + 135 * MINUTE)
    assert slot is not None
    assert slot.start == day + 120 * MINUTE
    assert len(slot.earlier) == SESSIONS
    assert all((moment.hour, moment.minute) == (2, 0) and moment < day for moment in slot.earlier)
    for minutes in (0, 91, 104, 250, 300, 430):
        assert last_slot(calendar, day + minutes * MINUTE) is None, minutes
    assert last_slot(calendar_of("24x7"), day + 5 * MINUTE) is None


def test_rows_of_a_slot_are_held_against_those_before() -> None:
    usual = [1_000 + 30 * (n % 7) for n in range(20)]
    assert volume_score(1_050, usual) < 3  # type: ignore[operator]
    assert volume_score(1_300, usual) < 3  # type: ignore[operator]
    assert volume_score(500, usual) >= 6  # type: ignore[operator]
    assert volume_score(0, usual) >= 6  # type: ignore[operator]
    # Bars come in the same number every time: one late is no finding, none is.
    assert volume_score(14, [15] * 20) < 3  # type: ignore[operator]
    assert volume_score(0, [15] * 20) >= 6  # type: ignore[operator]
    assert volume_score(9, [15] * 20) < 3  # type: ignore[operator]
    # A symbol that trades seldom.
    assert volume_score(0, [0, 2, 1, 0, 3, 0, 1, 2, 0, 1, 2, 0, 1]) < 3  # type: ignore[operator]
    assert volume_score(0, [1_000] * 9) is None
    # It began twelve sessions ago.
    assert volume_score(1_000, [0] * 8 + [1_000] * 12) == 0
    assert volume_score(1_000, [0] * 11 + [1_000] * 9) is None


def breaks(rows: list[tuple[int, int]], *before: int) -> dict[int, float | None]:
    flags = Flags(len(rows))
    sequence, previous = (np.array([row[n] for row in rows], np.int64) for n in (0, 1))
    judge_sequence(flags, DEFAULTS, sequence, previous, before)
    return {place: issues[0].value for place, issues in flags.issues.items()}


def test_updates_that_never_came() -> None:
    assert breaks([(10, 5), (12, 10), (15, 12)]) == {}
    assert breaks([(10, 5), (12, 11), (15, 12)]) == {1: 1.0}
    assert breaks([(12, 11), (15, 12)], 8) == {0: 3.0}
    assert breaks([(10, 9), (-1, -1), (15, 12)]) == {2: 2.0}
    # Unnumbered, and begun anew.
    assert breaks([(-1, -1), (-1, -1)], 8) == {}
    assert breaks([(20, -1), (21, 20)], 8) == {}


def test_a_number_that_goes_back_is_found_on_the_book_that_does() -> None:
    assert breaks([(10, -1), (7, -1), (11, -1)]) == {1: 3.0}
    assert breaks([(10, 9), (10, 9), (11, 10)]) == {}
    # An old book that came late: the next one follows the one before it, or leaves updates out after that.
    assert breaks([(10, 9), (7, 6), (11, 10), (12, 11)]) == {1: 3.0}
    assert breaks([(10, 9), (7, 6), (14, 12)]) == {1: 3.0, 2: 2.0}
    assert breaks([(10, 9), (7, 6), (6, 5), (7, 6)]) == {1: 3.0, 2: 1.0}
    # A venue that counts anew goes on from there.
    assert breaks([(800, 799), (3, 2), (4, 3), (9, 8)]) == {1: 797.0, 3: 4.0}
    # Across batches, by the last two that are known.
    assert breaks([(8, 7), (9, 8)], 8, 9) == {0: 1.0}
    assert breaks([(11, 10)], 10, 7) == {}
    assert breaks([(8, 7)], 10, 7) == {}
    assert breaks([(11, 9)], 10, 7) == {0: 2.0}


@given(st.lists(st.integers(1, 9), min_size=3, max_size=40), st.data())
def test_a_break_is_found_where_one_update_was_lost(steps: list[int], data: st.DataObject) -> None:
    numbers = np.cumsum([5, *steps]).tolist()
    rows = list(zip(numbers[1:], numbers[:-1], strict=True))
    assert breaks(rows) == {}
    lost = data.draw(st.integers(1, len(rows) - 2))
    assert breaks(rows[:lost] + rows[lost + 1 :]) == {lost: float(rows[lost][0] - rows[lost][1])}


def test_the_recorded_books_follow_one_another_and_one_left_out_is_found() -> None:
    path, bad = SAMPLE / "binance_futures_btcusdt_stream_20240808.jsonl.gz", []  # type: ignore[var-annotated]
    books = list(read_books([path], symbol="BTCUSDT", report=bad.append))
    rows = sorted(
        (book.ts, book.sequence, -1 if book.previous_sequence is None else book.previous_sequence)
        for book in books
        if book.sequence is not None
    )
    numbers = [(sequence, previous) for _, sequence, previous in rows]
    assert (len(numbers) > 100, bad) == (True, [])
    assert breaks(numbers) == {}
    assert list(breaks(numbers[:50] + numbers[51:])) == [50]
