"""What is kept of an account at a moment."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.risk.core.book import book_of
from services.risk.core.commands import MoveCash, OpenAccount, RollDay, SetScenarios
from services.risk.core.history import LevelChange, Snapshot, points, snapshot, worth_keeping
from services.risk.core.levels import measures, utilisations
from services.risk.core.tail_methods import every_method
from services.risk.core.views import account_status
from shared.schemas.accounts import AccountCreate, CashMovement, DayRoll
from shared.schemas.decisions import RiskLevel
from shared.schemas.history import HistoryReason, PortfolioPoint, RiskPoint
from shared.schemas.kill_switches import KillScope
from tests.unit.risk.desk import START, Desk, wide
from tests.unit.risk.test_tail import scenarios

pytestmark = pytest.mark.unit
UNBOUND = {"max_var_fraction": None, "max_expected_shortfall_fraction": None}


def desk() -> Desk:
    """Return a desk that is long, short, margined, with a closed position and an open order."""
    found = Desk(wide(**UNBOUND))
    found.send(SetScenarios(scenarios(STOCK=0.02, FUT=-0.01, COIN=0.03), "ada"))
    found.trade("BUY", "300", "100", fee="1.5")
    found.trade("SELL", "1", "4000", "FUT")
    found.trade("BUY", "0.5", "50000", "COIN")
    found.trade("SELL", "0.5", "50010", "COIN")
    found.order("BUY", 10)
    found.mark(STOCK="101.3", FUT="4010.25")
    return found


def taken(found: Desk, change: LevelChange | None = None) -> tuple[PortfolioPoint, RiskPoint]:
    return points(snapshot(found.state, found.account), found.now, change)


def test_the_figures_are_those_of_the_status() -> None:
    found = desk()
    status = account_status(found.state, found.account)
    held, stood = taken(found)
    for name in ("equity", "cash", "start_of_day_equity", "high_water_mark", "realised_pnl", "unrealised_pnl", "fees"):
        assert getattr(held, name) == getattr(status, name), name
    for name in ("drawdown", "daily_loss", "gross_exposure", "net_exposure", "leverage"):
        assert getattr(stood, name) == getattr(status, name), name
    assert (stood.level, stood.level_reason) == (status.risk_level, status.risk_level_reason)
    # Of what is held, as the level is; the status counts open orders in.
    used = utilisations(found.account, measures(found.state, found.account))
    assert stood.worst_utilisation == max(each.utilisation for each in used)
    assert held.open_orders == status.open_orders == 1
    book = book_of(found.state, found.account)
    assert book is not None
    assert stood.tail_risk == every_method(book)
    shown = {each.symbol: each for each in status.positions}
    # What was closed is not held.
    assert [each.symbol for each in held.positions] == ["FUT", "STOCK"]
    for each in held.positions:
        same = shown[each.symbol]
        assert (each.quantity, each.average_price) == (same.quantity, same.average_price)
        assert (each.mark_price, each.market_value) == (same.mark_price, same.notional)


def test_the_money_adds_up() -> None:
    found = desk()
    held, stood = taken(found)
    stock, future = Decimal("300") * Decimal("101.3"), Decimal("50") * Decimal("4010.25")
    assert (held.gross_notional, held.net_notional) == (stock + future, stock - future)
    assert float(held.gross_notional / held.equity) == pytest.approx(stood.gross_exposure, rel=1e-11)
    assert float(held.net_notional / held.equity) == pytest.approx(stood.net_exposure, rel=1e-11)
    # 1.3 a share, 10.25 points of 50 against it, 10 for half a coin, and the fee.
    assert held.day_pnl == Decimal("300") * Decimal("1.3") - Decimal("512.5") + 5 - Decimal("1.5")
    assert held.day_pnl == held.realised_pnl + held.unrealised_pnl - held.fees


def test_cash_that_is_paid_in_is_no_profit() -> None:
    found = desk()
    before = taken(found)[0]
    found.send(MoveCash("main", CashMovement(movement_id="m", amount=Decimal(777), reason="a deposit"), "ada"))
    after = taken(found)[0]
    assert after.equity == before.equity + 777
    assert after.day_pnl == before.day_pnl


def test_what_is_written_is_what_the_contract_reads() -> None:
    for each in taken(desk()):
        assert type(each).model_validate_json(each.model_dump_json()) == each


class TestTime:
    def test_a_minute_is_of_the_moment_it_was_taken(self) -> None:
        found = desk()
        held, stood = taken(found)
        assert (held.ts, held.reason) == (found.now, HistoryReason.MINUTE)
        assert held.journal_seq == held.state_seq == stood.state_seq == found.state.last_seq

    def test_a_change_of_level_is_of_the_row_that_made_it_and_at_its_level(self) -> None:
        found = desk()
        change = LevelChange(5, START, (RiskLevel.RED, "because"))
        _, stood = taken(found, change)
        assert (stood.ts, stood.journal_seq, stood.reason) == (START, 5, HistoryReason.LEVEL)
        assert (stood.level, stood.level_reason) == (RiskLevel.RED, "because")
        assert stood.state_seq == found.state.last_seq

    def test_under_a_kill_switch_it_is_black_whatever_the_level(self) -> None:
        found = desk()
        found.kill(KillScope.STRATEGY, "trend")
        assert not taken(found)[1].kill_switch_active
        found.kill(KillScope.ACCOUNT, "main")
        for change in (None, LevelChange(5, START, (RiskLevel.RED, "because")), LevelChange(5, START)):
            _, stood = taken(found, change)
            assert (stood.level, stood.kill_switch_active) == (RiskLevel.BLACK, True)
            assert "stopped" in stood.level_reason

    def test_a_simulation_has_a_time_of_its_own(self) -> None:
        found = Desk(wide())
        then = START - timedelta(days=1_000)
        create = AccountCreate(
            account_id="sim", base_currency="USD", initial_cash=Decimal(5), simulation_id="s", ts_event=then
        )
        found.send(OpenAccount(create, "ada"))
        account = found.state.accounts["sim"]
        # It has no time before the first thing happens to it.
        assert points(snapshot(found.state, account), found.now, None)[0].ts == found.now
        movement = CashMovement(movement_id="m", amount=Decimal(1), reason="a deposit", ts_event=then)
        found.send(MoveCash("sim", movement, "ada"))
        for change in (None, LevelChange(5, START)):
            assert points(snapshot(found.state, account), found.now, change)[0].ts == then
        given = LevelChange(5, then - timedelta(days=1), (RiskLevel.RED, "because"))
        assert points(snapshot(found.state, account), found.now, given)[0].ts == then - timedelta(days=1)


class TestWorthKeeping:
    def flat(self, **cash: Any) -> tuple[Desk, Snapshot]:
        found = Desk(wide(), **cash)
        return found, snapshot(found.state, found.account)

    def test_the_first_point_is(self) -> None:
        assert worth_keeping(None, self.flat()[1])

    def test_of_an_account_without_a_position_only_what_happened_to_it(self) -> None:
        found, before = self.flat()
        found.mark(STOCK=101)
        found.later(600)
        assert not worth_keeping(before.signature, snapshot(found.state, found.account))
        found.send(RollDay("main", DayRoll(next_session_date=START.date() + timedelta(days=1)), "ada"))
        rolled = snapshot(found.state, found.account)
        assert worth_keeping(before.signature, rolled)
        found.kill(KillScope.SYMBOL, "STOCK")
        assert not worth_keeping(rolled.signature, snapshot(found.state, found.account))
        found.kill(KillScope.FIRM)
        assert worth_keeping(rolled.signature, snapshot(found.state, found.account))

    @pytest.mark.parametrize("filled", [True, False])
    def test_of_one_with_a_position_or_an_open_order_every_minute(self, filled: bool) -> None:
        found, _ = self.flat()
        decision = found.order("BUY", 10)
        if filled:
            found.fill(decision, 10, 100)
        held = snapshot(found.state, found.account)
        assert worth_keeping(held.signature, held)
        simulated = Snapshot(**{**{name: getattr(held, name) for name in Snapshot.__slots__}, "simulation_id": "s"})
        assert not worth_keeping(held.signature, simulated)

    def test_of_a_simulated_one_also_when_its_marks_move(self) -> None:
        found = desk()
        held = snapshot(found.state, found.account)
        found.mark(STOCK="101.4")
        moved = snapshot(found.state, found.account)
        assert moved.signature != held.signature
