from datetime import timedelta
from decimal import Decimal

import pytest

from services.risk.core.bodies import Quote
from services.risk.core.commands import ReleaseKillSwitch, SetInstruments, SetMarks
from services.risk.core.units import SCALE, micros, units
from shared.schemas.kill_switches import KillScope
from tests.unit.risk.desk import FUTURE, STOCK, Desk, codes, narrow, wide

pytestmark = pytest.mark.unit


class TestPosition:
    def test_at_the_limit_passes_and_just_over_is_denied(self) -> None:
        assert codes(Desk().order(quantity=100)) == []
        over = Desk().order(quantity=101)
        assert codes(over) == ["POSITION_LIMIT"]
        assert over.reasons[0].limit == 0.1
        assert over.reasons[0].value == pytest.approx(0.101)
        assert over.reasons[0].utilisation == pytest.approx(1.01)

    def test_the_limit_is_exact_where_floats_are_not(self) -> None:
        # 0.07 of 100,000 is 7000 exactly; as binary floats 0.07 * 100000 is 7000.000000000001.
        assert codes(Desk(wide(max_position_fraction=0.07)).order(quantity=70)) == []
        assert codes(Desk(wide(max_position_fraction=0.07)).order(quantity="71")) == ["POSITION_LIMIT"]

    def test_open_orders_hold_their_exposure(self) -> None:
        desk = Desk()
        assert codes(desk.order(quantity=60)) == []
        assert codes(desk.order(quantity=60)) == ["POSITION_LIMIT"]
        assert codes(desk.order(quantity=40)) == []

    def test_buys_and_sells_are_counted_apart(self) -> None:
        desk = Desk()
        assert codes(desk.order("BUY", 100)) == []
        # They would net to nothing only if both were filled.
        assert codes(desk.order("SELL", 100)) == []
        assert codes(desk.order("SELL", 1)) == ["POSITION_LIMIT"]

    def test_a_limit_price_above_the_mark_is_what_counts(self) -> None:
        desk = Desk()
        order = {"order_type": "LIMIT", "limit_price": "101"}
        desk = Desk(narrow(price_collar_bps=100))
        assert codes(desk.order(quantity=100, **order)) == ["POSITION_LIMIT"]
        assert codes(desk.order(quantity=99, **order)) == []

    def test_short_positions_count_as_much(self) -> None:
        assert codes(Desk().order("SELL", 100)) == []
        assert codes(Desk().order("SELL", 101)) == ["POSITION_LIMIT"]

    def test_what_reduces_a_breached_position_passes(self) -> None:
        desk = Desk()
        desk.trade("BUY", 100, 100)
        desk.mark(STOCK=150)
        assert codes(desk.order("BUY", 1)) == ["BREAKER_OPEN", "RISK_LEVEL", "POSITION_LIMIT"]
        assert codes(desk.order("SELL", 40)) == []

    def test_what_flips_a_position_does_not_count_as_reducing(self) -> None:
        desk = Desk()
        desk.trade("BUY", 100, 100)
        # At its limit, equal passes: the level is RED all the same.
        assert codes(desk.order("SELL", 201)) == ["RISK_LEVEL", "POSITION_LIMIT"]

    def test_many_orders_together_do_not_reduce_more_than_there_is(self) -> None:
        desk = Desk(wide(max_position_fraction=0.1))
        desk.trade("BUY", 100, 100)
        desk.mark(STOCK=200)
        assert codes(desk.order("SELL", 60)) == []
        # 20 of it would open a short: the whole of it is held to every limit.
        assert codes(desk.order("SELL", 60)) == ["BREAKER_OPEN", "RISK_LEVEL", "POSITION_LIMIT"]
        assert codes(desk.order("SELL", 40)) == []


class TestLeverage:
    def test_margined_notional_over_equity(self) -> None:
        # One future is worth 200,000: twice the equity.
        desk = Desk(wide(max_leverage=4))
        assert codes(desk.order(quantity=2, symbol="FUT")) == []
        denied = desk.order(quantity=1, symbol="FUT")
        # A fifth of it is margin, and that is more than there is.
        assert codes(denied) == ["LEVERAGE_LIMIT", "BUYING_POWER"]
        assert denied.reasons[0].value == pytest.approx(6)

    def test_paid_positions_are_no_leverage(self) -> None:
        desk = Desk(wide(max_leverage=1))
        assert codes(desk.order(quantity=900)) == []

    def test_other_margined_symbols_count_with_their_open_orders(self) -> None:
        desk = Desk(wide(max_leverage=4))
        other = FUTURE.model_copy(update={"symbol": "FUT2"})
        desk.send(SetInstruments((other,), "ada"))
        desk.mark(FUT2=4000)
        assert codes(desk.order(quantity=2, symbol="FUT2")) == []
        assert codes(desk.order(quantity=1, symbol="FUT")) == ["LEVERAGE_LIMIT", "BUYING_POWER"]


