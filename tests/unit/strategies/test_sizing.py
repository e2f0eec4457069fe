"""Order sizes: the fraction of equity, whole lots, and a strategy's own position."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.schemas.instruments import AssetClass, Instrument
from shared.schemas.orders import Side
from strategies.sizing import order_quantity, target_fraction

pytestmark = pytest.mark.unit

EQUITY = Decimal(1_000_000)


def instrument(lot: str = "1", multiplier: str = "1") -> Instrument:
    return Instrument(
        symbol="X",
        currency="USD",
        asset_class=AssetClass.EQUITY,
        tick_size=Decimal("0.01"),
        lot_size=Decimal(lot),
        multiplier=Decimal(multiplier),
    )


def order(
    side: Side,
    confidence: float = 0.6,
    position: str = "0",
    price: str = "750",
    lot: str = "1",
    multiplier: str = "1",
    equity: Decimal = EQUITY,
) -> tuple[Side, Decimal] | None:
    return order_quantity(
        side=side,
        confidence=confidence,
        equity=equity,
        price=Decimal(price),
        instrument=instrument(lot, multiplier),
        position=Decimal(position),
    )


def test_the_fraction_is_fifteen_percent_of_confidence() -> None:
    assert [target_fraction(c) for c in (0.0, 0.5, 0.8, 1.0)] == pytest.approx([0.0, 0.075, 0.12, 0.15])


@pytest.mark.parametrize("confidence", [-0.01, 1.01, float("nan")])
def test_what_is_no_confidence_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        target_fraction(confidence)


def test_a_fresh_position_is_the_fraction_of_equity_in_whole_lots() -> None:
    # 0.09 * 1,000,000 / 750 = 120.
    assert order(Side.BUY) == (Side.BUY, Decimal(120))
    assert order(Side.SELL, lot="50") == (Side.SELL, Decimal(100))
    assert order(Side.BUY, price="96000", lot="0.00001") == (Side.BUY, Decimal("0.9375"))
    assert order(Side.BUY, multiplier="10") == (Side.BUY, Decimal(12))


def test_a_turn_sells_what_is_held_and_the_new_target() -> None:
    assert order(Side.SELL, position="100") == (Side.SELL, Decimal(220))


def test_a_target_about_the_one_held_is_left_alone() -> None:
    assert order(Side.BUY, position="100") is None
    assert order(Side.BUY, position="60") == (Side.BUY, Decimal(60))
    assert order(Side.BUY, position="200") == (Side.SELL, Decimal(80))


def test_nothing_is_ordered_below_one_lot_or_without_equity() -> None:
    assert order(Side.BUY, lot="121") is None
    assert order(Side.BUY, equity=Decimal(0)) is None
    assert order(Side.BUY, price="0") is None


@given(
    confidence=st.floats(0.5, 1),
    position=st.integers(-500, 500),
    side=st.sampled_from(list(Side)),
    price=st.decimals("0.01", "100000", places=2),
)
def test_an_order_never_goes_beyond_the_target(confidence: float, position: int, side: Side, price: Decimal) -> None:
    answer = order(side, confidence, str(position), str(price), lot="0.01")
    if answer is None:
        return
    direction, quantity = answer
    after = position + (quantity if direction is Side.BUY else -quantity)
    target = Decimal(str(round(0.15 * confidence, 6))) * EQUITY / price * (1 if side is Side.BUY else -1)
    assert abs(after - target) < Decimal("0.01")
    assert quantity % Decimal("0.01") == 0
