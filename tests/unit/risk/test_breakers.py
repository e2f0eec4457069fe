"""Breakers, levels, and what stops an account by itself."""

from decimal import Decimal
from typing import Any

import pytest

from services.risk.core.answers import answer
from services.risk.core.commands import (
    ActivateKillSwitch,
    PassTime,
    ReleaseKillSwitch,
    ResetBreaker,
    SetHighWaterMark,
    SetInstruments,
    SetLimits,
)
from services.risk.core.liquidation import liquidation_plan
from services.risk.core.outcome import RefusalKind, Refused
from services.risk.core.state import UNUSED
from services.risk.core.units import amount
from services.risk.core.views import account_status
from shared.schemas.accounts import HighWaterMarkUpdate
from shared.schemas.breakers import BreakerState
from shared.schemas.decisions import RiskLevel
from shared.schemas.kill_events import KillSwitchActivated
from shared.schemas.kill_switches import KillReason, KillReductions, KillScope, KillSwitchCreate
from shared.schemas.limits import LimitsUpdate
from tests.unit.risk.desk import STOCK, Desk, codes, wide

pytestmark = pytest.mark.unit


def losing(**limits: Any) -> Desk:
    """A desk that is long half its equity."""
    desk = Desk(wide(**limits))
    desk.trade("BUY", 500, 100)
    return desk


def correct(desk: Desk, high_water_mark: Any) -> Any:
    request = HighWaterMarkUpdate(high_water_mark=high_water_mark, reason="a wrong price raised it")
    return desk.send(SetHighWaterMark("main", request, "eve"))


def reset(desk: Desk, name: str) -> Any:
    return desk.send(ResetBreaker("main", name, "looked at it", "eve"))


class TestBreakers:
    def test_equal_trips(self) -> None:
        desk = losing(max_drawdown_fraction=0.2)
        desk.mark(STOCK="60.01")
        assert desk.account.breakers["drawdown"].state is BreakerState.CLOSED
        desk.mark(STOCK=60)
        assert desk.account.breakers["drawdown"].state is BreakerState.OPEN
        assert "BREAKER_OPEN" in codes(desk.order())

    def test_exposure_trips_beyond_its_limit_so_that_the_last_order_within_it_does_not(self) -> None:
        desk = Desk(wide(max_position_fraction=0.1))
        desk.trade("BUY", 100, 100)
        assert desk.account.halted == ()
        # 110 * 100 over 101,000 is below 11 %; 113 makes it more.
        desk.mark(STOCK=110)
        assert desk.account.halted == ()
        desk.mark(STOCK=113)
        assert desk.account.halted == ("concentration",)

    def test_open_it_lets_only_reductions_through(self) -> None:
        desk = losing(max_daily_loss_fraction=0.05)
        desk.mark(STOCK=85)
        assert "BREAKER_OPEN" in codes(desk.order("BUY"))
        assert codes(desk.order("SELL", 100)) == []
        assert "BREAKER_OPEN" in codes(desk.order("SELL", 401))

    def test_a_reset_is_refused_while_the_condition_holds(self) -> None:
        desk = losing(max_daily_loss_fraction=0.05)
        desk.mark(STOCK=85)
        outcome = reset(desk, "daily_loss")
        assert isinstance(outcome, Refused)
        assert outcome.kind is RefusalKind.CONFLICT
        assert "the condition holds" in outcome.detail

    def test_a_reset_is_not_a_resume(self) -> None:
        desk = losing(max_daily_loss_fraction=0.05, breaker_cool_down_seconds=60)
        desk.mark(STOCK=85)
        desk.mark(STOCK=95)
        assert not isinstance(reset(desk, "daily_loss"), Refused)
        assert desk.account.breakers["daily_loss"].state is BreakerState.HALF_OPEN
        assert codes(desk.order("BUY")) == ["BREAKER_OPEN"]
        assert codes(desk.order("SELL", 10)) == []
        desk.later(60)
        desk.mark(STOCK=95)
        assert desk.account.breakers["daily_loss"].state is BreakerState.CLOSED
        assert codes(desk.order("BUY")) == []

    def test_it_comes_back_by_itself_by_halves(self) -> None:
        desk = losing(max_daily_loss_fraction=0.05, breaker_cool_down_seconds=60)
        desk.mark(STOCK=85)
        desk.mark(STOCK=95)
        states = []
        for _ in range(5):
            desk.later(30)
            desk.send(PassTime())
            states.append(desk.account.breakers["daily_loss"].state.value)
        assert states == ["OPEN", "HALF_OPEN", "HALF_OPEN", "CLOSED", "CLOSED"]

    def test_near_the_threshold_the_cool_down_does_not_run(self) -> None:
        desk = losing(max_daily_loss_fraction=0.05, breaker_cool_down_seconds=60)
        desk.mark(STOCK=85)
        # 4.75 % is below 5 % and above nine tenths of it.
        desk.mark(STOCK="90.5")
        desk.later(600)
        desk.send(PassTime())
        assert desk.account.breakers["daily_loss"].state is BreakerState.OPEN
        assert desk.account.breakers["daily_loss"].clear_since is None

    def test_half_open_it_trips_again(self) -> None:
        desk = losing(max_daily_loss_fraction=0.05)
        desk.mark(STOCK=85)
        desk.mark(STOCK=95)
        reset(desk, "daily_loss")
        desk.mark(STOCK=85)
        assert desk.account.breakers["daily_loss"].state is BreakerState.OPEN

    def test_what_is_not_there_or_closed_cannot_be_reset(self) -> None:
        desk = Desk()
        assert reset(desk, "nonsense").kind is RefusalKind.NOT_FOUND
        assert reset(desk, "var").kind is RefusalKind.CONFLICT

    def test_the_warning_band_begins_at_four_fifths(self) -> None:
        desk = losing(max_daily_loss_fraction=0.05)

        def warned() -> bool:
            breakers = account_status(desk.state, desk.account).breakers
            return next(each.warning for each in breakers if each.name == "daily_loss")

        desk.mark(STOCK="92.01")
        assert not warned()
        desk.mark(STOCK=92)
        assert warned()


