"""Changes of open orders where only reductions pass, and what they count for against the limits."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.risk.core.answers import answer
from services.risk.core.commands import (
    AcknowledgeReplace,
    ActivateKillSwitch,
    CloseOrder,
    ReplaceOrder,
    RollDay,
    SetInstruments,
    SetLimits,
)
from services.risk.core.outcome import Refused
from shared.schemas.accounts import DayRoll
from shared.schemas.breakers import BreakerState
from shared.schemas.decisions import Decision
from shared.schemas.kill_switches import KillReason, KillReductions, KillScope, KillSwitchCreate
from shared.schemas.limits import LimitsUpdate
from shared.schemas.orders import OrderClose, OrderReplace, OrderStatus, ReplaceAcknowledgement
from tests.unit.risk.desk import STOCK, Desk, codes, wide

pytestmark = pytest.mark.unit


def rest(desk: Desk, side: str, quantity: int, price: str, **fields: Any) -> str:
    found = desk.order(side, quantity, order_type="LIMIT", limit_price=price, **fields)
    assert codes(found) == []
    return found.client_order_id


def change(desk: Desk, order_id: str, quantity: int, price: str | None) -> Decision:
    desk.count += 1
    request = OrderReplace(
        replace_id=f"r-{desk.count}", quantity=Decimal(quantity), limit_price=Decimal(price) if price else None
    )
    command = ReplaceOrder("main", order_id, request, "ada")
    outcome = desk.send(command)
    assert not isinstance(outcome, Refused), outcome.detail
    found: Decision = answer(desk.state, command, list(outcome))
    if found.decision == "APPROVED":
        word = ReplaceAcknowledgement(replace_id=request.replace_id, accepted=True)
        assert not isinstance(desk.send(AcknowledgeReplace("main", order_id, word, "ada")), Refused)
    return found


def breaker(desk: Desk) -> str:
    desk.account.breakers["daily_loss"].state = BreakerState.OPEN
    desk.account.note_halts()
    return "BREAKER_OPEN"


def doubted(desk: Desk) -> str:
    desk.account.doubted_fill = "t-1"
    desk.account.note_halts()
    return "FILL_DOUBTED"


def session(desk: Desk) -> str:
    desk.send(RollDay("main", DayRoll(next_session_date=desk.now.date() + timedelta(days=9)), "eve"))
    return "SESSION_NOT_BEGUN"


def restricted(desk: Desk) -> str:
    desk.send(SetInstruments((STOCK.model_copy(update={"restricted": True}),), "eve"))
    return "RESTRICTED"


def worthless(desk: Desk) -> str:
    desk.account.equity = 0
    desk.account.caps = None
    return "EQUITY_NOT_POSITIVE"


HALTS = pytest.mark.parametrize("halt", [breaker, doubted, session, restricted, worthless])


class TestWhereOnlyReductionsPass:
    @HALTS
    @pytest.mark.parametrize(
        ("side", "price", "nearer", "further"), [("BUY", "99", "100", "98"), ("SELL", "101", "100", "102")]
    )
    def test_what_opens_is_not_moved_towards_the_market(
        self, halt: Any, side: str, price: str, nearer: str, further: str
    ) -> None:
        desk = Desk(wide())
        order_id = rest(desk, side, 60, price)
        code = halt(desk)
        assert codes(desk.order(side, 1)) == [code]
        for quantity in (60, 10):
            denied = change(desk, order_id, quantity, nearer)
            assert (codes(denied), denied.max_quantity) == ([code], 0)
        assert codes(change(desk, order_id, 61, price)) == [code]
        # Backing off, shrinking, and both.
        assert codes(change(desk, order_id, 60, further)) == []
        assert codes(change(desk, order_id, 50, further)) == []
        assert codes(change(desk, order_id, 40, further)) == []
        # Its first price is nearer now than where it rests.
        assert codes(change(desk, order_id, 40, price)) == [code]

    @HALTS
    @pytest.mark.parametrize(
        ("held", "side", "nearer", "further"), [("SELL", "BUY", "100", "98"), ("BUY", "SELL", "100", "102")]
    )
    def test_what_reduces_is_moved_wherever_its_owner_wants(
        self, halt: Any, held: str, side: str, nearer: str, further: str
    ) -> None:
        desk = Desk(wide())
        desk.trade(held, 60, 100)
        order_id = rest(desk, side, 60, further)
        halt(desk)
        assert codes(change(desk, order_id, 60, nearer)) == []
        assert codes(change(desk, order_id, 40, further)) == []
        assert codes(change(desk, order_id, 60, nearer)) == []

    def test_a_market_order_may_only_shrink(self) -> None:
        desk = Desk(wide())
        order_id = desk.order(quantity=60).client_order_id
        code = breaker(desk)
        assert codes(change(desk, order_id, 61, None)) == [code]
        assert codes(change(desk, order_id, 60, None)) == []
        assert codes(change(desk, order_id, 1, None)) == []

    def test_what_flips_opens_until_it_has_shrunk(self) -> None:
        desk = Desk(wide())
        desk.trade("BUY", 60, 100)
        order_id = rest(desk, "SELL", 100, "103")
        code = breaker(desk)
        # Until the venue has taken it all 100 may still be sold.
        assert codes(change(desk, order_id, 60, "100")) == [code]
        assert codes(change(desk, order_id, 60, "103")) == []
        assert codes(change(desk, order_id, 60, "100")) == []

    def test_what_others_make_an_opening_one_is_one(self) -> None:
        desk = Desk(wide())
        desk.trade("BUY", 60, 100)
        first = rest(desk, "SELL", 60, "103")
        other = rest(desk, "SELL", 60, "104")
        code = breaker(desk)
        assert codes(change(desk, first, 60, "100")) == [code]
        desk.send(CloseOrder("main", other, OrderStatus.CANCELLED, OrderClose(reason="as told"), "ada"))
        assert codes(change(desk, first, 60, "100")) == []

    def test_a_late_fill_makes_an_opening_one_of_what_reduced(self) -> None:
        desk = Desk(wide())
        desk.trade("BUY", 60, 100)
        ended = desk.order("SELL", 60)
        desk.send(CloseOrder("main", ended.client_order_id, OrderStatus.CANCELLED, OrderClose(reason="as told"), "ada"))
        order_id = rest(desk, "SELL", 60, "103")
        code = breaker(desk)
        desk.fill(ended, 60, 100)
        assert codes(change(desk, order_id, 60, "100")) == [code]
        assert codes(change(desk, order_id, 60, "104")) == []
        assert codes(change(desk, order_id, 10, "104")) == []

    @pytest.mark.parametrize(("filled", "wanted"), [(40, []), (70, ["BREAKER_OPEN"])])
    def test_what_is_left_after_fills_is_what_counts(self, filled: int, wanted: list[str]) -> None:
        desk = Desk(wide())
        desk.trade("SELL", 60, 100)
        order_id = rest(desk, "BUY", 80, "98")
        desk.fill(desk.decided(order_id), filled, 98)
        # 20 short with 40 left, or 10 long with 10 left: each would open. Shrunk to 60 the first only closes.
        code = breaker(desk)
        assert codes(change(desk, order_id, 80, "100")) == [code]
        assert codes(change(desk, order_id, max(60, filled + 5), "98")) == []
        assert codes(change(desk, order_id, max(60, filled + 5), "100")) == wanted

    def test_a_reduce_only_order_that_does_not_reduce_any_more_may_only_back_off(self) -> None:
        desk = Desk(wide())
        desk.trade("BUY", 60, 100)
        order_id = rest(desk, "SELL", 60, "103", reduce_only=True)
        assert codes(change(desk, order_id, 60, "101")) == []
        desk.send(CloseOrder("main", order_id, OrderStatus.CANCELLED, OrderClose(reason="as told"), "ada"))
        sold = desk.order("SELL", 60)
        desk.send(CloseOrder("main", sold.client_order_id, OrderStatus.CANCELLED, OrderClose(reason="as told"), "ada"))
        order_id = rest(desk, "SELL", 60, "103", reduce_only=True)
        desk.fill(sold, 30, 100)
        assert codes(change(desk, order_id, 60, "101")) == ["NOT_REDUCING"]
        assert codes(change(desk, order_id, 60, "104")) == []
        assert codes(change(desk, order_id, 30, "104")) == []
        assert codes(change(desk, order_id, 30, "101")) == []

    @pytest.mark.parametrize("reductions", [KillReductions.ALL, KillReductions.PLAN])
    def test_an_order_that_a_switch_let_through_follows_the_market(self, reductions: KillReductions) -> None:
        desk = Desk(wide())
        desk.trade("BUY", 60, 100)
        ended = desk.order("SELL", 60)
        desk.send(CloseOrder("main", ended.client_order_id, OrderStatus.CANCELLED, OrderClose(reason="as told"), "ada"))
        stop(desk, reductions)
        order_id = rest(desk, "SELL", 60, "103", reduce_only=True)
        assert codes(change(desk, order_id, 60, "101")) == []
        assert codes(change(desk, order_id, 61, "101"))[0] == "KILL_SWITCH_ACTIVE"
        desk.fill(ended, 60, 100)
        assert codes(change(desk, order_id, 60, "100"))[0] == "KILL_SWITCH_ACTIVE"
        assert codes(change(desk, order_id, 60, "102")) == []
        assert codes(change(desk, order_id, 5, "102")) == []


def stop(desk: Desk, reductions: KillReductions) -> None:
    if reductions is KillReductions.ALL:
        request = KillSwitchCreate(scope=KillScope.ACCOUNT, target="main", reason="testing", allow_reducing=True)
        desk.send(ActivateKillSwitch("ks-all", request, KillReason.MANUAL, "ada"))
    else:
        request = KillSwitchCreate(scope=KillScope.ACCOUNT, target="main", reason="testing")
        desk.send(ActivateKillSwitch("ks-plan", request, KillReason.MANUAL, "ada", reductions))


class TestAgainstTheLimits:
    def test_a_dearer_price_is_held_to_the_limits_as_an_order_of_it_is(self) -> None:
        desk = Desk(wide(max_position_fraction=0.1, price_collar_bps=10_000))
        order_id = rest(desk, "BUY", 100, "100")
        assert codes(change(desk, order_id, 100, "101")) == ["POSITION_LIMIT"]
        assert codes(change(desk, order_id, 99, "101")) == ["POSITION_LIMIT"], "all 100 may still be bought"
        assert codes(change(desk, order_id, 90, "100")) == []
        assert codes(change(desk, order_id, 90, "111")) == []

    def test_beyond_a_limit_what_opens_is_not_moved_towards_the_market(self) -> None:
        desk = Desk(wide(max_position_fraction=0.1))
        order_id = rest(desk, "BUY", 60, "99")
        desk.send(SetLimits("main", LimitsUpdate(limits=wide(max_position_fraction=0.05), reason="less"), "eve"))
        assert codes(change(desk, order_id, 60, "100")) == ["POSITION_LIMIT"]
        assert codes(change(desk, order_id, 60, "98")) == []
        assert codes(change(desk, order_id, 50, "98")) == []
        assert codes(change(desk, order_id, 50, "100")) == []

    def test_a_buy_that_rests_above_the_mark_comes_down_whatever_it_is_beyond(self) -> None:
        desk = Desk(wide(max_position_fraction=0.11, price_collar_bps=10_000))
        order_id = rest(desk, "BUY", 100, "110")
        less = wide(max_position_fraction=0.05, price_collar_bps=10_000)
        desk.send(SetLimits("main", LimitsUpdate(limits=less, reason="less"), "eve"))
        assert codes(change(desk, order_id, 100, "109")) == []
        assert codes(change(desk, order_id, 60, "109")) == []

    def test_a_sale_may_not_back_off_to_where_it_would_be_too_large(self) -> None:
        desk = Desk(wide(max_position_fraction=0.1))
        order_id = rest(desk, "SELL", 90, "105")
        assert codes(change(desk, order_id, 90, "300")) == ["POSITION_LIMIT"]
        assert codes(change(desk, order_id, 90, "110")) == []
        # As it stands it shrinks, however little is allowed.
        desk.send(SetLimits("main", LimitsUpdate(limits=wide(max_position_fraction=0.05), reason="less"), "eve"))
        assert codes(change(desk, order_id, 80, "110")) == []
        assert codes(change(desk, order_id, 80, "111")) == ["POSITION_LIMIT"]

    def test_what_it_holds_is_turned_over_once(self) -> None:
        desk = Desk(wide(max_turnover=0.1))
        order_id = rest(desk, "BUY", 90, "99")
        assert codes(change(desk, order_id, 90, "100")) == []
        assert codes(change(desk, order_id, 100, "100")) == []
        assert codes(change(desk, order_id, 101, "100")) == ["TURNOVER_LIMIT"]

    def test_what_it_closes_before_it_opens_is_not_valued_at_its_price(self) -> None:
        desk = Desk(wide(max_position_fraction=0.1, price_collar_bps=10_000))
        desk.trade("SELL", 40, 100)
        order_id = rest(desk, "BUY", 90, "90")
        # 50 beyond the 40 that close, at 200 each: the limit. One more, at 198, is too large.
        assert codes(change(desk, order_id, 91, "198")) == ["POSITION_LIMIT"]
        assert codes(change(desk, order_id, 90, "200")) == []
