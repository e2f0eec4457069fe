"""Simulated fills, fees and the desk's own book."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.replay.execution import FEE_BPS, Book, fee, fill_price, whole_fill
from shared.schemas.instruments import AssetClass
from shared.schemas.orders import Order, Side
from tests.unit.cli.recording import CASH, START, bar, instrument, state

pytestmark = pytest.mark.unit

prices = st.decimals("0.01", "100000", places=2)
quantities = st.decimals("0.00001", "1000", places=5)


def order(side: Side, quantity: Decimal, number: int = 0, symbol: str = "AAA") -> Order:
    return Order(
        client_order_id=f"o-{number}", strategy_id="s", symbol=symbol, side=side, quantity=quantity, ts_event=START
    )


@pytest.mark.parametrize(
    ("asset_class", "currency", "price", "quantity", "expected"),
    [
        (AssetClass.EQUITY, "USD", "750.00", "100", "7.5"),
        (AssetClass.EQUITY, "USD", "0.50", "100", "0.01"),  # 0.005 goes up to a cent
        (AssetClass.EQUITY, "USD", "0.49", "100", "0"),  # 0.0049 goes down
        (AssetClass.INDEX, "INR", "10910.10", "7", "15.27"),
        (AssetClass.CRYPTO, "USDT", "97217.89", "0.12345", "12.00154852"),
    ],
)
def test_a_fee_is_basis_points_of_notional_to_the_smallest_unit(
    asset_class: AssetClass, currency: str, price: str, quantity: str, expected: str
) -> None:
    traded = instrument(asset_class=asset_class, currency=currency)
    assert fee(traded, Decimal(price), Decimal(quantity)) == Decimal(expected)


def test_the_multiplier_is_part_of_the_notional_a_fee_is_paid_on() -> None:
    traded = instrument(multiplier=Decimal(50))
    assert fee(traded, Decimal(100), Decimal(2)) == Decimal(1)


def test_every_asset_class_has_a_fee() -> None:
    assert set(FEE_BPS) == set(AssetClass)


@given(prices, quantities)
def test_a_fee_is_within_half_a_unit_of_the_exact_one(price: Decimal, quantity: Decimal) -> None:
    charged = fee(instrument(), price, quantity)
    assert abs(charged - price * quantity / 10_000) <= Decimal("0.005")


def test_an_order_fills_at_the_open_of_the_bar_that_begins_as_it_is_made() -> None:
    assert fill_price(bar(5, "101", "100.5"), START + timedelta(minutes=5)) == (
        Decimal("100.5"),
        START + timedelta(minutes=5),
    )


def test_an_order_does_not_fill_at_an_open_before_it_was_made() -> None:
    assert fill_price(bar(5, "101", "100.5"), START + timedelta(minutes=5, seconds=1)) is None


def test_an_order_does_not_fill_at_the_spot_it_was_made_on() -> None:
    assert fill_price(state(5, "100"), START + timedelta(minutes=5)) is None
    assert fill_price(state(6, "100"), START + timedelta(minutes=5)) is not None


@pytest.mark.parametrize("spot", [None, Decimal(0)])
def test_an_order_does_not_fill_without_a_price(spot: Decimal | None) -> None:
    assert fill_price(state(6, "100").model_copy(update={"spot_price": spot}), START) is None


@given(st.lists(st.tuples(st.sampled_from(Side), st.integers(1, 100), prices), min_size=1, max_size=20), prices)
def test_equity_is_cash_plus_what_each_fill_gained_to_the_mark_less_fees(
    trades: list[tuple[Side, int, Decimal]], mark: Decimal
) -> None:
    traded = instrument(multiplier=Decimal(2))
    book = Book(cash=CASH, instruments={"AAA": traded})
    expected = CASH
    for number, (side, quantity, price) in enumerate(trades):
        sent = order(side, Decimal(quantity), number)
        book.pending[sent.client_order_id] = sent
        fill = whole_fill(sent, traded, price, START)
        book.applied(sent, fill)
        gain = (mark - price) * quantity * 2
        expected += (gain if side is Side.BUY else -gain) - fill.fee
    book.marks["AAA"] = mark
    assert book.equity == expected
    assert not book.pending


def test_a_position_counts_open_orders_of_that_strategy_alone() -> None:
    book = Book(cash=CASH, instruments={"AAA": instrument()})
    book.positions[("s", "AAA")] = Decimal(10)
    book.positions[("other", "AAA")] = Decimal(99)
    book.pending["o-0"] = order(Side.SELL, Decimal(4))
    assert book.position("s", "AAA") == 6
    assert book.position("other", "AAA") == 99
    assert book.position("s", "BBB") == 0
