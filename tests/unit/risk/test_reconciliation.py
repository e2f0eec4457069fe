"""What a comparison with the broker is accepted on, and what the journal keeps of it."""

import json
from decimal import Decimal
from typing import Any

import pytest

from services.risk.core.chain import Tip, event_of, link
from services.risk.core.commands import MoveCash, Reconcile
from services.risk.core.evolve import evolve
from services.risk.core.outcome import RefusalKind, Refused
from services.risk.core.state import FirmState
from services.risk.core.units import amount
from shared.schemas.accounts import BrokerPosition, CashMovement, Reconciliation
from shared.schemas.events import AccountReconciled
from tests.unit.risk.desk import START, Desk, codes, wide

pytestmark = pytest.mark.unit


def reconcile(desk: Desk, **fields: Any) -> Any:
    return desk.send(Reconcile("main", Reconciliation.model_validate({"positions": [], **fields}), "svc"))


class TestTolerance:
    """Equity at the start of the day is 100,000: rounding is at most 10."""

    def test_none_is_large_enough_to_hide_what_was_never_earned(self) -> None:
        desk = Desk(wide(fill_doubt_fraction=0.05))
        desk.trade("BUY", 900, 100)
        desk.fill(desk.order("SELL", 900), 900, 5_000)
        rows, flat = len(desk.journal), {"positions": [], "cash": "100000"}
        refused = reconcile(desk, **flat, tolerance="999999999999")
        assert isinstance(refused, Refused)
        assert refused.kind is RefusalKind.INVALID
        assert "at most 10 " in refused.detail
        assert "admin adopts" in refused.detail
        assert (len(desk.journal), codes(desk.order())) == (rows, ["FILL_DOUBTED"])
        reconcile(desk, **flat, tolerance="10")
        assert codes(desk.order()) == ["NOT_RECONCILED", "FILL_DOUBTED"]

    @pytest.mark.parametrize(("tolerance", "refused"), [("10", False), ("10.0000000001", True)])
    @pytest.mark.parametrize("fields", [{}, {"cash": "100000"}, {"cash": "7", "adopt": True, "reason": "their books"}])
    def test_it_is_a_ten_thousandth_of_the_days_start(
        self, tolerance: str, refused: bool, fields: dict[str, Any]
    ) -> None:
        desk = Desk(wide())
        desk.trade("BUY", 100, 100)
        desk.mark(STOCK=110)
        assert isinstance(reconcile(desk, **fields, tolerance=tolerance), Refused) is refused

    @pytest.mark.parametrize(("tolerance", "refused"), [("0.01", False), ("0.0100000001", True)])
    def test_of_a_small_account_it_is_a_hundredth(self, tolerance: str, refused: bool) -> None:
        desk = Desk(wide(), cash="50")
        assert isinstance(reconcile(desk, cash="50", tolerance=tolerance), Refused) is refused

    def test_a_start_below_zero_counts_as_much(self) -> None:
        desk = Desk(wide())
        desk.trade("BUY", 2_000, 100)
        desk.mark(STOCK=500)
        out = CashMovement(movement_id="out", amount=Decimal(-300_000), reason="taken out")
        desk.send(MoveCash("main", out, "ada"))
        assert amount(desk.account.start_of_day_equity) == -200_000
        assert not isinstance(reconcile(desk, tolerance="20"), Refused)
        assert isinstance(reconcile(desk, tolerance="20.01"), Refused)


class TestJournal:
    def test_it_says_what_the_broker_was_said_to_have(self) -> None:
        desk = Desk(wide())
        desk.trade("BUY", 10, 100)
        held = {"symbol": "STOCK", "quantity": "10", "average_price": "99.5"}
        reconcile(desk, positions=[held], cash="99000.004", tolerance="0.01")
        row = link(Tip(), desk.journal[-1], START, 1)
        found = json.loads(row.body)
        assert (found["cash"], found["broker_cash"], found["tolerance"]) == ("99000", "99000.004", "0.01")
        assert found["broker_positions"] == [held]
        body = event_of(row).body
        assert isinstance(body, AccountReconciled)
        assert body.broker_positions == [BrokerPosition.model_validate(held)]

    def test_it_says_so_where_nothing_was_told(self) -> None:
        desk = Desk(wide())
        (event,) = reconcile(desk)
        assert (event.body.broker_cash, event.body.broker_positions, event.body.tolerance) == (None, [], 0)

    def test_a_row_of_before_it_was_kept_is_read_and_folds_the_same(self) -> None:
        desk = Desk(wide())
        desk.trade("BUY", 10, 100)
        reconcile(desk, positions=[{"symbol": "STOCK", "quantity": "9"}], cash="5", adopt=True, reason="their books")
        row = link(Tip(), desk.journal[-1], START, 1)
        told = json.loads(row.body)
        for name in ("broker_cash", "broker_positions", "tolerance"):
            del told[name]
        old = event_of(row._replace(body=json.dumps(told)))
        assert isinstance(old.body, AccountReconciled)
        assert (old.body.broker_cash, old.body.broker_positions, old.body.tolerance) == (None, None, None)
        folded = FirmState()
        for seq, event in enumerate([*desk.journal[:-1], old], start=1):
            evolve(folded, event, seq)
        assert folded == desk.state
