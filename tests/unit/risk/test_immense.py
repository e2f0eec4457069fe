"""What no real account comes near is refused, so that every figure of an account fits its field."""

from decimal import Decimal
from typing import Any

import pytest

from services.risk.core.chain import Tip, link
from services.risk.core.commands import ApplyFill, PlaceOrder, Reconcile, ReplaceOrder, SetInstruments
from services.risk.core.liquidation import liquidation_plan
from services.risk.core.outcome import Event, Refused
from services.risk.core.translate import order_terms
from services.risk.core.views import account_status
from shared.schemas.accounts import AccountStatus, Reconciliation
from shared.schemas.events import FillApplied
from shared.schemas.journal import EventKind
from shared.schemas.orders import Fill, Order, OrderReplace
from tests.unit.risk.desk import CALL, DUST, START, Desk, codes, wide

pytestmark = pytest.mark.unit
HUGE = "999999999999999999"
LEAST = "0.0000000001"


def desk(cash: str = "1000000") -> Desk:
    made = Desk(wide(max_turnover=1000, max_repeated_executions=10**9, max_messages_per_second=10**9), cash)
    made.send(SetInstruments((DUST,), "ada"))
    made.mark(DUST=LEAST)
    return made


def fill(desk: Desk, order_id: str, quantity: str, price: str, fee: str = "0") -> tuple[Event, ...] | Refused:
    desk.count += 1
    report = Fill.model_validate(
        {
            "trade_id": f"t-{desk.count}",
            "client_order_id": order_id,
            "quantity": quantity,
            "price": price,
            "fee": fee,
            "ts_event": desk.now.isoformat(),
        }
    )
    return desk.send(ApplyFill("main", report, "ada"))


def check_figures(desk: Desk) -> None:
    """Every figure can be shown, and every row that was written can be read."""
    status = account_status(desk.state, desk.account)
    assert AccountStatus.model_validate_json(status.model_dump_json()) == status
    assert liquidation_plan(desk.state, desk.account) is not None
    for event in desk.journal:
        if event.kind is EventKind.FILL_APPLIED:
            FillApplied.model_validate_json(link(Tip(), event, START, 1).body)


@pytest.mark.parametrize("symbol", ["STOCK", "DUST"])
@pytest.mark.parametrize("quantity", [HUGE, "100000000000000000", "1000000000"])
@pytest.mark.parametrize("price", ["0.0000001", LEAST, "1"])
def test_fills_again_and_again_leave_figures_that_fit(symbol: str, quantity: str, price: str) -> None:
    made = desk()
    bought, sold = made.order("BUY", 1, symbol), made.order("SELL", 1, symbol)
    for order in (bought, bought, sold, bought, sold, sold, sold):
        fill(made, order.client_order_id, quantity, price)
        check_figures(made)


def test_a_position_that_would_be_immense_is_refused_and_may_be_reduced() -> None:
    made = desk()
    bought, sold = made.order("BUY", 1, "DUST"), made.order("SELL", 1, "DUST")
    assert not isinstance(fill(made, bought.client_order_id, "100000000000000000", LEAST), Refused)
    refused = fill(made, bought.client_order_id, "1", LEAST)
    assert isinstance(refused, Refused)
    assert "at most 100000000000000000 of an instrument" in refused.detail
    assert not isinstance(fill(made, sold.client_order_id, "1", LEAST), Refused)
    assert not isinstance(fill(made, bought.client_order_id, "1", LEAST), Refused)


def test_a_position_that_would_be_worth_too_much_is_refused() -> None:
    made = desk()
    bought = made.order("BUY", 1)
    assert isinstance(fill(made, bought.client_order_id, "100000000001", LEAST), Refused)
    assert not isinstance(fill(made, bought.client_order_id, "100000000000", LEAST), Refused)


def test_no_account_keeps_others_from_their_marks() -> None:
    """As much as is booked, of a stock and of options on it: prices are taken as they come."""
    made = desk()
    made.send(SetInstruments((CALL,), "ada"))
    made.mark(CALL=LEAST)
    for symbol in ("STOCK", "CALL"):
        bought = made.order("BUY", 1, symbol)
        for power in range(17, 0, -1):
            fill(made, bought.client_order_id, str(10**power), LEAST)
        assert made.held(symbol).quantity >= 10**9
    for price in (99, 80, 400, 10_000):
        made.later(1)
        made.mark(STOCK=price)
        assert made.held().mark_price == price
        check_figures(made)


def test_fees_and_profits_that_grow_and_grow_are_refused_in_the_end() -> None:
    made = desk()
    bought, sold = made.order("BUY", 1), made.order("SELL", 1)
    outcomes = []
    for _ in range(30):
        # What is gained by prices is paid in fees: cash stays where it is.
        outcomes.append(fill(made, bought.client_order_id, "1000000000", LEAST))
        outcomes.append(fill(made, sold.client_order_id, "1000000000", "10000000", "10000000000000000"))
        check_figures(made)
    assert isinstance(outcomes[-1], Refused)
    assert "fees or realised profit" in outcomes[-1].detail


def test_gains_that_grow_and_grow_are_summed_to_a_bound() -> None:
    made = desk()
    bought, sold = made.order("BUY", 1), made.order("SELL", 1)
    for _ in range(60):
        fill(made, bought.client_order_id, "1000000000", LEAST, "-10000000000000000")
        fill(made, sold.client_order_id, "1000000000", LEAST, "10000000000000000")
        fill(made, bought.client_order_id, "1", LEAST, "10000000000000000")
        check_figures(made)


def place(desk: Desk, quantity: str, **fields: Any) -> tuple[Event, ...] | Refused:
    desk.count += 1
    order = {"client_order_id": f"o-{desk.count}", "strategy_id": "s", "symbol": "DUST", "side": "BUY", **fields}
    return desk.send(PlaceOrder("main", order_terms(Order.model_validate({**order, "quantity": quantity})), "ada"))


def test_orders_that_could_lead_there_are_refused() -> None:
    made = desk("1000000000")
    half = "50000000000000000"
    assert isinstance(place(made, "100000000000000001"), Refused)
    first = place(made, half)
    assert not isinstance(first, Refused)
    assert not isinstance(place(made, half), Refused)
    assert isinstance(place(made, "1"), Refused)
    name = f"o-{made.count - 2}"
    request = OrderReplace(replace_id="r", quantity=Decimal(half) + 1, ts_event=START)
    assert isinstance(made.send(ReplaceOrder("main", name, request, "ada")), Refused)
    check_figures(made)


def test_a_position_that_marks_made_immense_may_be_reduced() -> None:
    made = desk()
    bought = made.order("BUY", 1)
    assert not isinstance(fill(made, bought.client_order_id, "100000000000", LEAST), Refused)
    made.later(1)
    made.mark(STOCK=400)
    assert isinstance(fill(made, bought.client_order_id, "1", LEAST), Refused)
    decision = made.order("SELL", 10)
    assert decision.decision == "APPROVED", codes(decision)
    assert not isinstance(fill(made, decision.client_order_id, "10", "400"), Refused)


def test_an_immense_position_is_not_adopted() -> None:
    made = desk()
    for held in (
        {"symbol": "DUST", "quantity": HUGE},
        {"symbol": "STOCK", "quantity": "-100000000001"},
        {"symbol": "FUT", "quantity": "1000000000"},
    ):
        asked = {"positions": [held], "adopt": True, "reason": "the broker says so"}
        outcome = made.send(Reconcile("main", Reconciliation.model_validate(asked), "ada"))
        assert isinstance(outcome, Refused)
        assert "an account holds at most" in outcome.detail
