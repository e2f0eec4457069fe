"""Limits of the whole account, and what a denial says about them."""

import json
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from services.risk.core.commands import ActivateKillSwitch, MoveCash, RollBackLimits, SetInstruments, SetLimits
from services.risk.core.outcome import RefusalKind, Refused
from services.risk.core.units import amount, units
from services.risk.core.views import account_status
from shared.schemas.accounts import AccountStatus, CashMovement
from shared.schemas.decisions import DenialReason
from shared.schemas.instruments import AssetClass, ScenarioSet
from shared.schemas.kill_switches import Heartbeat, KillAcknowledgement, KillReason, KillScope, KillSwitchCreate
from shared.schemas.limits import Limits, LimitsRollback, LimitsUpdate, Utilisation
from tests.unit.risk.desk import DUST, FUTURE, STOCK, Desk, codes, narrow, wide

pytestmark = pytest.mark.unit


def stocks(desk: Desk, **sectors: str | None) -> Desk:
    """Add stocks at 100, each in its sector."""
    desk.send(
        SetInstruments(
            tuple(STOCK.model_copy(update={"symbol": name, "sector": sector}) for name, sector in sectors.items()),
            "ada",
        )
    )
    desk.mark(**dict.fromkeys(sectors, 100))
    return desk


class TestExposures:
    def test_a_sector_counts_all_its_symbols(self) -> None:
        desk = stocks(Desk(narrow()), A="tech", B="tech", C="tech", D="food", E=None)
        for symbol in "AB":
            assert codes(desk.order(quantity=99, symbol=symbol)) == []
        # 198 are 19.8 %; a quarter is 250.
        assert codes(desk.order(quantity=53, symbol="C")) == ["SECTOR_LIMIT"]
        assert codes(desk.order(quantity=52, symbol="C")) == []
        assert codes(desk.order(quantity=99, symbol="D")) == []
        assert codes(desk.order(quantity=99, symbol="E")) == []

    def test_an_asset_class_counts_all_of_it(self) -> None:
        desk = stocks(Desk(narrow()), A=None, B=None, C=None, D=None, E=None, F=None)
        for symbol in "ABCDE":
            assert codes(desk.order(quantity=100, symbol=symbol)) == []
        assert codes(desk.order(quantity=1, symbol="F")) == ["ASSET_CLASS_LIMIT"]
        coin = {"quantity": "0.1", "symbol": "COIN"}
        assert codes(desk.order(**coin)) == []

    def test_gross_adds_longs_and_shorts_and_net_sets_them_against_each_other(self) -> None:
        desk = stocks(Desk(wide(max_gross_exposure=1.0, max_net_exposure=0.2)), A=None, B=None)
        assert codes(desk.order("BUY", 200, "A")) == []
        assert codes(desk.order("BUY", 1, "A")) == ["NET_EXPOSURE_LIMIT"]
        # Open orders never net: the sells may fill and the buys not.
        assert codes(desk.order("SELL", 201, "B")) == ["NET_EXPOSURE_LIMIT"]
        assert codes(desk.order("SELL", 200, "B")) == []
        filled = stocks(Desk(wide(max_gross_exposure=1.0, max_net_exposure=0.2)), A=None, B=None)
        filled.trade("BUY", 100, 100, "A")
        # Held positions do.
        assert codes(filled.order("SELL", 301, "B")) == ["NET_EXPOSURE_LIMIT"]
        filled.trade("SELL", 290, 100, "B")
        assert codes(filled.order("BUY", 391, "A")) == ["NET_EXPOSURE_LIMIT"]
        assert codes(filled.order("BUY", 390, "A")) == []
        assert codes(filled.order("BUY", 500, "A")) == ["GROSS_EXPOSURE_LIMIT", "NET_EXPOSURE_LIMIT"]

    def test_leverage_is_of_margined_notional_and_gross_of_all(self) -> None:
        desk = Desk(wide(max_leverage=5, max_gross_exposure=2))
        # Two contracts are 4 times the equity: within the leverage, beyond the gross exposure.
        assert codes(desk.order(quantity=2, symbol="FUT")) == ["GROSS_EXPOSURE_LIMIT"]
        assert codes(desk.order(quantity=1, symbol="FUT")) == []

    def test_buying_power_is_margin_within_equity(self) -> None:
        desk = Desk(wide())
        assert codes(desk.order(quantity=2000)) == []
        assert codes(desk.order(quantity=1)) == ["BUYING_POWER"]
        dear = Desk(wide())
        dear.send(SetInstruments((STOCK.model_copy(update={"initial_margin": 1.0}),), "ada"))
        assert codes(dear.order(quantity=1001)) == ["BUYING_POWER"]
        assert codes(dear.order(quantity=1000)) == []