class TestLosses:
    def test_daily_loss_at_the_limit_passes_and_just_over_is_denied(self) -> None:
        desk = Desk(wide(max_daily_loss_fraction=0.05))
        desk.trade("BUY", 500, 100)
        desk.mark(STOCK=90)
        # Equal passes the limit; it trips the breaker, and makes the level RED.
        assert codes(desk.order()) == ["BREAKER_OPEN", "RISK_LEVEL"]
        desk.mark(STOCK="89.99")
        denied = desk.order()
        assert codes(denied) == ["BREAKER_OPEN", "RISK_LEVEL", "DAILY_LOSS_LIMIT"]
        assert denied.reasons[2].value == pytest.approx(0.05005)

    def test_drawdown_is_measured_from_the_highest_equity(self) -> None:
        desk = Desk(wide(max_drawdown_fraction=0.20))
        desk.trade("BUY", 500, 100)
        desk.mark(STOCK=200)
        assert desk.account.high_water_mark == units(Decimal(150_000))
        desk.mark(STOCK=140)
        assert "DRAWDOWN_LIMIT" not in codes(desk.order())
        desk.mark(STOCK="139.99")
        assert "DRAWDOWN_LIMIT" in codes(desk.order())

    def test_losses_trap_nobody(self) -> None:
        desk = Desk(wide(max_daily_loss_fraction=0.05, max_drawdown_fraction=0.2))
        desk.trade("BUY", 500, 100)
        desk.mark(STOCK=50)
        found = {"BREAKER_OPEN", "RISK_LEVEL", "DAILY_LOSS_LIMIT", "DRAWDOWN_LIMIT"}
        assert set(codes(desk.order("BUY"))) == found
        assert codes(desk.order("SELL", 500)) == []

    def test_with_nothing_left_only_what_reduces_passes(self) -> None:
        desk = Desk(wide())
        desk.trade("SELL", 900, 100)
        desk.mark(STOCK=300)
        assert desk.equity() < 0
        assert "EQUITY_NOT_POSITIVE" in codes(desk.order("SELL", 1))
        assert codes(desk.order("BUY", 900)) == []


class TestMarks:
    def test_without_a_mark_nothing_is_measured_and_nothing_passes(self) -> None:
        desk = Desk()
        desk.send(SetInstruments((STOCK.model_copy(update={"symbol": "NEW"}),), "ada"))
        assert codes(desk.order(symbol="NEW")) == ["MARK_MISSING"]

    def test_at_the_age_limit_passes_and_older_is_denied(self) -> None:
        desk = Desk()
        desk.later(120)
        assert codes(desk.order()) == []
        desk.later(0.001)
        assert codes(desk.order()) == ["MARK_STALE"]

    def test_an_older_mark_never_replaces_a_newer(self) -> None:
        desk = Desk()
        old = Quote("STOCK", SCALE, micros(desk.now - timedelta(seconds=1)))
        assert desk.send(SetMarks(None, (old,))) == ()

    def test_a_live_mark_from_the_future_is_not_taken(self) -> None:
        desk = Desk()
        ahead = Quote("STOCK", 99 * SCALE, micros(desk.now + timedelta(seconds=5.1)))
        assert desk.send(SetMarks(None, (ahead,))) == ()

    def test_marks_of_unknown_symbols_are_not_kept(self) -> None:
        desk = Desk()
        assert desk.send(SetMarks(None, (Quote("ZZZ", SCALE, micros(desk.now)),))) == ()


