"""Measures in bounded memory agree with the plain computation over all values."""

import json
import statistics
from collections.abc import Sequence
from itertools import pairwise
from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.marketdata.core.stream.windows import Arrival, Arrivals, Hampel, MedianEstimate, Rate, SlidingMedian

pytestmark = pytest.mark.unit

numbers = st.lists(st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0, 2.0]), min_size=1, max_size=120)


@given(numbers, st.integers(1, 20))
def test_a_sliding_median_is_that_of_the_last_values(values: list[float], size: int) -> None:
    window = SlidingMedian(size)
    for index, value in enumerate(values):
        expected = statistics.median(values[max(0, index + 1 - size) : index + 1])
        assert window.push(value) == expected
        assert window.median == expected
        assert len(window) == min(index + 1, size)


def plain_hampel(before: Sequence[float], value: float, floor: float, tick: float) -> float:
    median = statistics.median(before)
    deviation = 1.4826 * statistics.median(abs(b - median) for b in before)
    return abs(value - median) / max(deviation, median * floor, tick)


@given(st.lists(st.floats(90, 110) | st.just(100.0), min_size=15, max_size=80), st.floats(0, 8))
def test_hampel_measures_what_the_plain_formula_does_from_the_least_on(values: list[float], least: float) -> None:
    hampel = Hampel(10, 0.001, 0.01)
    for index, value in enumerate(values):
        measured = hampel.measure(value, least)
        if index < 10:
            assert measured == 0
            continue
        expected = plain_hampel(values[index - 10 : index], value, 0.001, 0.01)
        assert (
            measured == pytest.approx(expected)
            if expected >= least
            else measured < max(least, 1e-12) or measured == expected
        )


def test_hampel_does_not_cry_when_a_still_price_moves_by_a_tick() -> None:
    hampel = Hampel(50, 0.0005, 0.1)
    for _ in range(50):
        hampel.measure(100.0, 6)
    assert hampel.measure(100.1, 6) < 6
    assert Hampel(50, 0.0, 0.1, [100.0] * 50).measure(100.5, 0) == pytest.approx(5)
    assert Hampel(50, 0.0005, 0.0, [100.0] * 50).measure(100.5, 0) == pytest.approx(10)


def test_a_rate_is_of_the_last_messages_and_the_first_count_as_a_full_window() -> None:
    rate = Rate(10)
    assert rate.hit(1) == 0.1
    assert rate.hit(3) == 0.2
    assert (rate.at(10), rate.at(11), rate.at(12), rate.at(13)) == (0.2, 0.1, 0.1, 0.0)


def test_arrivals_tell_new_same_conflicting_and_older() -> None:
    arrivals = Arrivals(4, restart=3)
    assert [arrivals.arrive(n, "a") for n in (1, 3, 4)] == [Arrival.NEW] * 3
    assert arrivals.arrive(3, "a") is Arrival.SAME
    assert arrivals.arrive(4, "b") is Arrival.CONFLICTING
    assert arrivals.arrive(2, "a") is Arrival.OLDER
    assert arrivals.arrive(2, "a") is Arrival.SAME
    assert arrivals.arrive(5, "a") is Arrival.NEW


def test_arrivals_forget_the_oldest_and_hold_no_more_than_twice_their_size() -> None:
    arrivals = Arrivals(10, restart=1_000)
    for number in range(1_000):
        arrivals.arrive(number, number)
    assert all(arrivals.arrive(number, number) is Arrival.SAME for number in range(990, 1_000))
    assert arrivals.arrive(5, 5) is Arrival.OLDER
    remembered = arrivals.dump()
    assert len(remembered["recent"]) + len(remembered["before"]) <= 20


def test_ids_that_begin_anew_are_old_only_for_a_while() -> None:
    arrivals = Arrivals(10, restart=5)
    arrivals.arrive(10**9, "a")
    told = [arrivals.arrive(number, "a") for number in range(20)]
    assert told == [Arrival.OLDER] * 5 + [Arrival.NEW] * 15


@given(st.lists(st.floats(1e-7, 0.9) | st.sampled_from([0.0001, 0.0002]), min_size=1, max_size=300))
def test_the_estimated_median_is_within_one_percent(values: list[float]) -> None:
    estimate = MedianEstimate()
    for index, value in enumerate(values):
        estimate.add(value)
        exact = statistics.median_low(values[: index + 1])
        assert estimate.median == pytest.approx(exact, rel=0.0101)


def test_the_estimate_holds_what_it_holds_however_many_values_come() -> None:
    estimate = MedianEstimate()
    before = len(estimate.dump())
    for index in range(20_000):
        estimate.add(exp(log(1e-8) * ((index * 7919) % 1000) / 1000))
    assert before == 0
    assert len(estimate.dump()) <= 1_000
    assert estimate.total == 20_000


def test_zeros_and_values_beyond_the_buckets_count_at_the_ends() -> None:
    estimate = MedianEstimate()
    for value in (0.0, 0.0, 5.0):
        estimate.add(value)
    assert estimate.median == 0.0
    for _ in range(10):
        estimate.add(5.0)
    assert estimate.median == pytest.approx(1.0, rel=0.03)


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from("ab")), max_size=80), st.integers(0, 80))
def test_what_is_dumped_and_loaded_goes_on_as_if_nothing_had_been(arrivals: list[tuple[int, str]], at: int) -> None:
    through, carried = Arrivals(5, 4), Arrivals(5, 4)
    for index, (number, content) in enumerate(arrivals):
        if index == at:
            other = Arrivals(5, 4)
            other.load(json.loads(json.dumps(carried.dump())))
            carried = other
        assert carried.arrive(number, content) is through.arrive(number, content)


def test_the_median_estimate_survives_too() -> None:
    estimate = MedianEstimate()
    for value in (0.001, 0.002, 0.003, 0.004):
        estimate.add(value)
    again = MedianEstimate(json.loads(json.dumps(estimate.dump())))
    assert again.median == estimate.median
    for one in (estimate, again):
        one.add(0.9)
        one.add(0.9)
    assert again.median == estimate.median
    assert all(a <= b for a, b in pairwise([0.0, again.median]))


def test_what_was_dumped_of_a_longer_window_is_cut_to_the_newest() -> None:
    window = SlidingMedian(3, [9.0, 9.0, 1.0, 2.0, 3.0])
    assert (len(window), window.median, window.push(4.0)) == (3, 2.0, 3.0)
