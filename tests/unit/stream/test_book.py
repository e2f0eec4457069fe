"""A kept book: what a snapshot and updates make of it, and when there is none."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.marketdata.core.stream import book
from services.marketdata.core.stream.book import Applied, OrderBookBuilder
from services.marketdata.core.stream.messages import DepthSnapshot, DepthUpdate, Side

pytestmark = pytest.mark.unit


def side(levels: dict[str, str]) -> Side:
    texts = [text for pair in levels.items() for text in pair]
    return Side(texts, [float(p) for p in levels], [float(q) for q in levels.values()])


def update(
    first: int, last: int, previous: int, bids: dict[str, str] | None = None, asks: dict[str, str] | None = None
) -> DepthUpdate:
    return DepthUpdate(0, 1_000, 1_000 + last, "AAA", first, last, previous, side(bids or {}), side(asks or {}), 0)


def snapshot(last: int, bids: dict[str, str] | None = None, asks: dict[str, str] | None = None) -> DepthSnapshot:
    return DepthSnapshot(0, 1_000, 1_000 + last, "AAA", last, side(bids or {"10": "1"}), side(asks or {"11": "1"}))


def levels(builder: OrderBookBuilder, count: int = 10) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    top = builder.top(count)
    assert top is not None
    return [(str(p), str(q)) for p, q in top.bids], [(str(p), str(q)) for p, q in top.asks]


def test_levels_are_set_replaced_and_removed_best_first_and_exact() -> None:
    builder = OrderBookBuilder("AAA")
    builder.snapshot(snapshot(5, {"10.00": "1", "9.5": "2", "9": "3"}, {"11": "1", "12": "2"}))
    assert (
        builder.apply(update(4, 7, 3, {"9.50": "0.000", "9.75": "4.10", "8": "0"}, {"11": "7", "10.5": "1"}))
        is Applied.APPLIED
    )
    assert levels(builder) == (
        [("10.00", "1"), ("9.75", "4.10"), ("9", "3")],
        [("10.5", "1"), ("11", "7"), ("12", "2")],
    )
    assert levels(builder, 1) == ([("10.00", "1")], [("10.5", "1")])
    top = builder.top(1)
    assert top is not None
    assert (top.sequence, top.previous_sequence, top.ts.microsecond) == (7, 3, 7_000)


def test_there_is_no_book_before_a_snapshot() -> None:
    builder = OrderBookBuilder("AAA")
    assert builder.apply(update(1, 2, 0)) is Applied.WAITING
    assert builder.top(5) is None
    assert not builder.ready


def test_updates_that_came_before_the_snapshot_did_are_applied_after_it() -> None:
    builder = OrderBookBuilder("AAA")
    for one in (update(1, 3, 0, {"10": "5"}), update(4, 6, 3, {"10": "6"}), update(7, 9, 6, {"10": "7"})):
        builder.apply(one)
    assert builder.snapshot(snapshot(5)) is Applied.APPLIED
    assert levels(builder) == ([("10", "7")], [("11", "1")])
    assert builder.apply(update(10, 12, 9, {"10": "8"})) is Applied.APPLIED


def test_a_snapshot_older_than_all_that_came_is_not_enough() -> None:
    builder = OrderBookBuilder("AAA")
    builder.apply(update(11, 13, 10))
    assert builder.snapshot(snapshot(5)) is Applied.WAITING
    assert not builder.ready
    assert builder.snapshot(snapshot(12)) is Applied.APPLIED


@pytest.mark.parametrize("first", [update(4, 5, 3), update(5, 8, 4), update(6, 8, 5), update(7, 8, 5)])
def test_the_first_update_reaches_over_the_snapshot_or_follows_it(first: DepthUpdate) -> None:
    builder = OrderBookBuilder("AAA")
    builder.snapshot(snapshot(5))
    assert builder.apply(first) is Applied.APPLIED


def test_an_update_from_before_the_snapshot_is_stale() -> None:
    builder = OrderBookBuilder("AAA")
    builder.snapshot(snapshot(5))
    assert builder.apply(update(1, 3, 0, {"10": "9"})) is Applied.STALE
    assert builder.apply(update(4, 6, 3)) is Applied.APPLIED
    assert levels(builder)[0] == [("10", "1")]


def test_a_repeated_and_an_older_update_change_nothing() -> None:
    builder = OrderBookBuilder("AAA")
    builder.snapshot(snapshot(5))
    builder.apply(update(5, 6, 4, {"10": "2"}))
    builder.apply(update(7, 8, 6, {"10": "3"}))
    assert builder.apply(update(5, 6, 4, {"10": "2"})) is Applied.STALE
    assert builder.apply(update(7, 8, 6, {"10": "9"})) is Applied.STALE
    assert levels(builder)[0] == [("10", "3")]


def test_a_missing_update_breaks_the_book_until_a_snapshot_that_reaches_what_came_since() -> None:
    builder = OrderBookBuilder("AAA")
    builder.snapshot(snapshot(5))
    builder.apply(update(5, 6, 4))
    assert builder.apply(update(9, 10, 8, {"10": "4"})) is Applied.BROKEN
    assert builder.top(5) is None
    assert builder.apply(update(11, 12, 10, {"9": "5"})) is Applied.WAITING
    assert builder.snapshot(snapshot(7)) is Applied.WAITING
    assert builder.snapshot(snapshot(9)) is Applied.APPLIED
    assert levels(builder)[0] == [("10", "4"), ("9", "5")]


def test_a_book_that_grows_without_bound_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "MOST_LEVELS", 3)
    builder = OrderBookBuilder("AAA")
    builder.snapshot(snapshot(5))
    assert builder.apply(update(5, 6, 4, {str(n): "1" for n in range(1, 6)})) is Applied.BROKEN
    assert not builder.ready


@given(st.lists(st.dictionaries(st.integers(1, 30), st.integers(0, 3), max_size=6), min_size=1, max_size=20))
def test_the_book_is_what_a_plain_dictionary_makes_of_the_updates(updates: list[dict[int, int]]) -> None:
    builder = OrderBookBuilder("AAA")
    builder.snapshot(snapshot(0, {"100": "1"}, {"200": "1"}))
    bids = {100: 1}
    for index, levels_of in enumerate(updates):
        builder.apply(update(index, index + 1, index, {str(p): str(q) for p, q in levels_of.items()}))
        bids = {p: q for p, q in {**bids, **levels_of}.items() if q}
    top = builder.top(50)
    assert top is not None
    assert top.bids == [(Decimal(p), Decimal(bids[p])) for p in sorted(bids, reverse=True)]