class TestDay:
    def test_turnover_counts_fills_and_open_orders_both_ways(self) -> None:
        desk = Desk(wide(max_turnover=0.5))
        desk.trade("BUY", 200, 100)
        desk.trade("SELL", 200, 100)
        assert codes(desk.order(quantity=101)) == ["TURNOVER_LIMIT"]
        assert codes(desk.order(quantity=60)) == []
        assert codes(desk.order(quantity=41)) == ["TURNOVER_LIMIT"]

    def test_what_reduces_is_let_out_whatever_was_traded(self) -> None:
        desk = Desk(wide(max_turnover=0.2))
        desk.trade("BUY", 200, 100)
        assert codes(desk.order("BUY", 1)) == ["RISK_LEVEL", "TURNOVER_LIMIT"]
        assert codes(desk.order("SELL", 200)) == []

    def test_the_position_may_move_so_far_from_where_the_day_began(self) -> None:
        desk = Desk(wide(max_intraday_position_fraction=0.1))
        desk.trade("BUY", 100, 100)
        assert codes(desk.order("BUY", 1)) == ["INTRADAY_POSITION_LIMIT"]
        # Back to nothing and as far on the other side.
        assert codes(desk.order("SELL", 200)) == []


class TestNumbers:
    @pytest.mark.parametrize(
        ("contract", "body"),
        [
            (LimitsRollback, {"version": True, "reason": "as told"}),
            (Limits, {"max_open_orders": True}),
            (Limits, {"max_drawdown_fraction": True}),
            (Limits, {"price_collar_bps": False}),
            (Heartbeat, {"timeout_seconds": False}),
            (KillAcknowledgement, {"execution_id": "x", "cancelled_orders": True}),
            (ScenarioSet, {"name": "x", "horizon_days": True, "returns": {"A": [0.1]}}),
        ],
    )
    def test_true_and_false_are_none(self, contract: type[BaseModel], body: dict[str, Any]) -> None:
        with pytest.raises(ValidationError) as refused:
            contract.model_validate_json(json.dumps(body))
        assert [each["type"] for each in refused.value.errors()] == ["number_boolean"]

    def test_a_share_of_nothing_is_shown_as_the_contract_says(self) -> None:
        desk = Desk(wide())
        desk.trade("BUY", 1_000, 100)
        desk.account.equity = 0
        shown = [each for each in account_status(desk.state, desk.account).utilisations if each.name == "position"]
        assert [each.value for each in shown] == [1e9]
        for contract, name in ((Utilisation, "value"), (DenialReason, "value"), (AccountStatus, "gross_exposure")):
            assert "1000000000 stands for beyond measure" in (contract.model_fields[name].description or "")


