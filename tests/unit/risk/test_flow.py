"""How orders are sent: throttles, duplicates, own orders on the other side, slices of a parent."""

from datetime import UTC, datetime
from decimal import Decimal
from random import Random

import pytest

from services.risk.core.bodies import OrderTerms, Quote
from services.risk.core.commands import (
    AcknowledgeReplace,
    CloseOrder,
    MoveCash,
    OpenAccount,
    PlaceOrder,
    ReplaceOrder,
    ResetBreaker,
    SetMarks,
)
from services.risk.core.outcome import RefusalKind, Refused
from services.risk.core.positions import Position
from services.risk.core.terms import Terms
from services.risk.core.units import SCALE, micros
from services.risk.core.views import account_status
from shared.schemas.accounts import AccountCreate, CashMovement
from shared.schemas.journal import EventKind
from shared.schemas.orders import OrderClose, OrderReplace, OrderStatus, ReplaceAcknowledgement
from tests.unit.risk.desk import STOCK, Desk, codes, wide

pytestmark = pytest.mark.unit
LIMIT = {"order_type": "LIMIT"}


class TestMessageRate:
    def test_a_burst_passes_and_then_one_for_each_gap(self) -> None:
        desk = Desk(wide(max_messages_per_second=10, max_message_burst=3))
        assert [codes(desk.order()) for _ in range(4)] == [[], [], [], ["MESSAGE_RATE"]]
        desk.later(0.1)
        assert [codes(desk.order()) for _ in range(2)] == [[], ["MESSAGE_RATE"]]
        desk.later(10)
        assert [codes(desk.order()) for _ in range(4)] == [[], [], [], ["MESSAGE_RATE"]]

    def test_every_strategy_has_its_own_and_the_account_one_for_all(self) -> None:
        desk = Desk(wide(max_messages_per_second=1, max_message_burst=2))
        assert codes(desk.order(strategy_id="one")) == []
        assert codes(desk.order(strategy_id="two")) == []
        denied = desk.order(strategy_id="three")
        assert codes(denied) == ["MESSAGE_RATE"]
        assert "account" in denied.reasons[0].message

    def test_what_is_denied_or_cancelled_is_no_message(self) -> None:
        desk = Desk(wide(max_messages_per_second=1, max_message_burst=2, max_order_quantity=10))
        for _ in range(5):
            assert codes(desk.order(quantity=11)) == ["MAX_ORDER_QUANTITY"]
        first = desk.order()
        close = CloseOrder("main", first.client_order_id, OrderStatus.CANCELLED, OrderClose(reason="as told"), "ada")
        desk.send(close)
        assert codes(desk.order()) == []
        # Cancels are never throttled.
        assert codes(desk.order()) == ["MESSAGE_RATE"]
        second = next(iter(desk.account.open_orders))
        assert not isinstance(
            desk.send(CloseOrder("main", second, OrderStatus.CANCELLED, OrderClose(reason="as told"), "ada")), Refused
        )


class TestRepeatedExecution:
    def test_one_too_many_disables_the_strategy_until_it_is_enabled_by_hand(self) -> None:
        desk = Desk(wide(max_repeated_executions=3, repeated_execution_window_seconds=60))
        assert [codes(desk.order()) for _ in range(4)] == [[], [], [], ["REPEATED_EXECUTION"]]
        desk.later(3600)
        desk.mark(STOCK=100)
        # Time alone does not bring it back.
        assert codes(desk.order()) == ["REPEATED_EXECUTION"]
        assert codes(desk.order(strategy_id="other")) == []
        reset = ResetBreaker("main", "repeated_execution:trend", "looked at it", "eve")
        assert not isinstance(desk.send(reset), Refused)
        assert codes(desk.order()) == []
        again = desk.send(reset)
        assert isinstance(again, Refused)
        assert again.kind is RefusalKind.CONFLICT

    def test_a_change_too_many_disables_it_too(self) -> None:
        desk = Desk(wide(max_repeated_executions=2, repeated_execution_window_seconds=60))
        desk.order("BUY", 2, client_order_id="o", order_type="LIMIT", limit_price="99")
        desk.order()
        request = OrderReplace(replace_id="r", quantity=Decimal(3), limit_price=Decimal(99))
        changed = desk.send(ReplaceOrder("main", "o", request, "ada"))
        assert not isinstance(changed, Refused)
        assert changed[0].kind is EventKind.REPLACE_DENIED
        desk.later(3600)
        desk.mark(STOCK=100)
        assert codes(desk.order()) == ["REPEATED_EXECUTION"]
        assert account_status(desk.state, desk.account).disabled_strategies == ["trend"]

    def test_the_count_begins_again_with_the_next_window(self) -> None:
        desk = Desk(wide(max_repeated_executions=2, repeated_execution_window_seconds=60))
        assert [codes(desk.order()) for _ in range(2)] == [[], []]
        desk.later(60)
        assert [codes(desk.order()) for _ in range(3)] == [[], [], ["REPEATED_EXECUTION"]]