class TestLevels:
    @pytest.mark.parametrize(
        ("price", "level"),
        [("94.01", "GREEN"), ("94", "YELLOW"), ("92", "ORANGE"), ("90", "RED"), ("99", "GREEN")],
    )
    def test_they_come_from_the_worst_utilisation(self, price: str, level: str) -> None:
        desk = losing(max_daily_loss_fraction=0.05)
        desk.mark(STOCK=price)
        assert desk.account.level == level

    def test_each_says_why(self) -> None:
        desk = losing(max_daily_loss_fraction=0.05)
        desk.mark(STOCK=92)
        assert desk.account.level_reason == "daily_loss uses 80% of its limit"

    def test_red_lets_only_reductions_through(self) -> None:
        desk = losing(max_gross_exposure=0.5)
        assert desk.account.level == "RED"
        assert codes(desk.order("BUY", 1)) == ["RISK_LEVEL", "GROSS_EXPOSURE_LIMIT"]
        assert codes(desk.order("SELL", 1)) == []


class TestStops:
    @pytest.mark.parametrize(
        ("limits", "price", "kind"),
        [
            ({"max_daily_loss_fraction": 0.05}, 85, KillReason.LOSS_LIMIT),
            ({"max_drawdown_fraction": 0.1}, 70, KillReason.DRAWDOWN),
        ],
    )
    def test_far_beyond_a_limit_the_account_is_stopped(
        self, limits: dict[str, float], price: int, kind: KillReason
    ) -> None:
        desk = losing(kill_margin=1.5, **limits)
        resting = desk.order("SELL", 100, order_type="LIMIT", limit_price="101")
        desk.mark(STOCK=price)
        switches = list(desk.state.kill_switches.values())
        assert [(each.kind, each.scope, each.target) for each in switches] == [(kind, "ACCOUNT", "main")]
        assert desk.account.orders[resting.client_order_id].status == "CANCELLED"
        assert account_status(desk.state, desk.account).risk_level == "BLACK"
        # Once: it is in force already.
        desk.mark(STOCK=price - 1)
        assert len(desk.state.kill_switches) == 1

    def test_then_only_the_liquidation_plan_passes(self) -> None:
        desk = losing(kill_margin=1.5, max_daily_loss_fraction=0.05)
        slow = wide(kill_margin=1.5, max_daily_loss_fraction=0.05, max_order_quantity=200)
        desk.send(SetLimits("main", LimitsUpdate(limits=slow, reason="slices"), "eve"))
        desk.mark(STOCK=85)
        plan = liquidation_plan(desk.state, desk.account)
        step = plan.steps[0]
        assert (step.symbol, step.side, step.quantity, step.slices, step.slice_quantity) == (
            "STOCK",
            "SELL",
            500,
            3,
            200,
        )
        assert codes(desk.order("SELL", 200)) == ["KILL_SWITCH_ACTIVE"]
        assert codes(desk.order("SELL", 200, reduce_only=True)) == []
        assert "KILL_SWITCH_ACTIVE" in codes(desk.order("SELL", 301, reduce_only=True))
        assert "KILL_SWITCH_ACTIVE" in codes(desk.order("BUY", 1))
        # What is closing already is no part of the plan any more.
        assert liquidation_plan(desk.state, desk.account).steps[0].quantity == 300

    @pytest.mark.parametrize(
        ("limits", "slices", "each"),
        [
            # At 85 and 5 % beyond: 20,000 buy 224 and a rest.
            ({"max_order_value": 20_000, "price_collar_bps": 500}, 3, 224),
            ({"max_order_value": 17_000}, 3, 200),
            ({"max_order_value": 17_000, "max_order_quantity": 100}, 5, 100),
            ({"max_order_value": 17_000, "max_order_volume_fraction": 0.1}, 10, 50),
        ],
    )
    def test_every_slice_of_the_plan_is_within_the_limits_of_one_order(
        self, limits: dict[str, Any], slices: int, each: int
    ) -> None:
        desk = losing(kill_margin=1.5, max_daily_loss_fraction=0.05)
        sliced = wide(kill_margin=1.5, max_daily_loss_fraction=0.05, **limits)
        desk.send(SetInstruments((STOCK.model_copy(update={"average_daily_volume": Decimal(500)}),), "ada"))
        desk.send(SetLimits("main", LimitsUpdate(limits=sliced, reason="slices"), "eve"))
        desk.mark(STOCK=85)
        (step,) = liquidation_plan(desk.state, desk.account).steps
        assert (step.slices, step.slice_quantity) == (slices, each)
        assert codes(desk.order("SELL", each + 1, reduce_only=True)) != []
        left = 500
        while left:
            quantity = min(each, left)
            assert codes(desk.order("SELL", quantity, reduce_only=True)) == []
            left -= quantity
        assert liquidation_plan(desk.state, desk.account).steps == []

    @pytest.mark.parametrize("stock", [97, 100, 103])
    def test_slices_of_a_hedge_pass_in_turn_until_nothing_is_left(self, stock: int) -> None:
        desk = Desk(wide(max_net_exposure=0.05))
        for _ in range(25):
            desk.trade("BUY", 20, 100)
            desk.trade("SELL", "0.04", 50_000, "COIN")
        desk.mark(STOCK=stock)
        request = KillSwitchCreate(scope=KillScope.FIRM, reason="testing")
        desk.send(ActivateKillSwitch("k", request, KillReason.MANUAL, "ada", reductions=KillReductions.PLAN))
        sent = 0
        while steps := liquidation_plan(desk.state, desk.account).steps:
            passed = False
            for step in steps:
                assert step.slice_quantity * (stock if step.symbol == "STOCK" else 50_000) <= Decimal("5100")
                quantity = min(step.slice_quantity, step.quantity)
                decision = desk.order(step.side.value, quantity, step.symbol, reduce_only=True)
                assert codes(decision) in ([], ["NET_EXPOSURE_LIMIT"])
                if not codes(decision):
                    desk.fill(decision, quantity, stock if step.symbol == "STOCK" else 50_000)
                    passed, sent = True, sent + 1
            assert passed
        assert sent <= 30
        assert not any(each.quantity for each in account_status(desk.state, desk.account).positions)

    def test_a_slice_is_of_whole_lots(self) -> None:
        desk = losing()
        desk.send(SetLimits("main", LimitsUpdate(limits=wide(max_order_value=17_000), reason="slices"), "eve"))
        desk.send(SetInstruments((STOCK.model_copy(update={"lot_size": Decimal(50)}),), "ada"))
        (step,) = liquidation_plan(desk.state, desk.account).steps
        assert (step.slices, step.slice_quantity) == (4, 150)

    def test_the_plan_says_the_level_the_status_says(self) -> None:
        desk = losing(max_daily_loss_fraction=0.05)
        desk.mark(STOCK=85)
        assert liquidation_plan(desk.state, desk.account).risk_level == "RED"
        desk.kill(KillScope.ACCOUNT, "main")
        assert liquidation_plan(desk.state, desk.account).risk_level == "BLACK"
        assert account_status(desk.state, desk.account).risk_level == "BLACK"

    def test_a_release_does_not_move_the_high_water_mark_and_the_next_mark_stops_again(self) -> None:
        desk = losing(kill_margin=1.5, max_drawdown_fraction=0.1)
        desk.mark(STOCK=70)
        high = desk.account.high_water_mark
        first = next(iter(desk.state.kill_switches))
        desk.send(ReleaseKillSwitch(first, "as told", "eve"))
        assert desk.account.high_water_mark == high
        desk.mark(STOCK=69)
        assert len([each for each in desk.state.kill_switches.values() if each.released_at is None]) == 1

    def test_of_two_that_are_pulled_at_once_the_first_ends_the_orders(self) -> None:
        desk = losing(kill_margin=1.5, max_drawdown_fraction=0.1, max_daily_loss_fraction=0.05)
        for price in (90, 95):
            desk.order(quantity=1, order_type="LIMIT", limit_price=str(price))
        desk.mark(STOCK=60)
        switches = desk.state.kill_switches.values()
        assert {each.kind: each.cancelled_orders for each in switches} == {
            KillReason.DRAWDOWN: 2,
            KillReason.LOSS_LIMIT: 0,
        }
        held = desk.account.positions["STOCK"]
        assert (held.open_buy, held.bids, desk.account.open_orders) == (0, [], {})

    def test_without_a_margin_nothing_is_stopped_by_itself(self) -> None:
        desk = losing(max_daily_loss_fraction=0.05)
        desk.mark(STOCK=1)
        assert desk.state.kill_switches == {}