class TestSizes:
    def test_units_and_worth_of_one_order(self) -> None:
        desk = Desk(wide(max_order_quantity=50, max_order_value=4000))
        assert codes(desk.order(quantity=40)) == []
        assert codes(desk.order(quantity=41)) == ["MAX_ORDER_VALUE"]
        assert codes(desk.order(quantity=51)) == ["MAX_ORDER_QUANTITY", "MAX_ORDER_VALUE"]

    def test_a_share_of_the_daily_volume(self) -> None:
        desk = Desk(wide(max_order_volume_fraction=0.1))
        assert codes(desk.order(quantity=500)) == []
        thin = STOCK.model_copy(update={"symbol": "THIN", "average_daily_volume": Decimal(1000)})
        desk.send(SetInstruments((thin,), "ada"))
        desk.mark(THIN=1)
        assert codes(desk.order(quantity=100, symbol="THIN")) == []
        denied = desk.order(quantity=101, symbol="THIN")
        assert codes(denied) == ["LIQUIDITY_LIMIT"]
        assert denied.max_quantity == 100


class TestRestricted:
    def test_only_reductions_pass(self) -> None:
        desk = Desk(wide())
        desk.trade("BUY", 10, 100)
        desk.send(SetInstruments((STOCK.model_copy(update={"restricted": True}),), "ada"))
        assert codes(desk.order("BUY", 1)) == ["RESTRICTED"]
        assert codes(desk.order("SELL", 11)) == ["RESTRICTED"]
        assert codes(desk.order("SELL", 10)) == []


class TestDenials:
    def test_each_says_what_was_what_would_be_and_what_may_be(self) -> None:
        desk = Desk(narrow())
        desk.order(quantity=60)
        denied = desk.order(quantity=50)
        reason = denied.reasons[0]
        assert (reason.code, reason.unit) == ("POSITION_LIMIT", "fraction of equity")
        figures = (reason.measured, reason.value, reason.limit, reason.headroom, reason.utilisation)
        assert figures == pytest.approx((0.06, 0.11, 0.10, 0.04, 1.1))
        assert denied.max_quantity == 40
        assert denied.policy_version == 1

    def test_the_largest_quantity_that_passes_is_told_and_passes(self) -> None:
        for asked in (101, 999, 5_000_000):
            assert Desk(narrow()).order(quantity=asked).max_quantity == 100
        assert codes(Desk(narrow()).order(quantity=100)) == []

    def test_in_whole_lots(self) -> None:
        desk = Desk(narrow())
        # A tenth of the equity is 0.2 of a coin.
        assert desk.order(quantity="0.3007", symbol="COIN").max_quantity == Decimal("0.2")
        assert desk.order(quantity="0.1007", symbol="COIN").max_quantity == Decimal("0.1")

    def test_it_is_nothing_where_size_is_not_the_matter(self) -> None:
        desk = Desk(narrow())
        assert desk.order(quantity=5, order_type="LIMIT", limit_price="200").max_quantity == 0

    def test_of_a_sale_in_a_breach_it_is_what_is_held(self) -> None:
        desk = Desk(wide(max_position_fraction=0.1))
        desk.trade("BUY", 100, 100)
        desk.mark(STOCK=150)
        assert desk.order("SELL", 500).max_quantity == 100

    @pytest.mark.parametrize(("allow_reducing", "most"), [(True, 100), (False, 0)])
    def test_of_a_switch_that_lets_reductions_through_it_is_what_reduces(self, allow_reducing: bool, most: int) -> None:
        desk = Desk(wide())
        desk.trade("BUY", 100, 100)
        request = KillSwitchCreate(scope=KillScope.FIRM, reason="as told", allow_reducing=allow_reducing)
        desk.send(ActivateKillSwitch("k", request, KillReason.MANUAL, "eve"))
        denied = desk.order("SELL", 150)
        assert "KILL_SWITCH_ACTIVE" in codes(denied)
        assert denied.max_quantity == most

    def test_several_broken_rules_are_all_told(self) -> None:
        desk = stocks(Desk(narrow()), A="tech")
        found = codes(desk.order(quantity=3000, symbol="A"))
        assert found == [
            "POSITION_LIMIT",
            "SECTOR_LIMIT",
            "ASSET_CLASS_LIMIT",
            "GROSS_EXPOSURE_LIMIT",
            "BUYING_POWER",
        ]


