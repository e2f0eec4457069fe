"""Kill switches in full, heartbeats, starts that are halted, and reconciliation."""

from decimal import Decimal
from typing import Any

import pytest

from services.risk.core.answers import answer
from services.risk.core.commands import (
    AcknowledgeKill,
    ActivateKillSwitch,
    CloseOrder,
    PassTime,
    PromiseHeartbeat,
    Reconcile,
    ReleaseKillSwitch,
    ReplaceOrder,
    SetInstruments,
    StartEngine,
)
from services.risk.core.outcome import RefusalKind, Refused
from services.risk.core.units import amount
from shared.schemas.accounts import Reconciliation
from shared.schemas.kill_switches import KillAcknowledgement, KillReason, KillScope, KillSwitchCreate
from shared.schemas.orders import OrderClose, OrderReplace, OrderStatus
from tests.unit.risk.desk import Desk, codes, wide
from tests.unit.risk.life_samples import CALL

pytestmark = pytest.mark.unit
UNKNOWN = [{"symbol": "ZZZ", "quantity": "1"}]


def release(desk: Desk, by: str, switch: str | None = None, *, four_eyes: bool = False) -> Any:
    switch = switch or next(iter(desk.state.stopped.values())).popitem()[0]
    return desk.send(ReleaseKillSwitch(switch, "as told", by, four_eyes))


class TestReductions:
    def stopped(self, *, allow_reducing: bool) -> Desk:
        desk = Desk(wide())
        desk.trade("BUY", 100, 100)
        request = KillSwitchCreate(scope=KillScope.FIRM, reason="as told", allow_reducing=allow_reducing)
        desk.send(ActivateKillSwitch("k", request, KillReason.MANUAL, "eve"))
        return desk

    def test_nothing_passes_unless_it_was_said(self) -> None:
        assert codes(self.stopped(allow_reducing=False).order("SELL", 1, reduce_only=True)) == ["KILL_SWITCH_ACTIVE"]

    def test_reductions_pass_where_it_was(self) -> None:
        desk = self.stopped(allow_reducing=True)
        assert codes(desk.order("SELL", 60)) == []
        # Of the 100 only 40 are left to sell.
        assert codes(desk.order("SELL", 41)) == ["KILL_SWITCH_ACTIVE"]
        assert codes(desk.order("BUY", 1)) == ["KILL_SWITCH_ACTIVE"]


class TestEpoch:
    def test_a_decision_says_how_many_switches_were_pulled_before(self) -> None:
        desk = Desk()
        assert desk.order().kill_epoch == 0
        desk.kill(KillScope.SYMBOL, "FUT")
        assert desk.order().kill_epoch == 1

    def test_what_was_approved_and_is_stopped_since_is_denied_whoever_asks_again(self) -> None:
        desk = Desk()
        approved = desk.order()
        desk.kill(KillScope.FIRM)
        again = desk.decided(approved.client_order_id)
        assert (again.decision, codes(again)) == ("DENIED", ["KILL_SWITCH_ACTIVE"])
        assert again.kill_epoch == 1

    def test_it_stays_denied_once_the_switch_is_released(self) -> None:
        desk = Desk()
        approved, filled = desk.order(), desk.order()
        desk.fill(filled, 1, 100)
        desk.kill(KillScope.ACCOUNT, "main")
        assert desk.decided(filled.client_order_id).decision == "DENIED", "nothing is approved while it is in force"
        release(desk, "ada")
        again = desk.decided(approved.client_order_id)
        assert (again.decision, codes(again)) == ("DENIED", ["KILL_SWITCH_ACTIVE"])
        assert (again.kill_epoch, again.max_quantity) == (1, 0)
        assert desk.decided(filled.client_order_id).decision == "APPROVED", "it was not taken back: it had happened"
        assert desk.order().decision == "APPROVED"

    @pytest.mark.parametrize("status", ["CANCELLED", "REJECTED", "EXPIRED"])
    def test_an_order_that_ended_is_not_approved_again(self, status: str) -> None:
        desk = Desk()
        ended = desk.order()
        close = CloseOrder("main", ended.client_order_id, OrderStatus(status), OrderClose(reason="as told"), "ada")
        desk.send(close)
        again = desk.decided(ended.client_order_id)
        assert (again.decision, codes(again), again.risk_level) == ("DENIED", ["ORDER_ENDED"], ended.risk_level)
        desk.kill(KillScope.FIRM)
        assert codes(desk.decided(ended.client_order_id)) == ["KILL_SWITCH_ACTIVE"]

    def test_so_is_a_replacement_of_it(self) -> None:
        desk = Desk()
        order = desk.order(quantity=5, order_type="LIMIT", limit_price="100")
        request = OrderReplace.model_validate({"replace_id": "r1", "quantity": 6, "limit_price": "100"})
        command = ReplaceOrder("main", order.client_order_id, request, "ada")
        desk.send(command)
        assert answer(desk.state, command, []).decision == "APPROVED"
        desk.kill(KillScope.STRATEGY, "trend")
        release(desk, "ada")
        assert desk.send(command) == ()
        again = answer(desk.state, command, [])
        assert (again.decision, codes(again), again.kill_epoch) == ("DENIED", ["KILL_SWITCH_ACTIVE"], 1)

    def test_what_the_switch_did_not_concern_stays_approved(self) -> None:
        desk = Desk()
        approved = desk.order()
        desk.kill(KillScope.SYMBOL, "FUT")
        again = desk.decided(approved.client_order_id)
        assert again.decision == "APPROVED"


