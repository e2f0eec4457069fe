"""Orders that pass together, and changes of open ones."""

from typing import Any

import pytest

from services.risk.core.answers import answer
from services.risk.core.commands import AcknowledgeReplace, CloseOrder, PlaceOrders, ReplaceOrder
from services.risk.core.orders import decision_of
from services.risk.core.outcome import RefusalKind, Refused
from services.risk.core.translate import order_terms
from services.risk.core.units import amount
from shared.schemas.kill_switches import KillScope
from shared.schemas.orders import Order, OrderClose, OrderReplace, OrderStatus, ReplaceAcknowledgement
from tests.unit.risk.desk import Desk, codes, narrow, wide

pytestmark = pytest.mark.unit


def batch(desk: Desk, *quantities: int) -> Any:
    return legs(desk, *((f"b{number}", quantity, "trend") for number, quantity in enumerate(quantities)))


def legs(desk: Desk, *named: tuple[str, int, str]) -> Any:
    orders = tuple(
        order_terms(
            Order.model_validate(
                {
                    "client_order_id": name,
                    "strategy_id": strategy,
                    "symbol": "STOCK",
                    "side": "BUY",
                    "quantity": quantity,
                }
            )
        )
        for name, quantity, strategy in named
    )
    command = PlaceOrders("main", orders, True, "ada")
    outcome = desk.send(command)
    if isinstance(outcome, Refused):
        return outcome
    return [each.model() for each in answer(desk.state, command, list(outcome))]


class TestAllOrNone:
    def test_together_within_the_limits_they_pass(self) -> None:
        desk = Desk(narrow())
        assert [codes(each) for each in batch(desk, 60, 40)] == [[], []]
        assert desk.held().open_buy_quantity == 100

    def test_together_beyond_them_none_passes_and_nothing_is_held(self) -> None:
        desk = Desk(narrow())
        found = [codes(each) for each in batch(desk, 60, 41, 1)]
        assert found == [["BATCH_DENIED"], ["POSITION_LIMIT"], ["BATCH_DENIED"]]
        assert desk.account.open_orders == {}
        assert desk.account.positions == {}
        assert codes(desk.order(quantity=100)) == []

    def test_the_same_batch_again_gets_the_same_answers(self) -> None:
        desk = Desk(narrow())
        first = batch(desk, 60, 40)
        count = len(desk.journal)
        assert batch(desk, 60, 40) == first
        assert len(desk.journal) == count

    def test_an_id_used_for_another_order_refuses_it_all(self) -> None:
        desk = Desk(narrow())
        batch(desk, 60)
        outcome = batch(desk, 50, 1)
        assert isinstance(outcome, Refused)
        assert outcome.kind is RefusalKind.CONFLICT
        assert len(desk.account.orders) == 1

    def test_with_one_that_was_denied_before_the_rest_is_denied(self) -> None:
        desk = Desk(narrow())
        batch(desk, 101)
        assert [codes(each) for each in batch(desk, 101, 1)] == [["POSITION_LIMIT"], ["BATCH_DENIED"]]

    @pytest.mark.parametrize("how", ["CANCELLED", "EXPIRED", "REJECTED", "KILL_SWITCH"])
    def test_with_one_whose_approval_is_over_the_rest_is_denied(self, how: str) -> None:
        desk = Desk(narrow())
        # Of another strategy, so that the switch stops this leg alone.
        desk.order(quantity=10, client_order_id="b0", strategy_id="other")
        if how == "KILL_SWITCH":
            desk.kill(KillScope.STRATEGY, "other")
            over = "KILL_SWITCH_ACTIVE"
        else:
            desk.send(CloseOrder("main", "b0", OrderStatus(how), OrderClose(reason="as told"), "ada"))
            over = "ORDER_ENDED"
        found = legs(desk, ("b0", 10, "other"), ("b1", 20, "trend"), ("b2", 30, "trend"))
        assert [codes(each) for each in found] == [[over], ["BATCH_DENIED"], ["BATCH_DENIED"]]
        assert found[1].reasons[0].message == "order b0 of the same batch is denied"
        assert desk.account.open_orders == {}
        assert desk.account.positions["STOCK"].open_buy == 0

    def test_in_whatever_place_it_stands(self) -> None:
        desk = Desk(narrow())
        desk.order(quantity=10, client_order_id="b1")
        desk.send(CloseOrder("main", "b1", OrderStatus.CANCELLED, OrderClose(reason="as told"), "ada"))
        assert [codes(each) for each in batch(desk, 20, 10)] == [["BATCH_DENIED"], ["ORDER_ENDED"]]
        assert desk.account.open_orders == {}

    def test_one_that_is_at_the_venue_already_stays_approved_when_the_rest_is_denied(self) -> None:
        desk = Desk(narrow())
        desk.order(quantity=60, client_order_id="b0")
        filled = desk.order(quantity=1, client_order_id="b1")
        desk.fill(filled, 1, 100)
        found = batch(desk, 60, 1, 90, 5)
        assert [codes(each) for each in found] == [[], [], ["POSITION_LIMIT"], ["BATCH_DENIED"]]
        assert set(desk.account.open_orders) == {"b0"}
        assert desk.held().open_buy_quantity == 60

    def test_sent_again_after_one_of_it_ended_the_others_are_as_they_are(self) -> None:
        desk = Desk(narrow())
        batch(desk, 60, 40)
        desk.send(CloseOrder("main", "b0", OrderStatus.CANCELLED, OrderClose(reason="as told"), "ada"))
        count = len(desk.journal)
        assert [codes(each) for each in batch(desk, 60, 40)] == [["ORDER_ENDED"], []]
        assert len(desk.journal) == count