class TestProfiles:
    def update(self, **limits: Any) -> LimitsUpdate:
        return LimitsUpdate(limits=narrow(**limits), reason="as told")

    def test_an_earlier_version_comes_back_as_a_new_one(self) -> None:
        desk = Desk(narrow())
        desk.send(SetLimits("main", self.update(max_position_fraction=0.01), "eve"))
        assert codes(desk.order(quantity=100)) == ["POSITION_LIMIT"]
        back = LimitsRollback(version=1, reason="too tight")
        desk.send(RollBackLimits("main", back, "eve"))
        assert codes(desk.order(quantity=100)) == []
        view = desk.account.limits
        assert (view.version, view.reason, view.set_by) == (3, "back to version 1: too tight", "eve")
        assert [each.version for each in desk.account.history] == [1, 2, 3]

    def test_a_version_there_never_was_is_not_found(self) -> None:
        outcome = Desk().send(RollBackLimits("main", LimitsRollback(version=7, reason="as told"), "eve"))
        assert isinstance(outcome, Refused)
        assert outcome.kind is RefusalKind.NOT_FOUND


class TestCash:
    def move(self, desk: Desk, value: str, movement: str = "m1") -> Any:
        request = CashMovement(movement_id=movement, amount=Decimal(value), reason="as told")
        return desk.send(MoveCash("main", request, "ada"))

    def test_a_deposit_is_no_profit_and_a_withdrawal_no_loss(self) -> None:
        desk = Desk(wide(max_drawdown_fraction=0.2, max_daily_loss_fraction=0.05))
        self.move(desk, "50000")
        assert amount(desk.account.high_water_mark) == desk.equity() == 150_000
        self.move(desk, "-100000", "m2")
        assert amount(desk.account.high_water_mark) == desk.equity() == 50_000
        assert codes(desk.order()) == []

    def test_the_same_again_changes_nothing_and_another_is_refused(self) -> None:
        desk = Desk()
        self.move(desk, "5")
        assert self.move(desk, "5") == ()
        assert self.move(desk, "6").kind is RefusalKind.CONFLICT
        assert desk.equity() == 100_005

    def test_no_more_is_paid_out_than_there_is(self) -> None:
        desk = Desk()
        assert self.move(desk, "-100000").kind is RefusalKind.CONFLICT
        assert self.move(desk, "0").kind is RefusalKind.INVALID


def test_changed_terms_of_an_instrument_move_its_exposure() -> None:
    desk = stocks(Desk(wide(max_sector_fraction=0.25)), A="tech")
    desk.trade("BUY", 200, 100, "A")
    desk.send(SetInstruments((STOCK.model_copy(update={"symbol": "A", "sector": "food"}),), "ada"))
    assert {name: amount(value) for name, value in desk.account.sectors.items()} == {"tech": 0, "food": 20_000}
    other = FUTURE.model_copy(update={"asset_class": AssetClass.INDEX})
    desk.send(SetInstruments((other,), "ada"))
    assert amount(desk.account.gross) == 20_000


@pytest.mark.parametrize(("share", "level"), [(Decimal("0.6"), "YELLOW"), (Decimal("0.8"), "ORANGE"), (1, "RED")])
def test_what_uses_exactly_so_much_of_a_limit_is_in_the_band_that_begins_there(share: Decimal, level: str) -> None:
    """Quotients are rounded, and may come out a bit below: cash is chosen so that some do."""
    below = 0
    for number in range(1, 200):
        cash = Decimal(number) * Decimal("7000001.0007")
        desk = Desk(wide(max_position_fraction=1), str(cash))
        desk.send(SetInstruments((DUST,), "ada"))
        desk.mark(DUST=100)
        decision = desk.order("BUY", cash * share / 100, "DUST")
        assert (decision.decision, decision.risk_level) == ("APPROVED", level)
        assert decision.risk_score == float(share)
        below += float(units(cash * share)) / float(units(cash)) < float(share)
    assert below or share == 1