class TestOptions:
    """What stops an instrument stops what is written on it."""

    def desk(self) -> Desk:
        desk = Desk(wide())
        desk.send(SetInstruments((CALL,), "eve"))
        desk.mark(CALL=5)
        return desk

    def test_a_switch_of_the_underlying_stops_the_option_and_cancels_its_orders(self) -> None:
        desk = self.desk()
        resting = desk.order(symbol="CALL", order_type="LIMIT", limit_price="5")
        assert codes(resting) == []
        desk.kill(KillScope.SYMBOL, "STOCK")
        assert desk.account.open_orders == {}
        assert codes(desk.order(symbol="CALL")) == ["KILL_SWITCH_ACTIVE"]
        assert codes(desk.order(symbol="FUT")) == []

    @pytest.mark.parametrize(
        ("change", "code"), [({"restricted": True}, "RESTRICTED"), ({"tradable": False}, "INSTRUMENT_NOT_TRADABLE")]
    )
    def test_so_does_a_restriction(self, change: dict[str, bool], code: str) -> None:
        desk = self.desk()
        stock = desk.state.instruments["STOCK"].instrument
        desk.send(SetInstruments((stock.model_copy(update=change),), "eve"))
        assert codes(desk.order(symbol="CALL")) == [code]


class TestRelease:
    def test_with_four_eyes_it_takes_a_second_admin(self) -> None:
        desk = Desk()
        desk.kill(KillScope.FIRM)
        switch = next(iter(desk.state.kill_switches))
        release(desk, "eve", switch, four_eyes=True)
        assert desk.state.kill_switches[switch].release_requested_by == "eve"
        assert codes(desk.order()) == ["KILL_SWITCH_ACTIVE"]
        alone = release(desk, "eve", switch, four_eyes=True)
        assert isinstance(alone, Refused)
        assert alone.kind is RefusalKind.CONFLICT
        release(desk, "bob", switch, four_eyes=True)
        assert codes(desk.order()) == []
        assert desk.state.stopped == {}

    def test_execution_says_that_it_has_cancelled(self) -> None:
        desk = Desk()
        desk.kill(KillScope.FIRM)
        switch = next(iter(desk.state.kill_switches))
        request = KillAcknowledgement(execution_id="gateway-1", cancelled_orders=3)
        desk.send(AcknowledgeKill(switch, request, "svc"))
        assert desk.state.kill_switches[switch].acknowledged_by == ["gateway-1"]
        assert desk.send(AcknowledgeKill(switch, request, "svc")) == ()
        # Also once it has been released: the word may come late.
        release(desk, "eve", switch)
        late = KillAcknowledgement(execution_id="gateway-2", cancelled_orders=0)
        desk.send(AcknowledgeKill(switch, late, "svc"))
        assert desk.state.kill_switches[switch].acknowledged_by == ["gateway-1", "gateway-2"]
        assert desk.state.stopped == {}


class TestTargets:
    """A name that is mistyped must not look like a stop."""

    def stop(self, desk: Desk, scope: KillScope, target: str) -> Any:
        request = KillSwitchCreate(scope=scope, target=target, reason="as told")
        return desk.send(ActivateKillSwitch("k", request, KillReason.MANUAL, "eve"))

    @pytest.mark.parametrize(("scope", "target"), [(KillScope.ACCOUNT, "mian"), (KillScope.SYMBOL, "STOKC")])
    def test_an_account_or_symbol_that_does_not_exist_is_not_stopped(self, scope: KillScope, target: str) -> None:
        desk = Desk()
        outcome = self.stop(desk, scope, target)
        assert isinstance(outcome, Refused)
        assert outcome.kind is RefusalKind.NOT_FOUND
        assert "nothing was stopped" in outcome.detail
        assert desk.state.kill_switches == desk.state.stopped == {}

    @pytest.mark.parametrize("meet", ["approved", "denied", "heartbeat", "never"])
    def test_a_strategy_is_stopped_and_the_answer_says_whether_it_was_ever_seen(self, meet: str) -> None:
        desk = Desk(wide())
        if meet == "heartbeat":
            desk.send(PromiseHeartbeat("drift", 5, "svc"))
        elif meet != "never":
            assert desk.order("BUY", 1 if meet == "approved" else 10**9, strategy_id="drift")
        self.stop(desk, KillScope.STRATEGY, "drift")
        assert desk.state.kill_switches["k"].known is (meet != "never")
        assert codes(desk.order(strategy_id="drift")) == ["KILL_SWITCH_ACTIVE"]