class TestInstruments:
    def test_unknown(self) -> None:
        assert codes(Desk().order(symbol="NOPE")) == ["INSTRUMENT_UNKNOWN"]

    def test_not_tradable(self) -> None:
        desk = Desk()
        desk.send(SetInstruments((STOCK.model_copy(update={"tradable": False}),), "ada"))
        assert codes(desk.order()) == ["INSTRUMENT_NOT_TRADABLE"]

    def test_another_currency_without_a_rate(self) -> None:
        assert codes(Desk().order(symbol="EURO")) == ["FX_RATE_MISSING"]

    def test_lots_and_ticks(self) -> None:
        desk = Desk()
        assert codes(desk.order(quantity="0.5")) == ["LOT_SIZE"]
        assert codes(desk.order(quantity="0.002", symbol="COIN")) == []
        assert codes(desk.order(quantity="0.0025", symbol="COIN")) == ["LOT_SIZE"]
        assert codes(desk.order(order_type="LIMIT", limit_price="99.995")) == ["TICK_SIZE"]

    def test_every_reason_is_given(self) -> None:
        desk = Desk()
        desk.later(200)
        found = codes(desk.order(quantity="1000.5", order_type="LIMIT", limit_price="100.001", reduce_only=True))
        assert found == [
            "LOT_SIZE",
            "TICK_SIZE",
            "PRICE_COLLAR",
            "MARK_STALE",
            "NOT_REDUCING",
            "POSITION_LIMIT",
            "ASSET_CLASS_LIMIT",
        ]


class TestReduceOnly:
    def test_it_must_reduce_what_is_held(self) -> None:
        desk = Desk()
        assert codes(desk.order("SELL", 1, reduce_only=True)) == ["NOT_REDUCING"]
        desk.trade("BUY", 50, 100)
        assert codes(desk.order("SELL", 50, reduce_only=True)) == []
        # Those 50 are spoken for.
        assert codes(desk.order("SELL", 1, reduce_only=True)) == ["NOT_REDUCING"]
        assert codes(desk.order("BUY", 1, reduce_only=True)) == ["NOT_REDUCING"]

    def test_a_short_is_reduced_by_buying(self) -> None:
        desk = Desk()
        desk.trade("SELL", 50, 100)
        assert codes(desk.order("BUY", 50, reduce_only=True)) == []
        assert codes(desk.order("SELL", 1, reduce_only=True)) == ["NOT_REDUCING"]


class TestKillSwitch:
    @pytest.mark.parametrize(
        ("scope", "target"),
        [
            (KillScope.FIRM, None),
            (KillScope.ACCOUNT, "main"),
            (KillScope.STRATEGY, "trend"),
            (KillScope.SYMBOL, "STOCK"),
        ],
    )
    def test_it_stops_its_scope_alone_and_nothing_else_is_said(self, scope: KillScope, target: str | None) -> None:
        desk = Desk()
        desk.kill(scope, target)
        denied = desk.order(quantity=1000)
        assert codes(denied) == ["KILL_SWITCH_ACTIVE"]
        assert denied.risk_level == "BLACK"

    @pytest.mark.parametrize(
        ("scope", "target"),
        [(KillScope.ACCOUNT, "other"), (KillScope.STRATEGY, "main"), (KillScope.SYMBOL, "FUT")],
    )
    def test_others_go_on(self, scope: KillScope, target: str) -> None:
        desk = Desk()
        desk.kill(scope, target)
        assert codes(desk.order()) == []

    def test_it_cancels_what_is_open_in_its_scope_and_frees_its_headroom(self) -> None:
        desk = Desk()
        mine, other = desk.order(quantity=100), desk.order(quantity=1, symbol="COIN", strategy_id="other")
        assert other.decision == "DENIED"
        kept = desk.order(quantity="0.01", symbol="COIN", strategy_id="other")
        desk.kill(KillScope.STRATEGY, "trend")
        assert desk.account.orders[mine.client_order_id].status == "CANCELLED"
        assert desk.account.orders[kept.client_order_id].status == "OPEN"
        assert desk.held().open_buy_quantity == 0
        assert codes(desk.order(quantity=100, strategy_id="other")) == []

    def test_released_it_lets_pass_again(self) -> None:
        desk = Desk()
        desk.kill(KillScope.FIRM)
        desk.send(ReleaseKillSwitch(next(iter(desk.state.kill_switches)), "tested", "eve"))
        assert codes(desk.order()) == []

    def test_of_two_switches_one_released_still_stops(self) -> None:
        desk = Desk()
        desk.kill(KillScope.FIRM)
        desk.kill(KillScope.FIRM)
        desk.send(ReleaseKillSwitch(next(iter(desk.state.kill_switches)), "tested", "eve"))
        assert codes(desk.order()) == ["KILL_SWITCH_ACTIVE"]