def test_a_limit_next_to_nothing_trips_on_something_and_not_on_nothing() -> None:
    desk = Desk(wide(max_daily_loss_fraction=5e-324, max_drawdown_fraction=5e-324, kill_margin=1.5))
    desk.trade("BUY", 1, 100)
    assert desk.account.halted == ()
    desk.mark(STOCK="99.99")
    assert set(desk.account.halted) == {"daily_loss", "drawdown"}


class TestReasons:
    def why(self, desk: Desk) -> tuple[str, str]:
        status = account_status(desk.state, desk.account)
        return status.risk_level, status.risk_level_reason

    def test_the_status_says_why_its_level_holds_now_not_why_it_came(self) -> None:
        desk = Desk(wide(max_gross_exposure=1, max_daily_loss_fraction=0.1))
        assert self.why(desk) == ("GREEN", "no limit is in use")
        desk.trade("BUY", 100, 100)
        assert self.why(desk) == ("GREEN", "gross_exposure uses 10% of its limit")
        desk.trade("BUY", 520, 100)
        assert self.why(desk) == ("YELLOW", "gross_exposure uses 62% of its limit")
        desk.mark(STOCK=90)
        # 6.2 % of loss; the level is the same, its reason another.
        assert self.why(desk) == ("YELLOW", "daily_loss uses 62% of its limit")
        desk.mark(STOCK=100)
        desk.trade("SELL", 620, 100)
        assert self.why(desk) == ("GREEN", "no limit is in use")


