"""What holds for any scenarios: the axioms of a coherent measure, order, and increments."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from services.risk.core.var.contributions import breakdown
from services.risk.core.var.historical import historical, tail_losses
from services.risk.core.var.incremental import ReturnMatrix, incremental
from services.risk.core.var.parametric import cornish_fisher, ewma, normal
from tests.unit.risk.var.samples import FloatArray

pytestmark = pytest.mark.unit
# Far above what a desk loses in a day, and full of ties.
amounts = st.one_of(st.floats(-1e6, 1e6), st.integers(-3, 3).map(float))
# A tail of 20 at 0.95 is one scenario.
confidences = st.one_of(st.sampled_from([0.5, 0.75, 0.9, 0.95]), st.floats(0.01, 0.95))
CLOSE = 1e-8


def samples(least: int = 20, most: int = 120) -> st.SearchStrategy[FloatArray]:
    return arrays.arrays(np.float64, st.integers(least, most), elements=amounts)


pairs = st.integers(20, 120).flatmap(lambda size: st.tuples(samples(size, size), samples(size, size)))


@st.composite
def books(draw: st.DrawFn) -> tuple[ReturnMatrix, dict[str, float]]:
    """A return matrix and an exposure to each of its symbols."""
    symbols = draw(st.integers(1, 5))
    shape = (draw(st.integers(20, 60)), symbols)
    history = draw(arrays.arrays(np.float64, shape, elements=st.floats(-0.5, 0.5)))
    names = [f"S{index}" for index in range(symbols)]
    return ReturnMatrix(names, history), {name: draw(st.floats(-1e6, 1e6)) for name in names}


@given(samples(), confidences)
def test_shortfall_is_never_below_value_at_risk(sample: FloatArray, confidence: float) -> None:
    value_at_risk, shortfall = tail_losses(sample, confidence)
    assert shortfall >= value_at_risk
    found = historical(sample, 1e6, confidence, 10)
    assert found.expected_shortfall >= found.value_at_risk >= 0


@given(samples(75), confidences, st.integers(1, 20))
def test_nor_is_it_by_any_formula(sample: FloatArray, confidence: float, days: int) -> None:
    for method in (normal, ewma, cornish_fisher):
        found = method(sample, 1e6, confidence, days)
        assert found.expected_shortfall >= found.value_at_risk >= 0


@given(samples(), confidences)
def test_both_are_what_numpy_sorts_them_to_be(sample: FloatArray, confidence: float) -> None:
    ordered, size = np.sort(sample), len(sample) * (1 - confidence)
    weights = np.clip(size - np.arange(len(sample)), 0, 1)
    value_at_risk, shortfall = tail_losses(sample, confidence)
    assert shortfall == pytest.approx(-(ordered @ weights) / size, abs=CLOSE, rel=1e-9)
    # Within a hair of a whole number, numpy and the decimal digits may part: then it is the one or the other.
    near = {int(np.ceil(size - 1e-9)), int(np.ceil(size + 1e-9))}
    assert value_at_risk in {-ordered[each - 1] for each in near if each <= len(sample)}


@given(samples(), confidences, confidences)
def test_more_confidence_is_never_less_risk(sample: FloatArray, one: float, other: float) -> None:
    low, high = (tail_losses(sample, confidence) for confidence in sorted((one, other)))
    assert high[0] >= low[0]
    assert high[1] >= low[1] - CLOSE


@given(samples(), confidences, amounts)
def test_cash_takes_its_amount_off(sample: FloatArray, confidence: float, cash: float) -> None:
    value_at_risk, shortfall = tail_losses(sample, confidence)
    with_cash = tail_losses(sample + cash, confidence)
    assert with_cash == pytest.approx((value_at_risk - cash, shortfall - cash), abs=CLOSE)


@given(samples(), confidences, st.floats(0, 1e3))
def test_twice_the_book_is_twice_the_risk(sample: FloatArray, confidence: float, scale: float) -> None:
    value_at_risk, shortfall = tail_losses(sample, confidence)
    scaled = tail_losses(sample * scale, confidence)
    assert scaled == pytest.approx((value_at_risk * scale, shortfall * scale), abs=1e-6, rel=1e-9)


@given(pairs, confidences)
def test_two_books_together_fall_short_by_no_more_than_apart(
    pair: tuple[FloatArray, FloatArray], confidence: float
) -> None:
    one, other = (tail_losses(each, confidence)[1] for each in pair)
    assert tail_losses(pair[0] + pair[1], confidence)[1] <= one + other + CLOSE


@given(pairs, confidences)
def test_a_book_that_is_never_worse_has_no_more_risk(pair: tuple[FloatArray, FloatArray], confidence: float) -> None:
    worse = tail_losses(np.minimum(*pair), confidence)
    better = tail_losses(np.maximum(*pair), confidence)
    assert better[0] <= worse[0]
    assert better[1] <= worse[1] + CLOSE


@given(books(), st.data(), st.floats(-1e6, 1e6), confidences)
def test_an_increment_is_everything_computed_again(
    book: tuple[ReturnMatrix, dict[str, float]], data: st.DataObject, change: float, confidence: float
) -> None:
    matrix, exposures = book
    symbol = data.draw(st.sampled_from(matrix.symbols))
    found = incremental(matrix, matrix.scenario_pnl(exposures), symbol, change, 1e6, confidence)
    exposures[symbol] += change
    again = historical(matrix.rows.T @ np.array(list(exposures.values())), 1e6, confidence)
    assert found.value_at_risk == pytest.approx(again.value_at_risk, abs=1e-9)
    assert found.expected_shortfall == pytest.approx(again.expected_shortfall, abs=1e-9)


@given(books(), confidences)
def test_the_parts_sum_to_the_whole(book: tuple[ReturnMatrix, dict[str, float]], confidence: float) -> None:
    matrix, exposures = book
    losses = tail_losses(matrix.scenario_pnl(exposures), confidence)
    parts = breakdown(matrix, exposures, 1e6, confidence).contributions
    assert sum(each.component_value_at_risk for each in parts) == pytest.approx(losses[0] / 1e6, abs=1e-9)
    assert sum(each.component_expected_shortfall for each in parts) == pytest.approx(losses[1] / 1e6, abs=1e-9)
