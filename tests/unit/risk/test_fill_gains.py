"""Many executions that gain too much together: none of them is beyond belief by itself."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from services.risk.core.bodies import Quote
from services.risk.core.commands import ApplyFill, MoveCash, Reconcile, RollDay, SetInstruments, SetMarks
from services.risk.core.outcome import Refused
from services.risk.core.units import amount, micros, units
from services.risk.core.views import account_status
from shared.schemas.accounts import CashMovement, DayRoll, Reconciliation
from shared.schemas.decisions import Decision
from shared.schemas.orders import Fill
from tests.unit.risk.desk import Desk, codes, wide

pytestmark = pytest.mark.unit


class Venue:
    """A desk of 100,000 and an order of 900 shares at 100, executed as the venue says; 5,000 are believed."""

    def __init__(self, **limits: Any) -> None:
        self.desk = Desk(wide(**{"fill_doubt_fraction": 0.05, "max_drawdown_fraction": 1, **limits}))
        self.order: Decision = self.desk.order("BUY", 900)

    def fees(self, *fees: Any) -> list[bool]:
        """Fill a share at the mark for each fee."""
        return [self.desk.fill(self.order, 1, 100, fee).doubted for fee in fees]

    def gain(self) -> Decimal:
        shown = account_status(self.desk.state, self.desk.account).fills_gain
        assert units(shown) == self.desk.account.fills_gain
        return shown

    def reconcile(self, **fields: Any) -> None:
        positions = [{"symbol": s, "quantity": amount(p.quantity)} for s, p in self.desk.account.positions.items()]
        request = Reconciliation.model_validate({"positions": positions, **fields})
        assert not isinstance(self.desk.send(Reconcile("main", request, "eve")), Refused)

    def roll(self, day: date) -> None:
        assert not isinstance(self.desk.send(RollDay("main", DayRoll(next_session_date=day), "svc")), Refused)


class TestSum:
    def test_rebates_each_just_within_belief_are_doubted_by_the_second(self) -> None:
        venue = Venue()
        found = [venue.fees(-round(venue.desk.equity() * Decimal("0.049"), 2))[0] for _ in range(20)]
        assert found == [False, *[True] * 19]
        assert amount(venue.desk.account.high_water_mark) == 104_900
        assert codes(venue.desk.order()) == ["FILL_DOUBTED"]
        assert codes(venue.desk.order("SELL", 20)) == []

    def test_prices_each_within_a_jump_are_doubted(self) -> None:
        venue = Venue()
        desk, found = venue.desk, []
        for number in range(4):
            side, price = ("BUY", 81) if number % 2 == 0 else ("SELL", 119)
            found.append(desk.fill(desk.order(side, 100), 100, price).doubted)
        # 1,900 each.
        assert found == [False, False, True, True]
        assert amount(desk.account.high_water_mark) == 103_800

    def test_tiny_prices_are_doubted(self) -> None:
        venue = Venue()
        assert [venue.desk.fill(venue.order, 49, "0.1").doubted for _ in range(3)] == [False, True, True]

    def test_one_gain_beyond_belief_is_doubted_however_near_the_mark(self) -> None:
        venue = Venue()
        assert venue.desk.fill(venue.order, 501, 90).doubted

    def test_what_is_believed_is_believed_to_the_last_digit(self) -> None:
        assert Venue().fees(-2500, -2500) == [False, False]
        assert Venue().fees(-2500, "-2500.0000000001") == [False, True]

    def test_it_is_held_against_the_days_start_and_not_what_was_gained(self) -> None:
        venue = Venue()
        venue.desk.fill(venue.order, 500, 100)
        venue.desk.mark(STOCK=110)
        # Of equity it would be 5,250.
        assert [venue.desk.fill(venue.order, 1, 110, fee).doubted for fee in (-5000, -1)] == [False, True]

    def test_none_is_doubted_where_the_profile_says_so(self) -> None:
        assert Venue(fill_doubt_fraction=None).fees(*[-4900] * 5) == [False] * 5

    def test_a_start_of_nothing_believes_in_nothing(self) -> None:
        venue = Venue()
        venue.desk.fill(venue.order, 900, 100)
        venue.desk.mark(STOCK=250)
        out = CashMovement(movement_id="out", amount=Decimal(-100_000), reason="taken out")
        assert not isinstance(venue.desk.send(MoveCash("main", out, "ada")), Refused)
        assert venue.desk.account.start_of_day_equity == 0
        sold = venue.desk.order("SELL", 1)
        assert venue.desk.fill(sold, 1, 251).doubted


class TestSigns:
    def test_a_loss_lowers_the_sum(self) -> None:
        venue = Venue()
        assert venue.fees(-4000, 3000, -3900) == [False, False, False]
        assert venue.gain() == 4_900
        assert venue.fees(-200) == [True]

    def test_what_was_lost_before_makes_no_room_for_what_is_made_up_after(self) -> None:
        venue = Venue()
        assert venue.fees(*[1500] * 3) == [False] * 3
        assert venue.gain() == 0
        assert venue.fees(-4700, -301) == [False, True]

    def test_a_loss_is_not_doubted_for_the_gains_before_it(self) -> None:
        venue = Venue()
        assert venue.fees(-4900, -4900, 100, 0, -1) == [False, True, False, False, True]

    @pytest.mark.parametrize(
        ("side", "symbol", "price", "gain"),
        [
            ("BUY", "STOCK", "99.5", "0.5"),
            ("SELL", "STOCK", "99.5", "-0.5"),
            ("SELL", "FUT", "4000.25", "12.5"),
            ("BUY", "FUT", "4000.25", "-12.5"),
            # Four cents of a euro, at 1.25 dollars.
            ("BUY", "EURO", "9.96", "0.05"),
        ],
    )
    def test_it_is_the_accounts_money_by_side_multiplier_and_rate(
        self, side: str, symbol: str, price: str, gain: str
    ) -> None:
        venue = Venue()
        desk = venue.desk
        venue.fees(-1000)
        euro = desk.state.instruments["EURO"].instrument.model_copy(update={"symbol": "EUR/USD", "currency": "USD"})
        desk.send(SetInstruments((euro,), "ada"))
        desk.mark(**{"EUR/USD": "1.25"})
        desk.fill(desk.order(side, 1, symbol), 1, price, fee="0.25")
        assert venue.gain() == 1_000 + Decimal(gain) - Decimal("0.25")

    def test_without_a_mark_there_is_the_fee(self) -> None:
        venue = Venue()
        del venue.desk.state.marks[None, "STOCK"]
        assert not venue.desk.fill(venue.order, 500, 1, fee=-7).doubted
        assert venue.gain() == 7


class TestReset:
    @pytest.mark.parametrize("doubted", [False, True])
    def test_the_broker_who_agrees_begins_it_anew(self, doubted: bool) -> None:
        venue = Venue()
        venue.fees(-4900, *([-4900] if doubted else []))
        venue.reconcile()
        assert venue.gain() == (9_800 if doubted else 4_900), "cash was not compared"
        venue.reconcile(cash=amount(venue.desk.account.cash))
        assert venue.gain() == 0
        assert venue.desk.account.doubted_fill is None
        assert venue.fees(-4900, -200) == [False, True]

    def test_the_broker_who_differs_does_not(self) -> None:
        venue = Venue()
        venue.fees(-4900)
        venue.reconcile(cash="7")
        assert venue.gain() == 4_900

    def test_what_is_adopted_begins_it_anew(self) -> None:
        venue = Venue()
        venue.fees(-4900, -4900)
        venue.reconcile(cash="99800", adopt=True, reason="no rebate was paid")
        assert (venue.gain(), venue.desk.equity()) == (0, 100_000)
        assert amount(venue.desk.account.high_water_mark) == 104_900

    def test_a_day_begins_it_anew_and_does_not_believe_what_was_doubted(self) -> None:
        venue = Venue()
        venue.fees(-4900, -4900)
        venue.roll(date(2026, 3, 3))
        assert venue.gain() == 0
        assert "FILL_DOUBTED" in codes(venue.desk.order())

    def test_days_rolled_one_after_another_do_not(self) -> None:
        venue = Venue()
        found = []
        for day in range(3, 8):
            found += venue.fees(-4900)
            venue.roll(date(2026, 3, day))
            venue.desk.later(60)
        assert found == [False, False, True, True, True]
        # The session of the first of them begins at 21:00.
        venue.desk.later(11 * 3600 + 24 * 60)
        venue.roll(date(2026, 3, 8))
        assert venue.gain() > 0
        venue.desk.later(60)
        venue.roll(date(2026, 3, 9))
        assert venue.gain() == 0


def test_a_fill_sent_again_counts_once() -> None:
    venue = Venue()
    report = Fill(
        trade_id="t",
        client_order_id=venue.order.client_order_id,
        price=Decimal(100),
        quantity=Decimal(1),
        fee=Decimal(-4900),
        ts_event=venue.desk.now,
    )
    for _ in range(2):
        assert not isinstance(venue.desk.send(ApplyFill("main", report, "ada")), Refused)
    assert venue.gain() == 4_900


def test_a_price_that_is_not_believed_is_no_mark_to_gain_beside() -> None:
    venue = Venue()
    venue.desk.later(1)
    venue.desk.send(SetMarks(None, (Quote("STOCK", units(Decimal(500)), micros(venue.desk.now)),)))
    assert not venue.desk.fill(venue.order, 100, 100).doubted
    assert venue.gain() == 0