class TestUtilisation:
    def used(self, desk: Desk) -> dict[str, float]:
        return {each.name: each.utilisation for each in account_status(desk.state, desk.account).utilisations}

    def test_open_orders_use_limits_as_the_check_of_the_next_order_says_and_make_no_level(self) -> None:
        limits = {"max_sector_fraction": 0.25, "max_turnover": 1, "max_net_exposure": 1, "max_gross_exposure": 1}
        desk = Desk(wide(max_position_fraction=0.1, max_intraday_position_fraction=0.2, **limits))
        desk.send(SetInstruments((STOCK.model_copy(update={"sector": "tech"}),), "ada"))
        assert desk.order("BUY", 98).decision == "APPROVED"
        used = self.used(desk)
        exact = {"position": 0.98, "sector": 0.392, "asset_class": 0.000098, "gross_exposure": 0.098}
        exact |= {"net_exposure": 0.098, "turnover": 0.098, "intraday_position": 0.49, "initial_margin": 0.049}
        assert {name: used[name] for name in exact} == pytest.approx(exact)
        denied = desk.order("BUY", 3)
        (reason,) = denied.reasons
        assert reason.measured == pytest.approx(used["position"] * 0.1)
        status = account_status(desk.state, desk.account)
        assert (status.gross_exposure, status.risk_level, status.risk_level_reason) == (0, "GREEN", UNUSED)
        assert not any(breaker.warning for breaker in status.breakers)


