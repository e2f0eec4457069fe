"""An explanation is the decision: the same rules broken, each named by the check that found it."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.risk.core.batch import legs_before
from services.risk.core.bodies import Decided
from services.risk.core.chain import Row, Tip, event_of, link
from services.risk.core.commands import PlaceOrders, SetScenarios
from services.risk.core.evolve import evolve
from services.risk.core.explain import explain
from services.risk.core.outcome import Refused
from services.risk.core.state import FirmState
from services.risk.core.translate import order_terms
from shared.schemas.accounts import Explanation
from shared.schemas.kill_switches import KillScope
from shared.schemas.orders import Order
from tests.unit.risk.desk import Desk, codes, wide
from tests.unit.risk.test_tail import scenarios

pytestmark = pytest.mark.unit


class Recorded(Desk):
    """A desk whose rows have the time of their command, as the engine's have."""

    def __init__(self, *args: Any, **fields: Any) -> None:
        self.times: list[datetime] = []
        super().__init__(*args, **fields)

    def send(self, command: Any) -> Any:
        outcome = super().send(command)
        self.times += [self.now] * (len(self.journal) - len(self.times))
        # No two commands are decided in one microsecond.
        self.later(0.00001)
        return outcome

    def rows(self) -> list[Row]:
        tip, rows = Tip(), []
        for event, time in zip(self.journal, self.times, strict=True):
            rows.append(link(tip, event, time, 1))
            tip = Tip(rows[-1].seq, rows[-1].hash)
        return rows

    def explained(self) -> dict[str, Explanation]:
        """Explain every decision from the journal alone."""
        state, rows, found = FirmState(), self.rows(), {}
        for number, row in enumerate(rows):
            event = event_of(row)
            if isinstance(event.body, Decided):
                legs = legs_before(rows[:number], row)
                found[event.body.order.client_order_id] = explain(state, event.body, row.seq, legs)
            evolve(state, event, row.seq)
        return found

    def batch(self, *orders: tuple[str, int, str]) -> list[str]:
        wanted = []
        for side, quantity, symbol in orders:
            self.count += 1
            values = {"client_order_id": f"o-{self.count}", "strategy_id": "trend", "symbol": symbol}
            wanted.append(order_terms(Order.model_validate({**values, "side": side, "quantity": quantity})))
        assert not isinstance(self.send(PlaceOrders("main", tuple(wanted), True, "ada")), Refused)
        return [each.client_order_id for each in wanted]


def failed(shown: Explanation) -> dict[str, str | None]:
    return {each.name: each.code for each in shown.checks if not each.passed}


def assert_same(shown: Explanation) -> None:
    """Hold that the checks that failed are the reasons, no more and no fewer."""
    assert shown.agrees, (codes(shown.decision), failed(shown))
    assert set(failed(shown).values()) == set(codes(shown.decision))


class TestBatches:
    def test_the_batch_is_the_reason_of_what_would_have_passed(self) -> None:
        desk = Recorded(wide(max_position_fraction=0.1))
        first, second, third = desk.batch(("BUY", 60, "STOCK"), ("BUY", 41, "STOCK"), ("BUY", 1, "STOCK"))
        shown = desk.explained()
        assert failed(shown[first]) == failed(shown[third]) == {"batch": "BATCH_DENIED"}
        assert failed(shown[second]) == {"position in the symbol": "POSITION_LIMIT"}
        (batch,) = [each for each in shown[first].checks if each.name == "batch"]
        assert batch.message == f"order {second} of the same batch is denied"
        (position,) = [each for each in shown[second].checks if each.code == "POSITION_LIMIT"]
        # With the 60 that passed before it.
        assert (position.measured, position.value) == pytest.approx((0.06, 0.101))
        for each in shown.values():
            assert_same(each)
            # The account as the journal has it.
            assert each.account.open_orders == 0

    def test_what_was_sent_before_it_in_the_batch_counts_as_a_message(self) -> None:
        desk = Recorded(wide(max_messages_per_second=1, max_message_burst=2))
        names = desk.batch(*[("BUY", 1, "STOCK")] * 3)
        shown = desk.explained()
        assert codes(shown[names[2]].decision) == ["MESSAGE_RATE"]
        for name in names:
            assert_same(shown[name])

    def test_what_follows_a_batch_is_not_of_it(self) -> None:
        desk = Recorded(wide(max_position_fraction=0.1))
        desk.batch(("BUY", 60, "STOCK"), ("BUY", 41, "STOCK"))
        names = [desk.order(quantity=101).client_order_id, *desk.batch(("BUY", 70, "STOCK"), ("BUY", 31, "STOCK"))]
        for name in names:
            assert_same(desk.explained()[name])
        # Also where another caller's command falls into the same microsecond.
        rows = desk.rows()
        (other,) = [row for row in rows if '"client_order_id":"o-3"' in row.body]
        near = rows[: other.seq - 1]
        assert legs_before(near, other) == []
        same = near[-1]._replace(body=other.body.replace('"by":"ada"', '"by":"eve"'))
        assert legs_before(near, same) == []
        assert len(legs_before(near, same._replace(body=other.body))) == 1