class TestDuplicates:
    def test_a_change_counts_as_what_it_made_of_the_order(self) -> None:
        desk = Desk(wide(duplicate_window_ms=500))
        desk.order(quantity=5, client_order_id="o", order_type="LIMIT", limit_price="99")

        def change(replace_id: str, quantity: int, price: str) -> EventKind:
            request = OrderReplace(replace_id=replace_id, quantity=Decimal(quantity), limit_price=Decimal(price))
            changed = desk.send(ReplaceOrder("main", "o", request, "ada"))
            assert not isinstance(changed, Refused)
            word = ReplaceAcknowledgement(replace_id=replace_id, accepted=True)
            desk.send(AcknowledgeReplace("main", "o", word, "ada"))
            return changed[0].kind

        def order(quantity: int, price: str) -> list[str]:
            return codes(desk.order(quantity=quantity, order_type="LIMIT", limit_price=price))

        assert change("there", 6, "98") is EventKind.ORDER_REPLACED
        assert order(6, "98") == ["DUPLICATE_ORDER"]
        assert change("back", 5, "99") is EventKind.ORDER_REPLACED
        assert order(5, "99") == ["DUPLICATE_ORDER"]
        assert order(6, "98") == []

    def test_the_same_but_for_the_id_within_the_window(self) -> None:
        desk = Desk(wide(duplicate_window_ms=500))
        assert codes(desk.order(quantity=5)) == []
        assert codes(desk.order(quantity=5)) == ["DUPLICATE_ORDER"]
        assert codes(desk.order(quantity=6)) == []
        assert codes(desk.order("SELL", 5)) == []
        assert codes(desk.order(quantity=5, strategy_id="other")) == []
        desk.later(0.499999)
        assert codes(desk.order(quantity=5)) == ["DUPLICATE_ORDER"]
        desk.later(0.000001)
        assert codes(desk.order(quantity=5)) == []

    def test_what_is_too_old_is_forgotten(self) -> None:
        desk = Desk(wide(duplicate_window_ms=10))
        for number in range(1, 50):
            desk.later(0.02)
            desk.order(quantity=number)
        assert len(desk.account.recent) == 1

    def test_by_default_there_is_no_window(self) -> None:
        desk = Desk()
        assert [codes(desk.order()) for _ in range(3)] == [[], [], []]


class TestSelfMatch:
    def test_an_own_resting_order_at_a_crossing_price(self) -> None:
        desk = Desk(wide(price_collar_bps=500))
        assert codes(desk.order("SELL", 5, limit_price="101", **LIMIT)) == []
        assert codes(desk.order("BUY", 5, limit_price="100.99", **LIMIT)) == []
        denied = desk.order("BUY", 5, limit_price="101", **LIMIT)
        assert codes(denied) == ["SELF_MATCH"]
        assert codes(desk.order("SELL", 5, limit_price="100.99", **LIMIT)) == ["SELF_MATCH"]
        assert codes(desk.order("SELL", 5, limit_price="101", **LIMIT)) == []

    def test_amounts_are_written_plainly_however_large_or_small(self) -> None:
        desk = Desk(wide(), cash="10000000000")
        desk.mark(STOCK=12_345_678)
        desk.order("SELL", 5, limit_price="12345678.25", **LIMIT)
        denied = desk.order("BUY", 5, limit_price="12345678.25", **LIMIT)
        told = {reason.code: reason.message for reason in denied.reasons}
        assert told["SELF_MATCH"] == "an own order rests at 12345678.25 on the other side"
        desk.send(SetMarks(None, (Quote("STOCK", 1, micros(desk.now) + 1_000_000),)))
        (reason,) = desk.order("SELL", 1).reasons
        assert reason.message == "STOCK jumped from 12345678 to 0.0000000001 and that is not confirmed"
        outcome = desk.send(
            MoveCash("main", CashMovement(movement_id="m", amount="-20000000000.50", reason="out"), "a")
        )
        assert isinstance(outcome, Refused)
        assert outcome.detail == "the account is worth 10000000000; it cannot pay out 20000000000.5"

    def test_a_market_order_reaches_as_far_as_its_collar(self) -> None:
        desk = Desk(wide(price_collar_bps=100))
        desk.order("SELL", 5, limit_price="101", **LIMIT)
        assert codes(desk.order("BUY", 5)) == ["SELF_MATCH"]
        far = Desk(wide(price_collar_bps=100))
        far.order("SELL", 5, limit_price="101.01", **LIMIT)
        assert codes(far.order("BUY", 5)) == []

    def test_once_it_is_gone_nothing_is_in_the_way(self) -> None:
        desk = Desk(wide())
        resting = desk.order("SELL", 5, limit_price="100", **LIMIT)
        assert codes(desk.order("BUY", 5, limit_price="100", **LIMIT)) == ["SELF_MATCH"]
        desk.fill(resting, 5, 100)
        assert codes(desk.order("BUY", 5, limit_price="100", **LIMIT)) == []