class TestTwoStops:
    def test_what_one_switch_cancelled_the_next_one_of_the_same_event_does_not(self) -> None:
        desk = losing(max_drawdown_fraction=0.2, max_daily_loss_fraction=0.2, kill_margin=1.0)
        resting = desk.order("BUY", 1, order_type="LIMIT", limit_price="50")
        desk.mark(STOCK=60)
        pulled = [each.body for each in desk.journal if isinstance(each.body, KillSwitchActivated)]
        assert [each.kind for each in pulled] == ["DRAWDOWN", "LOSS_LIMIT"]
        assert [[order.client_order_id for order in each.cancelled] for each in pulled] == [
            [resting.client_order_id],
            [],
        ]
        assert [switch.cancelled_orders for switch in desk.state.kill_switches.values()] == [1, 0]


class TestHighWaterMark:
    """A price that was wrong, and was confirmed all the same, must not stop an account for ever."""

    def poisoned(self) -> Desk:
        desk = losing(max_drawdown_fraction=0.2, kill_margin=1.0)
        desk.mark(STOCK=1_000_000)
        desk.mark(STOCK=100)
        assert [switch.kind for switch in desk.state.kill_switches.values()] == [KillReason.DRAWDOWN]
        return desk

    def release(self, desk: Desk) -> None:
        for kill_switch_id in [name for held in desk.state.stopped.values() for name in held]:
            desk.send(ReleaseKillSwitch(kill_switch_id, "the price was wrong", "eve"))
        desk.later(1)
        desk.mark(STOCK=100)

    def test_a_release_alone_does_not_help_and_a_correction_does(self) -> None:
        desk = self.poisoned()
        self.release(desk)
        assert desk.state.stopped
        correct(desk, 100_000)
        assert desk.state.stopped, "a correction releases nothing"
        self.release(desk)
        assert not desk.state.stopped
        assert account_status(desk.state, desk.account).drawdown == 0
        assert desk.account.level is RiskLevel.GREEN

    def test_the_answer_says_what_it_was_what_it_is_and_what_follows(self) -> None:
        desk = self.poisoned()
        request = HighWaterMarkUpdate.model_validate({"high_water_mark": "125000", "reason": "a wrong price"})
        command = SetHighWaterMark("main", request, "eve")
        events = desk.send(command)
        assert not isinstance(events, Refused)
        found = answer(desk.state, command, list(events))
        assert (found.before, found.high_water_mark, found.drawdown) == (500_050_000, 125_000, 0.2)
        assert any("until they are released" in each for each in found.consequences)
        assert desk.send(command) == ()

    def test_it_is_never_below_the_equity(self) -> None:
        desk = losing()
        outcome = correct(desk, "99999.99")
        assert isinstance(outcome, Refused)
        assert outcome.kind is RefusalKind.CONFLICT
        assert amount(desk.account.high_water_mark) == 100_000