class TestReplace:
    def resting(self, desk: Desk, quantity: int = 60) -> str:
        return desk.order(quantity=quantity, order_type="LIMIT", limit_price="100").client_order_id

    def replace(self, desk: Desk, order_id: str, quantity: int, price: str = "100", name: str = "r1") -> Any:
        request = OrderReplace.model_validate({"replace_id": name, "quantity": quantity, "limit_price": price})
        command = ReplaceOrder("main", order_id, request, "ada")
        outcome = desk.send(command)
        return outcome if isinstance(outcome, Refused) else answer(desk.state, command, list(outcome))

    def acknowledge(self, desk: Desk, order_id: str, *, accepted: bool, name: str = "r1") -> Any:
        request = ReplaceAcknowledgement(replace_id=name, accepted=accepted)
        return desk.send(AcknowledgeReplace("main", order_id, request, "ada"))

    def test_until_acknowledged_the_larger_of_both_is_held(self) -> None:
        for accepted, left in ((True, 90), (False, 60)):
            desk = Desk(narrow())
            order_id = self.resting(desk)
            assert codes(self.replace(desk, order_id, 90)) == []
            assert desk.held().open_buy_quantity == 90
            self.acknowledge(desk, order_id, accepted=accepted)
            assert desk.held().open_buy_quantity == left

    def test_a_smaller_one_frees_nothing_before_it_is_acknowledged(self) -> None:
        desk = Desk(narrow())
        order_id = self.resting(desk)
        assert codes(self.replace(desk, order_id, 10)) == []
        assert desk.held().open_buy_quantity == 60
        self.acknowledge(desk, order_id, accepted=True)
        assert desk.held().open_buy_quantity == 10
        assert amount(desk.account.orders[order_id].leaves) == 10

    def test_beyond_a_limit_it_is_denied_and_the_order_stays_as_it_was(self) -> None:
        desk = Desk(narrow())
        order_id = self.resting(desk)
        denied = self.replace(desk, order_id, 101)
        assert codes(denied) == ["POSITION_LIMIT"]
        assert desk.held().open_buy_quantity == 60
        assert desk.account.orders[order_id].replacement is None

    def test_its_price_is_held_to_the_collar_and_to_own_orders(self) -> None:
        desk = Desk(wide(price_collar_bps=100))
        order_id = self.resting(desk)
        assert codes(self.replace(desk, order_id, 60, "101.01")) == ["PRICE_COLLAR"]
        desk.order("SELL", 1, order_type="LIMIT", limit_price="100.5")
        assert codes(self.replace(desk, order_id, 60, "100.5", "r2")) == ["SELF_MATCH"]
        assert codes(self.replace(desk, order_id, 60, "100.49", "r3")) == []
        # Both prices are in the market until the venue says which.
        assert codes(desk.order("SELL", 1, order_type="LIMIT", limit_price="100.49")) == ["SELF_MATCH"]

    def test_the_same_again_changes_nothing_and_a_second_one_waits(self) -> None:
        desk = Desk(narrow())
        order_id = self.resting(desk)
        first = self.replace(desk, order_id, 90)
        count = len(desk.journal)
        assert self.replace(desk, order_id, 90) == first
        assert len(desk.journal) == count
        assert self.replace(desk, order_id, 95, name="r2").kind is RefusalKind.CONFLICT

    @pytest.mark.parametrize("acknowledged", [None, True, False])
    def test_another_change_under_the_same_id_is_refused(self, acknowledged: bool | None) -> None:
        desk = Desk(narrow())
        order_id = self.resting(desk)
        first = self.replace(desk, order_id, 90)
        if acknowledged is not None:
            self.acknowledge(desk, order_id, accepted=acknowledged)
        assert self.replace(desk, order_id, 95).kind is RefusalKind.CONFLICT
        assert self.replace(desk, order_id, 90, "99").kind is RefusalKind.CONFLICT
        again = self.replace(desk, order_id, 90)
        assert codes(again) == (["ORDER_ENDED"] if acknowledged is False else [])
        assert acknowledged is False or again == first

    def test_an_approval_that_a_later_change_replaced_is_none_any_more(self) -> None:
        desk = Desk(narrow())
        order_id = self.resting(desk)
        self.replace(desk, order_id, 90)
        self.acknowledge(desk, order_id, accepted=True)
        self.replace(desk, order_id, 10, name="r2")
        assert codes(self.replace(desk, order_id, 90)) == [], "both are held until the venue has said which"
        self.acknowledge(desk, order_id, accepted=True, name="r2")
        assert codes(self.replace(desk, order_id, 90)) == ["ORDER_ENDED"]
        assert codes(self.replace(desk, order_id, 10, name="r2")) == []

    def test_another_change_under_the_id_of_a_denied_one_is_refused_too(self) -> None:
        desk = Desk(narrow())
        order_id = self.resting(desk)
        assert codes(self.replace(desk, order_id, 101)) == ["POSITION_LIMIT"]
        assert self.replace(desk, order_id, 90).kind is RefusalKind.CONFLICT

    @pytest.mark.parametrize("accepted", [True, False])
    def test_the_venues_word_stands(self, accepted: bool) -> None:
        desk = Desk(narrow())
        order_id = self.resting(desk)
        self.replace(desk, order_id, 90)
        self.acknowledge(desk, order_id, accepted=accepted)
        assert self.acknowledge(desk, order_id, accepted=accepted) == ()
        assert self.acknowledge(desk, order_id, accepted=not accepted).kind is RefusalKind.CONFLICT
        assert desk.held().open_buy_quantity == (90 if accepted else 60)

    def test_the_venue_cannot_take_what_was_denied(self) -> None:
        desk = Desk(narrow())
        order_id = self.resting(desk)
        self.replace(desk, order_id, 101)
        assert self.acknowledge(desk, order_id, accepted=True).kind is RefusalKind.CONFLICT
        assert desk.held().open_buy_quantity == 60

    def test_fills_meanwhile_count_for_both(self) -> None:
        desk = Desk(narrow())
        order_id = self.resting(desk)
        first = desk.account.orders[order_id]
        self.replace(desk, order_id, 90)
        desk.fill(decision_of(first.decided, first.seq), 20, 100)
        assert desk.held().open_buy_quantity == 70
        self.acknowledge(desk, order_id, accepted=True)
        held = desk.held()
        assert (held.quantity, held.open_buy_quantity) == (20, 70)

    def test_a_fill_beyond_the_old_order_shows_that_the_venue_took_it(self) -> None:
        desk = Desk(narrow())
        order_id = self.resting(desk)
        first = desk.account.orders[order_id]
        self.replace(desk, order_id, 90)
        result = desk.fill(decision_of(first.decided, first.seq), 80, 100)
        assert (result.order_status, result.leaves_quantity) == ("PARTIALLY_FILLED", 10)
        assert desk.held().open_buy_quantity == 10

    @pytest.mark.parametrize("changed", [10, 90])
    def test_more_than_old_and_new_order_together_ends_both(self, changed: int) -> None:
        desk = Desk(narrow())
        order_id = self.resting(desk)
        first = desk.account.orders[order_id]
        self.replace(desk, order_id, changed)
        result = desk.fill(decision_of(first.decided, first.seq), 95, 100)
        assert (result.order_status, result.overfilled_quantity) == ("FILLED", 95 - max(60, changed))
        held = desk.held()
        assert (held.quantity, held.open_buy_quantity) == (95, 0)
        assert (desk.account.open_orders, desk.account.positions["STOCK"].bids) == ({}, [])

    def test_filled_before_the_venue_could_change_it(self) -> None:
        desk = Desk(narrow())
        order_id = self.resting(desk)
        first = desk.account.orders[order_id]
        self.replace(desk, order_id, 90)
        desk.fill(decision_of(first.decided, first.seq), 60, 100)
        assert desk.account.orders[order_id].status == "PARTIALLY_FILLED"
        self.acknowledge(desk, order_id, accepted=False)
        assert desk.account.orders[order_id].status == "FILLED"
        assert desk.account.open_orders == {}
        assert desk.held().open_buy_quantity == 0

    def test_a_cancel_ends_both(self) -> None:
        desk = Desk(narrow())
        order_id = self.resting(desk)
        self.replace(desk, order_id, 90, "99")
        desk.send(CloseOrder("main", order_id, OrderStatus.CANCELLED, OrderClose(reason="as told"), "ada"))
        held = desk.account.positions["STOCK"]
        assert (held.open_buy, held.bids) == (0, [])
        assert self.replace(desk, order_id, 50, name="r2").kind is RefusalKind.CONFLICT

    def test_what_is_filled_already_cannot_be_taken_back(self) -> None:
        desk = Desk(narrow())
        order_id = self.resting(desk)
        first = desk.account.orders[order_id]
        desk.fill(decision_of(first.decided, first.seq), 20, 100)
        assert self.replace(desk, order_id, 20).kind is RefusalKind.CONFLICT
        unknown = desk.send(
            ReplaceOrder("main", "none", OrderReplace.model_validate({"replace_id": "r", "quantity": 5}), "ada")
        )
        assert isinstance(unknown, Refused)

    def test_taken_by_the_venue_after_more_was_filled_nothing_is_left_and_not_less(self) -> None:
        desk = Desk(narrow())
        order_id = self.resting(desk)
        first = desk.account.orders[order_id]
        self.replace(desk, order_id, 20)
        desk.fill(decision_of(first.decided, first.seq), 50, 100)
        self.acknowledge(desk, order_id, accepted=True)
        assert desk.account.orders[order_id].status == "FILLED"
        held = desk.account.positions["STOCK"]
        assert (held.open_buy, held.bids, desk.account.open_orders) == (0, [], {})
        # What was never reserved is not given back: room for 50 more, and no more.
        assert codes(desk.order(quantity=51)) == ["POSITION_LIMIT"]
        assert codes(desk.order(quantity=50)) == []
