"""Days that are rolled early, late or in a row: no loss is forgotten, and none has room made for it."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from services.risk.core.commands import OpenAccount, RollDay
from services.risk.core.outcome import Refused
from services.risk.core.views import account_status
from shared.schemas.accounts import AccountCreate, DayRoll
from tests.unit.risk.desk import Desk, codes, wide

pytestmark = pytest.mark.unit


class TestADayRolledEarly:
    """A day that is rolled before the next session can have begun must not forget its loss."""

    def rolled(self, following: date) -> Desk:
        desk = Desk(wide(max_daily_loss_fraction=0.05))
        desk.trade("BUY", 100, 100)
        desk.send(RollDay("main", DayRoll(next_session_date=following), "ada"))
        return desk

    def test_only_reductions_pass_until_it_has_begun(self) -> None:
        desk = self.rolled(date(2026, 3, 4))
        denied = desk.order()
        assert codes(denied) == ["SESSION_NOT_BEGUN"]
        assert "2026-03-03T21:00:00Z" in denied.reasons[0].message
        assert codes(desk.order("SELL", 100)) == []

    def test_tomorrows_session_has_not_begun_in_the_midst_of_todays(self) -> None:
        desk = Desk(wide(max_daily_loss_fraction=0.05))
        desk.now = datetime(2026, 3, 2, 15, 4, tzinfo=UTC)
        desk.mark(STOCK=100)
        desk.trade("BUY", 1_000, 100)
        desk.mark(STOCK=Decimal("95.1"))
        desk.send(RollDay("main", DayRoll(next_session_date=date(2026, 3, 3)), "svc"))
        # The loss is forgotten, and so is no room for another one.
        assert account_status(desk.state, desk.account).daily_loss == 0
        assert codes(desk.order()) == ["SESSION_NOT_BEGUN"]
        assert codes(desk.order("SELL", 1_000)) == []

    def test_tomorrow_rolled_again_begins_no_other_day(self) -> None:
        desk = Desk(wide(max_daily_loss_fraction=0.05))
        desk.trade("BUY", 1_000, 100)
        for day in (3, 4):
            desk.send(RollDay("main", DayRoll(next_session_date=date(2026, 3, day)), "svc"))
            desk.mark(STOCK=96)
            assert account_status(desk.state, desk.account).daily_loss == 0.04

    @pytest.mark.parametrize(("at", "denied"), [("20:59:59", ["SESSION_NOT_BEGUN"]), ("21:00:00", [])])
    def test_it_begins_as_the_first_market_of_its_date_opens(self, at: str, denied: list[str]) -> None:
        desk = self.rolled(date(2026, 3, 3))
        desk.now = datetime.fromisoformat(f"2026-03-02T{at}+00:00")
        desk.mark(STOCK=100)
        assert codes(desk.order()) == denied


class TestADayRolledLate:
    """Days an account is behind are one day of losses, rolled one by one or at once."""

    def behind(self) -> Desk:
        """Return an account in the session of 2026-03-02 on the 6th."""
        desk = Desk(wide(max_daily_loss_fraction=0.05, max_turnover=2))
        desk.trade("BUY", 1_000, 100)
        desk.now = datetime(2026, 3, 6, 12, tzinfo=UTC)
        desk.mark(STOCK=100)
        return desk

    def roll(self, desk: Desk, day: int) -> None:
        assert not isinstance(desk.send(RollDay("main", DayRoll(next_session_date=date(2026, 3, day)), "svc")), Refused)

    def test_losses_of_days_rolled_one_by_one_add_up(self) -> None:
        desk = self.behind()
        self.roll(desk, 3)
        for day, price in ((4, 98), (5, 97), (6, 96)):
            desk.mark(STOCK=price)
            self.roll(desk, day)
            assert account_status(desk.state, desk.account).daily_loss == pytest.approx((100 - price) / 100)
        desk.mark(STOCK=95)
        assert codes(desk.order()) == ["BREAKER_OPEN", "RISK_LEVEL"]
        assert codes(desk.order("SELL", 100)) == []

    def test_turnover_and_the_position_of_the_day_add_up_too(self) -> None:
        desk = self.behind()
        self.roll(desk, 3)
        desk.trade("SELL", 1_000, 100)
        self.roll(desk, 4)
        desk.trade("BUY", 999, 100)
        self.roll(desk, 5)
        assert codes(desk.order("BUY", 11)) == ["TURNOVER_LIMIT"]

    def test_the_next_day_begins_anew(self) -> None:
        desk = self.behind()
        self.roll(desk, 5)
        self.roll(desk, 6)
        desk.mark(STOCK=96)
        desk.now = datetime(2026, 3, 6, 21, tzinfo=UTC)
        desk.mark(STOCK=96)
        self.roll(desk, 7)
        assert account_status(desk.state, desk.account).daily_loss == 0

    def test_an_account_opened_in_an_earlier_session_is_behind_too(self) -> None:
        desk = Desk(wide(max_daily_loss_fraction=0.05))
        opened = AccountCreate(
            account_id="late",
            base_currency="USD",
            initial_cash=Decimal(100_000),
            limits=wide(),
            session_date=date(2026, 2, 20),
        )
        desk.send(OpenAccount(opened, "ada"))
        begun = desk.state.accounts["late"].day_begun
        for day in (23, 24):
            desk.send(RollDay("late", DayRoll(next_session_date=date(2026, 2, day)), "svc"))
            assert desk.state.accounts["late"].day_begun == begun