class TestHeartbeats:
    def test_a_strategy_that_falls_silent_is_stopped_and_may_still_reduce(self) -> None:
        desk = Desk(wide())
        desk.trade("BUY", 10, 100)
        desk.send(PromiseHeartbeat("trend", 5, "svc"))
        assert desk.send(PromiseHeartbeat("trend", 5, "svc")) == ()
        desk.send(PassTime(("trend",)))
        assert codes(desk.order("BUY", 1)) == ["KILL_SWITCH_ACTIVE"]
        assert codes(desk.order("SELL", 1)) == []
        assert codes(desk.order("BUY", 1, strategy_id="other")) == []
        # Once is enough.
        assert desk.send(PassTime(("trend",))) == ()

    def test_off_by_default_and_once_it_is_ended(self) -> None:
        desk = Desk()
        assert desk.send(PassTime(("trend",))) == ()
        desk.send(PromiseHeartbeat("trend", 5, "svc"))
        desk.send(PromiseHeartbeat("trend", 0, "svc"))
        assert desk.send(PassTime(("trend",))) == ()


class TestReconciliation:
    def reconcile(self, desk: Desk, **fields: Any) -> Any:
        request = Reconciliation.model_validate({"positions": [], **fields})
        return desk.send(Reconcile("main", request, "eve"))

    def test_a_halted_start_denies_until_the_account_is_reconciled(self) -> None:
        desk = Desk(wide())
        desk.trade("BUY", 10, 100)
        desk.send(StartEngine("1", "c", halted=True))
        assert codes(desk.order("SELL", 10, reduce_only=True)) == ["NOT_RECONCILED"]
        self.reconcile(desk, positions=[{"symbol": "STOCK", "quantity": "9"}])
        assert codes(desk.order()) == ["NOT_RECONCILED"]
        self.reconcile(desk, positions=[{"symbol": "STOCK", "quantity": "10"}], cash="99000")
        assert codes(desk.order()) == []

    def test_an_unhalted_start_stops_nobody(self) -> None:
        desk = Desk()
        desk.send(StartEngine("1", "c", halted=False))
        assert codes(desk.order()) == []

    def test_breaks_are_told_and_change_nothing(self) -> None:
        desk = Desk(wide())
        desk.trade("BUY", 10, 100)
        positions = [{"symbol": "STOCK", "quantity": "12"}, {"symbol": "FUT", "quantity": "-1"}]
        (event,) = self.reconcile(desk, positions=positions, cash="98000", tolerance="1")
        breaks = [(each.kind.value, each.symbol, each.engine, each.broker) for each in event.body.breaks]
        assert breaks == [
            ("POSITION", "FUT", 0, -1),
            ("POSITION", "STOCK", 10, 12),
            ("CASH", None, 99_000, 98_000),
        ]
        assert desk.held().quantity == 10

    def test_cash_may_differ_by_the_tolerance(self) -> None:
        desk = Desk()
        (event,) = self.reconcile(desk, cash="99999.5", tolerance="0.5")
        assert event.body.breaks == []

    def test_adopted_the_broker_is_right_and_it_is_neither_profit_nor_loss(self) -> None:
        desk = Desk(wide(max_drawdown_fraction=0.2))
        desk.trade("BUY", 10, 100)
        positions = [{"symbol": "STOCK", "quantity": "-5", "average_price": "110"}]
        self.reconcile(desk, positions=positions, cash="50000", adopt=True, reason="their books")
        held = desk.held()
        assert (held.quantity, held.average_price) == (-5, 110)
        assert amount(desk.account.cash) == 50_000
        assert amount(desk.account.high_water_mark) == desk.equity() == 49_500
        assert codes(desk.order()) == []

    @pytest.mark.parametrize(
        ("fields", "kind"),
        [
            ({"adopt": True}, RefusalKind.INVALID),
            (
                {"positions": [{"symbol": "ZZZ", "quantity": "1"}], "adopt": True, "reason": "x y z"},
                RefusalKind.CONFLICT,
            ),
            ({"positions": [{"symbol": "FUT", "quantity": "1"}] * 2}, RefusalKind.INVALID),
        ],
    )
    def test_what_cannot_be_compared_is_refused(self, fields: dict[str, Any], kind: RefusalKind) -> None:
        outcome = self.reconcile(Desk(), **fields)
        assert isinstance(outcome, Refused)
        assert outcome.kind is kind

    def test_a_position_without_a_mark_can_be_adopted(self) -> None:
        desk = Desk(wide())
        del desk.state.marks[None, "FUT"]
        positions = [{"symbol": "FUT", "quantity": "1", "average_price": "4000"}]
        self.reconcile(desk, positions=positions, adopt=True, reason="their books")
        assert desk.equity() == Decimal(100_000)
