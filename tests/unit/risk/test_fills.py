"""Executions that cannot be true: booked, and nothing is built on them."""

from decimal import Decimal
from typing import Any

import pytest

from services.risk.core.commands import Reconcile, SetInstruments, StartEngine
from services.risk.core.outcome import RefusalKind
from services.risk.core.units import amount
from services.risk.core.views import account_status
from shared.schemas.accounts import Reconciliation
from tests.unit.risk.desk import EURO, Desk, codes, wide

pytestmark = pytest.mark.unit


def reconcile(desk: Desk, **fields: Any) -> Any:
    return desk.send(Reconcile("main", Reconciliation.model_validate({"positions": [], **fields}), "eve"))


class TestDoubted:
    """10 shares held at 100, equity 100,000: an equity's mark may jump by a fifth, and 5,000 are believed."""

    def desk(self, **limits: Any) -> Desk:
        desk = Desk(wide(**{"fill_doubt_fraction": 0.05, **limits}))
        desk.trade("BUY", 10, 100)
        return desk

    def sold(self, desk: Desk, quantity: int, price: Any) -> bool:
        found = desk.fill(desk.order("SELL", quantity), quantity, price)
        return found.doubted

    def test_a_price_far_from_the_mark_is_booked_and_makes_no_room(self) -> None:
        desk = self.desk()
        high = desk.account.high_water_mark
        assert self.sold(desk, 1, 1_000_000)
        assert desk.equity() == 1_099_900 - 100_000 + 100_000
        assert desk.account.high_water_mark == high
        assert codes(desk.order("BUY", 1)) == ["FILL_DOUBTED"]
        assert codes(desk.order("SELL", 9)) == []
        status = account_status(desk.state, desk.account)
        assert status.doubted_fill == f"t-{desk.count - 2}"

    def test_a_later_mark_does_not_raise_the_high_water_mark_either(self) -> None:
        desk = self.desk()
        high = desk.account.high_water_mark
        self.sold(desk, 1, 1_000_000)
        desk.mark(STOCK=101)
        assert desk.account.high_water_mark == high

    @pytest.mark.parametrize(
        ("quantity", "price", "doubted"),
        [
            # Far, and little money.
            (1, 5_100, False),
            (1, Decimal("5100.01"), True),
            # Much money, and not far: a loss.
            (1_000, 80, False),
            (1_000, Decimal("79.99"), True),
            # What is gained need not be far.
            (250, 120, False),
            (251, 120, True),
        ],
    )
    def test_it_must_be_far_and_much(self, quantity: int, price: Any, doubted: bool) -> None:
        assert self.sold(self.desk(), quantity, price) is doubted

    def test_none_is_doubted_where_the_profile_says_so(self) -> None:
        desk = self.desk(fill_doubt_fraction=None)
        assert not self.sold(desk, 1, 1_000_000)
        assert codes(desk.order("BUY", 1)) == []

    def test_the_broker_who_agrees_makes_it_true(self) -> None:
        desk = self.desk()
        self.sold(desk, 1, 1_000_000)
        positions = [{"symbol": "STOCK", "quantity": "9"}]
        reconcile(desk, positions=positions)
        assert codes(desk.order("BUY", 1)) == ["FILL_DOUBTED"], "cash was not compared"
        reconcile(desk, positions=positions, cash=amount(desk.account.cash))
        assert codes(desk.order("BUY", 1)) == []
        assert amount(desk.account.high_water_mark) == desk.equity()

    def test_adopted_the_profit_goes_as_it_came(self) -> None:
        desk = self.desk()
        start, high = desk.account.start_of_day_equity, desk.account.high_water_mark
        self.sold(desk, 1, 1_000_000)
        positions = [{"symbol": "STOCK", "quantity": "9"}]
        reconcile(desk, positions=positions, cash="99100", adopt=True, reason="a comma was lost")
        assert desk.equity() == 100_000
        assert (desk.account.start_of_day_equity, desk.account.high_water_mark) == (start, high)
        assert account_status(desk.state, desk.account).doubted_fill is None
        assert codes(desk.order("BUY", 1)) == []

    def test_a_break_that_stays_stays_doubted(self) -> None:
        desk = self.desk()
        self.sold(desk, 1, 1_000_000)
        reconcile(desk, positions=[{"symbol": "STOCK", "quantity": "9"}], cash="99100")
        assert codes(desk.order("BUY", 1)) == ["NOT_RECONCILED", "FILL_DOUBTED"]

    def test_sent_again_it_says_so_again(self) -> None:
        desk = self.desk()
        order = desk.order("SELL", 1)
        desk.fill(order, 1, 1_000_000)
        count, rows = desk.count, len(desk.journal)
        desk.count -= 1
        assert desk.fill(order, 1, 1_000_000).doubted
        assert (desk.count, len(desk.journal)) == (count, rows)


def test_a_halted_start_waits_for_positions_and_cash() -> None:
    desk = Desk(wide())
    desk.send(StartEngine("1", "c", halted=True))
    reconcile(desk)
    assert codes(desk.order()) == ["NOT_RECONCILED"]
    reconcile(desk, cash="100000")
    assert codes(desk.order()) == []


def test_positions_alone_can_show_a_break() -> None:
    desk = Desk(wide())
    reconcile(desk, positions=[{"symbol": "STOCK", "quantity": "1"}])
    assert codes(desk.order()) == ["NOT_RECONCILED"]


def test_a_position_without_a_rate_is_not_adopted() -> None:
    desk = Desk(wide())
    kronor = EURO.model_copy(update={"symbol": "KRONA", "currency": "SEK"})
    desk.send(SetInstruments((kronor,), "eve"))
    held = {"positions": [{"symbol": "KRONA", "quantity": "-500000", "average_price": "100"}], "cash": "100000"}
    (told,) = reconcile(desk, **held)
    assert [each.symbol for each in told.body.breaks] == ["KRONA"]
    refused = reconcile(desk, **held, adopt=True, reason="their books")
    assert refused.kind is RefusalKind.CONFLICT
    assert "SEK" in refused.detail or "KRONA" in refused.detail
    assert desk.equity() == 100_000


@pytest.mark.parametrize("fee", ["-5000.01", "5000.01"])
def test_a_fee_beyond_belief_is_doubted(fee: str) -> None:
    desk = Desk(wide(fill_doubt_fraction=0.05))
    assert desk.fill(desk.order("BUY", 1), 1, 100, fee).doubted
    desk = Desk(wide(fill_doubt_fraction=0.05))
    assert not desk.fill(desk.order("BUY", 1), 1, 100, "5000").doubted