class TestParents:
    PARENT = {"parent_order_id": "p-1", "parent_quantity": "100"}

    def test_slices_may_not_sum_to_more_than_the_parent(self) -> None:
        desk = Desk(wide())
        assert codes(desk.order(quantity=60, **self.PARENT)) == []
        denied = desk.order(quantity=41, **self.PARENT)
        assert codes(denied) == ["PARENT_EXCEEDED"]
        assert denied.max_quantity == 40
        assert codes(desk.order(quantity=40, **self.PARENT)) == []

    def test_what_was_not_filled_is_free_again_and_what_was_is_not(self) -> None:
        desk = Desk(wide())
        first = desk.order(quantity=60, **self.PARENT)
        desk.fill(first, 20, 100)
        close = OrderClose(reason="as told")
        desk.send(CloseOrder("main", first.client_order_id, OrderStatus.CANCELLED, close, "ada"))
        assert codes(desk.order(quantity=81, **self.PARENT)) == ["PARENT_EXCEEDED"]
        assert codes(desk.order(quantity=80, **self.PARENT)) == []

    def test_a_parent_has_one_symbol_side_and_size(self) -> None:
        desk = Desk(wide())
        desk.order(quantity=1, **self.PARENT)
        assert codes(desk.order("SELL", 1, **self.PARENT)) == ["PARENT_EXCEEDED"]
        assert codes(desk.order(quantity="0.001", symbol="COIN", **self.PARENT)) == ["PARENT_EXCEEDED"]
        bigger = {**self.PARENT, "parent_quantity": "1000"}
        assert codes(desk.order(quantity=1, **bigger)) == ["PARENT_EXCEEDED"]


def test_orders_that_are_open_are_counted() -> None:
    desk = Desk(wide(max_open_orders=2))
    first = desk.order()
    desk.order()
    assert codes(desk.order()) == ["MAX_OPEN_ORDERS"]
    desk.fill(first, 1, 100)
    assert codes(desk.order()) == []


def test_the_best_own_price_is_known_however_many_rest_and_are_taken_away() -> None:
    position, draw, resting = Position(Terms(STOCK)), Random(7), list[int]()
    for _ in range(3_000):
        if resting and draw.random() < 0.5:
            price = resting.pop(draw.randrange(len(resting)))
            position.unrest(True, price)
            position.unrest(False, price)
        else:
            price = draw.randrange(1, 400)
            resting.append(price)
            position.rest(True, price)
            position.rest(False, price)
        assert (-position.bids[0], position.asks[0]) == (max(resting), min(resting)) if resting else not position.bids
        # What is gone is not kept for ever.
        assert len(position.bids_gone) <= max(65, len(resting) + 1)
    for price in resting:
        position.unrest(True, price)
        position.unrest(False, price)
    assert position.bids == position.asks == position.bids_gone == position.asks_gone == []


def test_a_simulation_before_1970_is_throttled_as_any_other() -> None:
    """Measured: its first order was 157,455,000,000 messages too many, as nothing counted from 1970."""
    desk = Desk()
    began = datetime(1965, 1, 4, 14, 30, tzinfo=UTC)
    limits = wide(max_messages_per_second=1, max_message_burst=2, max_repeated_executions=3)
    opened = {"account_id": "old", "base_currency": "USD", "initial_cash": Decimal(100_000), "simulation_id": "s"}
    desk.send(OpenAccount(AccountCreate(**opened, limits=limits, ts_event=began), "ada"))

    def order(seconds: int) -> list[str]:
        desk.count += 1
        at = micros(began) + seconds * 1_000_000
        desk.send(SetMarks("s", (Quote("STOCK", 100 * SCALE, at),)))
        terms = OrderTerms(f"o-{desk.count}", "trend", "STOCK", True, SCALE, ts=at)
        desk.send(PlaceOrder("old", terms, "ada"))
        return [each.code.value for each in desk.state.accounts["old"].orders[f"o-{desk.count}"].decided.verdict.broken]

    assert [order(0) for _ in range(3)] == [[], [], ["MESSAGE_RATE"]]
    # The window is one of 60 seconds, not all the time until 1970.
    assert [order(seconds) for seconds in (30, 60, 90, 110)] == [[], [], [], []]
    assert order(115) == ["REPEATED_EXECUTION"]