class TestHalts:
    def test_where_nothing_is_left_equity_is_the_reason(self) -> None:
        desk = Recorded(wide())
        desk.trade("SELL", 900, 100)
        desk.mark(STOCK=300)
        denied = desk.order("SELL", 1)
        assert "EQUITY_NOT_POSITIVE" in codes(denied)
        shown = desk.explained()[denied.client_order_id]
        assert_same(shown)
        assert failed(shown)["equity"] == "EQUITY_NOT_POSITIVE"
        reducing = desk.order("BUY", 900)
        assert codes(reducing) == []
        assert_same(desk.explained()[reducing.client_order_id])

    def test_a_kill_switch_is_the_only_reason(self) -> None:
        desk = Recorded(wide(max_position_fraction=0.1))
        desk.kill(KillScope.FIRM)
        denied = desk.order(quantity=200)
        shown = desk.explained()[denied.client_order_id]
        assert_same(shown)
        assert failed(shown) == {"killed": "KILL_SWITCH_ACTIVE"}

    def test_a_limit_of_the_tail_is_named_by_its_code(self) -> None:
        desk = Recorded(wide(max_var_fraction=0.02))
        desk.send(SetScenarios(scenarios(STOCK=0.02, FUT=0.02), "ada"))
        denied = desk.order(quantity=900)
        shown = desk.explained()[denied.client_order_id]
        assert_same(shown)
        assert failed(shown)["value at risk"] == "VAR_LIMIT"


sides = st.sampled_from(["BUY", "SELL"])
asked = st.tuples(sides, st.integers(1, 120), st.sampled_from(["STOCK", "STOCK", "STOCK", "EURO", "NOPE"]))
moves = st.one_of(
    st.tuples(st.just("order"), asked),
    st.tuples(st.just("batch"), st.lists(asked, min_size=2, max_size=4)),
    st.tuples(st.just("trade"), asked),
    st.tuples(st.just("mark"), st.sampled_from([60, 85, 100, 120])),
    st.tuples(st.just("kill"), st.booleans()),
    st.tuples(st.just("wait"), st.integers(1, 400)),
)


@settings(max_examples=150, deadline=timedelta(seconds=5))
@given(st.lists(moves, min_size=1, max_size=12))
def test_every_decision_is_explained_by_its_reasons(played: list[tuple[str, Any]]) -> None:
    desk = Recorded(
        wide(
            max_position_fraction=0.15,
            max_daily_loss_fraction=0.02,
            max_turnover=0.6,
            max_messages_per_second=1,
            max_message_burst=6,
            max_repeated_executions=5,
            max_var_fraction=0.004,
        )
    )
    desk.send(SetScenarios(scenarios(STOCK=0.02, FUT=0.02), "ada"))
    for kind, what in played:
        if kind == "order":
            desk.order(*what)
        elif kind == "batch":
            desk.batch(*what)
        elif kind == "trade":
            decided = desk.order(*what)
            if decided.decision == "APPROVED":
                desk.fill(decided, what[1], 100)
        elif kind == "mark":
            desk.mark(STOCK=what)
        elif kind == "kill":
            desk.kill(KillScope.SYMBOL, "STOCK" if what else "EURO")
        else:
            desk.later(what)
    for shown in desk.explained().values():
        assert_same(shown)
