"""What was measured on another engine (NautilusTrader 1.231) and must not occur here; the design names it."""

import sys
from decimal import Decimal

import pytest

from services.risk.core.bodies import OrderTerms
from services.risk.core.commands import ActivateKillSwitch, PlaceOrder, SetInstruments
from services.risk.core.decide import decide
from services.risk.core.units import SCALE, micros
from shared.schemas.instruments import AssetClass, Instrument
from shared.schemas.kill_switches import KillReason, KillScope, KillSwitchCreate
from tests.unit.risk.desk import STOCK, Desk, codes, narrow, wide

pytestmark = pytest.mark.unit


def test_a_margined_instrument_is_held_to_the_worth_one_order_may_have() -> None:
    desk = Desk(wide(max_order_value=Decimal(150_000)))
    # One contract is worth 200,000.
    assert codes(desk.order(quantity=1, symbol="FUT")) == ["MAX_ORDER_VALUE"]


def test_without_a_price_a_market_order_does_not_skip_its_notional() -> None:
    desk = Desk(narrow())
    desk.send(SetInstruments((STOCK.model_copy(update={"symbol": "QUIET"}),), "ada"))
    assert codes(desk.order(quantity=1_000_000, symbol="QUIET")) == ["MARK_MISSING"]


def test_while_only_reductions_pass_a_sale_of_ten_times_the_position_does_not_flip_it() -> None:
    desk = Desk(wide(max_daily_loss_fraction=0.05))
    desk.trade("BUY", 500, 100)
    desk.mark(STOCK=85)
    assert desk.account.halted == ("daily_loss",)
    assert "BREAKER_OPEN" in codes(desk.order("SELL", 5_000))
    assert "NOT_REDUCING" in codes(desk.order("SELL", 5_000, reduce_only=True))
    assert codes(desk.order("SELL", 500)) == []


def test_a_halt_can_let_reduce_only_exits_through() -> None:
    desk = Desk(wide())
    desk.trade("BUY", 100, 100)
    request = KillSwitchCreate(scope=KillScope.FIRM, reason="as told", allow_reducing=True)
    desk.send(ActivateKillSwitch("k", request, KillReason.MANUAL, "eve"))
    assert codes(desk.order("SELL", 100, reduce_only=True)) == []


def test_three_purchases_of_most_of_the_money_do_not_all_pass() -> None:
    desk = Desk(wide())
    paid = Instrument(
        symbol="PAID",
        currency="USD",
        asset_class=AssetClass.EQUITY,
        tick_size=Decimal("0.01"),
        initial_margin=1.0,
    )
    desk.send(SetInstruments((paid,), "ada"))
    desk.mark(PAID=100)
    # Each asks for 60 % of what there is.
    found = [codes(desk.order(quantity=600, symbol="PAID")) for _ in range(3)]
    assert found == [[], ["BUYING_POWER"], ["BUYING_POWER"]]


def test_a_purchase_at_fifty_times_the_price_does_not_pass() -> None:
    desk = Desk(wide(price_collar_bps=500))
    assert "PRICE_COLLAR" in codes(desk.order(quantity=1, order_type="LIMIT", limit_price="5000"))


def test_the_work_of_a_decision_does_not_grow_with_open_orders() -> None:
    """Count what a decision does, not how long it takes: a clock tells more of the machine than of the code."""

    def calls(open_orders: int) -> int:
        limits = wide(max_open_orders=10**6, max_messages_per_second=10**9, max_message_burst=10**9)
        desk = Desk(limits, cash="100000000")
        now = micros(desk.now)
        for number in range(open_orders):
            price = (50 + number % 40) * SCALE
            order = OrderTerms(f"r{number}", "trend", "STOCK", True, SCALE, price)
            desk.send(PlaceOrder("main", order, "ada"))
        assert len(desk.account.open_orders) == open_orders
        counted = 0

        def count(*_: object) -> None:
            nonlocal counted
            counted += 1

        order = OrderTerms("asked", "trend", "STOCK", False, SCALE, 120 * SCALE)
        sys.setprofile(count)
        try:
            decide(desk.state, PlaceOrder("main", order, "ada"), now)
        finally:
            sys.setprofile(None)
        return counted

    assert calls(1) == calls(100) == calls(3_000)
