"""Features: finite, free of look-ahead, and what the hand arithmetic gives."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.schemas.orders import Side
from strategies.features import (
    CALM,
    FEATURE_NAMES,
    TREND,
    VOLATILE,
    ChainView,
    Ewma,
    PriceFeatures,
    PriceView,
    bounded,
    signal_features,
)

pytestmark = pytest.mark.unit

START = datetime(2024, 1, 2, 9, 15, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
prices = st.floats(min_value=1e-8, max_value=1e12, allow_nan=False)
volumes = st.floats(min_value=0, max_value=1e15, allow_nan=False)


def views(series: list[tuple[float, float]]) -> list[PriceView]:
    fold = PriceFeatures(3, 6)
    return [fold.update(START + i * MINUTE, price, volume) for i, (price, volume) in enumerate(series)]


def test_ewma_follows_its_formula() -> None:
    # span 3: alpha 1/2. Mean 1 -> 1 + (5-1)/2 = 3; variance (1/2)(0 + 2*4) = 4.
    ewma = Ewma(3)
    ewma.update(1.0)
    ewma.update(5.0)
    assert (ewma.mean, ewma.variance, ewma.z(7.0)) == (3.0, 4.0, 2.0)


def test_one_price_change_gives_the_momentum_of_hand_arithmetic() -> None:
    # One return r: volatility is |r|, momentum r / (|r| sqrt(3)).
    assert views([(100, 0), (101, 0)])[1].momentum == pytest.approx(1 / math.sqrt(3))
    assert views([(100, 0), (99, 0)])[1].momentum == pytest.approx(-1 / math.sqrt(3))


def test_the_moving_average_distance_is_in_volatilities() -> None:
    view = views([(100, 0), (101, 0)])[1]
    fast, slow = 100 + 2 / 4, 100 + 2 / 7
    assert view.ma_distance == pytest.approx((fast - slow) / (101 * math.log(1.01)))


def test_warm_up_ends_with_the_slow_span() -> None:
    assert [view.ready for view in views([(100.0, 1.0)] * 7)] == [False] * 5 + [True] * 2


def test_constant_prices_and_no_volume_give_zeros() -> None:
    assert views([(100.0, 0.0)] * 20)[-1] == PriceView(True, 0.0, 0.0, 0.0, 0.0)


def test_a_change_over_a_night_is_no_sample_of_volatility() -> None:
    fold = PriceFeatures(3, 6)
    for i, price in enumerate([100.0, 100.1, 100.0, 100.1]):
        before = fold.update(START + i * MINUTE, price)
    after = fold.update(START + timedelta(hours=18), 110.0)
    assert after.volatility_ratio == before.volatility_ratio
    assert abs(after.momentum) > 5


@given(st.lists(st.tuples(prices, volumes), min_size=1, max_size=40))
@settings(max_examples=200, deadline=None)
def test_features_are_finite_and_bounded_for_any_prices(series: list[tuple[float, float]]) -> None:
    chain = ChainView(10.0, -10.0, 0.0)
    for view in views(series):
        for side in Side:
            values = signal_features(side, view, chain)
            assert tuple(values) == FEATURE_NAMES
            assert all(math.isfinite(value) and abs(value) <= 10 for value in values.values())


@given(st.lists(st.tuples(prices, volumes), min_size=2, max_size=30), st.lists(st.tuples(prices, volumes), max_size=10))
@settings(max_examples=100, deadline=None)
def test_features_do_not_change_when_the_future_does(
    past: list[tuple[float, float]], future: list[tuple[float, float]]
) -> None:
    assert views(past + future)[: len(past)] == views(past)


@pytest.mark.parametrize("price", [0.0, -1.0, math.nan, math.inf])
def test_a_price_that_is_none_is_refused(price: float) -> None:
    with pytest.raises(ValueError, match="above zero"):
        PriceFeatures(3, 6).update(START, price)


def test_spans_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="spans"):
        PriceFeatures(6, 6)


def test_directional_features_change_sign_with_the_side_and_the_others_do_not() -> None:
    view, chain = PriceView(True, 1.0, 2.0, 3.0, 4.0), ChainView(5.0, 6.0, 7.0)
    buy, sell = signal_features(Side.BUY, view, chain), signal_features(Side.SELL, view, chain)
    assert list(buy.values()) == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 1.0]
    assert list(sell.values()) == [-1.0, -2.0, 3.0, 4.0, -5.0, -6.0, -7.0, 1.0]
    assert list(signal_features(Side.BUY, view).values()) == [1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0]


def test_regimes_by_their_thresholds() -> None:
    def regime(ratio: float, distance: float) -> str:
        return PriceView(True, 0.0, distance, ratio, 0.0).regime

    assert regime(math.log(1.5), 4.0) == CALM
    assert regime(0.0, -4.01) == TREND
    assert regime(math.log(1.51), 9.0) == VOLATILE


def test_what_is_not_a_number_counts_as_nothing() -> None:
    assert (bounded(math.nan), bounded(math.inf), bounded(-math.inf)) == (0.0, 10.0, -10.0)
