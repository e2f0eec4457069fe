from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.risk.core.bodies import Quote
from services.risk.core.chain import Row, Tip, event_of, follow, link
from services.risk.core.commands import (
    ApplyFill,
    CloseOrder,
    OpenAccount,
    PlaceOrder,
    RollBackLimits,
    RollDay,
    SetInstruments,
    SetLimits,
    SetMarks,
)
from services.risk.core.evolve import evolve
from services.risk.core.orders import decision_of
from services.risk.core.outcome import Event, RefusalKind, Refused
from services.risk.core.translate import order_terms
from services.risk.core.units import SCALE, amount, micros
from services.risk.core.views import order_view
from shared.schemas.accounts import AccountCreate, DayRoll
from shared.schemas.events import InstrumentSet
from shared.schemas.instruments import Instrument
from shared.schemas.journal import EventKind
from shared.schemas.limits import Limits, LimitsRollback, LimitsUpdate
from shared.schemas.orders import Fill, Order, OrderClose, OrderStatus
from tests.unit.risk.desk import START, STOCK, Desk, codes, wide

pytestmark = pytest.mark.unit
SIM_START = datetime(2019, 1, 1, tzinfo=UTC)


def refusal(outcome: Any) -> RefusalKind:
    assert isinstance(outcome, Refused), outcome
    return outcome.kind


class TestIdempotency:
    def test_the_same_order_again_gives_no_event(self) -> None:
        desk = Desk()
        order = Order(client_order_id="x", strategy_id="s", symbol="STOCK", side="BUY", quantity=Decimal(1))
        assert len(desk.send(PlaceOrder("main", order_terms(order), "ada"))) == 1  # type: ignore[arg-type]
        assert desk.send(PlaceOrder("main", order_terms(order), "ada")) == ()
        other = order.model_copy(update={"quantity": Decimal(2)})
        assert refusal(desk.send(PlaceOrder("main", order_terms(other), "ada"))) is RefusalKind.CONFLICT

    def test_amounts_written_differently_are_the_same_order(self) -> None:
        desk = Desk()
        for text in ("1.50", "1.5"):
            order = Order.model_validate(
                {"client_order_id": "x", "strategy_id": "s", "symbol": "STOCK", "side": "BUY", "quantity": text}
            )
            outcome = desk.send(PlaceOrder("main", order_terms(order), "ada"))
        assert outcome == ()

    def test_the_same_fill_again_gives_no_event(self) -> None:
        desk = Desk()
        decision = desk.order(quantity=10)
        report = Fill(
            trade_id="t",
            client_order_id=decision.client_order_id,
            price=Decimal(100),
            quantity=Decimal(4),
            ts_event=START,
        )
        desk.send(ApplyFill("main", report, "ada"))
        assert desk.send(ApplyFill("main", report, "ada")) == ()
        assert desk.held().quantity == 4
        other = report.model_copy(update={"price": Decimal(101)})
        assert refusal(desk.send(ApplyFill("main", other, "ada"))) is RefusalKind.CONFLICT

    def test_the_same_account_again_gives_no_event(self) -> None:
        desk = Desk()
        request = AccountCreate(account_id="b", base_currency="USD", initial_cash=Decimal(5))
        desk.send(OpenAccount(request, "ada"))
        assert desk.send(OpenAccount(request, "ada")) == ()
        other = request.model_copy(update={"initial_cash": Decimal(6)})
        assert refusal(desk.send(OpenAccount(other, "ada"))) is RefusalKind.CONFLICT

    def test_the_same_day_roll_again_gives_no_event_and_none_goes_back(self) -> None:
        desk = Desk()
        roll = RollDay("main", DayRoll(next_session_date=date(2026, 3, 3)), "ada")
        assert len(desk.send(roll)) == 1  # type: ignore[arg-type]
        assert desk.send(roll) == ()
        back = RollDay("main", DayRoll(next_session_date=date(2026, 3, 2)), "ada")
        assert refusal(desk.send(back)) is RefusalKind.CONFLICT


class TestLimitProfiles:
    def test_a_new_profile_says_what_it_changed_what_was_left_out_included(self) -> None:
        desk = Desk(Limits(max_position_fraction=0.2, max_leverage=2))
        assert desk.account.limits.changed == []
        desk.send(SetLimits("main", LimitsUpdate(limits=Limits(max_position_fraction=0.3), reason="more room"), "eve"))
        assert desk.account.limits.changed == ["max_position_fraction", "max_leverage"]
        assert desk.account.limits.limits.max_leverage == 5
        desk.send(RollBackLimits("main", LimitsRollback(version=1, reason="too wide"), "eve"))
        assert desk.account.limits.changed == ["max_position_fraction", "max_leverage"]
        desk.send(SetLimits("main", LimitsUpdate(limits=desk.account.limits.limits, reason="the same"), "eve"))
        assert desk.account.limits.changed == []


class TestFills:
    def test_more_than_is_left_is_booked_and_said(self) -> None:
        desk = Desk()
        decision = desk.order(quantity=10, order_type="LIMIT", limit_price="100")
        desk.fill(decision, 4, 100)
        result = desk.fill(decision, 7, 100)
        assert (result.order_status, result.leaves_quantity, result.overfilled_quantity) == ("FILLED", 0, 1)
        held = desk.held()
        assert (held.quantity, held.open_buy_quantity) == (11, 0)
        assert desk.account.open_orders == {}
        assert desk.account.positions["STOCK"].bids == []
        assert amount(desk.account.cash) == 98_900
        # Of an order that is filled already, all of it is too much.
        again = desk.fill(decision, 2, 100)
        assert (again.order_status, again.leaves_quantity, again.overfilled_quantity) == ("FILLED", 0, 2)
        assert (desk.held().quantity, desk.held().open_buy_quantity) == (13, 0)

    def test_more_than_was_left_of_a_cancelled_order_is_booked_too(self) -> None:
        desk = Desk()
        decision = desk.order(quantity=10)
        close = CloseOrder("main", decision.client_order_id, OrderStatus.CANCELLED, OrderClose(reason="done"), "ada")
        desk.send(close)
        result = desk.fill(decision, 12, 100)
        assert (result.order_status, result.overfilled_quantity, result.position_quantity) == ("FILLED", 2, 12)
        assert desk.held().open_buy_quantity == 0

    def test_of_unknown_and_denied_orders_are_refused(self) -> None:
        desk = Desk()
        denied = desk.order(quantity=10_000)
        for order_id, kind in (("nope", RefusalKind.NOT_FOUND), (denied.client_order_id, RefusalKind.CONFLICT)):
            report = Fill(trade_id="t", client_order_id=order_id, price=Decimal(1), quantity=Decimal(1), ts_event=START)
            assert refusal(desk.send(ApplyFill("main", report, "ada"))) is kind

    def test_one_that_crosses_a_cancel_is_booked_and_reserves_nothing(self) -> None:
        desk = Desk()
        decision = desk.order(quantity=10)
        close = CloseOrder("main", decision.client_order_id, OrderStatus.CANCELLED, OrderClose(reason="done"), "ada")
        desk.send(close)
        result = desk.fill(decision, 4, 100)
        record = desk.account.orders[decision.client_order_id]
        assert order_view(desk.account, record).leaves_quantity == 0
        assert (result.order_status, result.leaves_quantity) == (OrderStatus.CANCELLED, 0)
        held = desk.held()
        assert (held.quantity, held.open_buy_quantity) == (Decimal(4), Decimal(0))
        assert desk.fill(decision, 2, 100).leaves_quantity == 0
        last = desk.fill(decision, 4, 100)
        assert (last.order_status, last.leaves_quantity, last.overfilled_quantity) == ("FILLED", 0, 0)

    def test_partial_fills_free_what_they_reserved(self) -> None:
        desk = Desk()
        decision = desk.order(quantity=10)
        assert desk.fill(decision, 4, 100).order_status == "PARTIALLY_FILLED"
        assert desk.held().open_buy_quantity == 6
        assert desk.fill(decision, 6, 100).order_status == "FILLED"
        assert desk.account.open_orders == {}

    def test_average_cost_through_zero(self) -> None:
        desk = Desk()
        desk.trade("BUY", 10, 100)
        desk.trade("BUY", 10, 110)
        assert desk.held().average_price == 105
        desk.trade("SELL", 30, 115)
        held = desk.held()
        assert (held.quantity, held.average_price) == (Decimal(-10), Decimal(115))
        assert amount(desk.account.realised_pnl) == 200

    def test_a_margined_instrument_moves_cash_by_its_profit_alone(self) -> None:
        desk = Desk(wide())
        desk.trade("BUY", 1, 4000, symbol="FUT", fee=2)
        assert amount(desk.account.cash) == 99_998
        desk.mark(FUT=4010)
        assert desk.equity() == 99_998 + 500
        desk.trade("SELL", 1, 4010, symbol="FUT", fee=2)
        assert amount(desk.account.cash) == desk.equity() == 100_496

    def test_an_absurd_notional_is_refused(self) -> None:
        desk = Desk()
        decision = desk.order(quantity=10)
        report = Fill(
            trade_id="t",
            client_order_id=decision.client_order_id,
            price=Decimal(10) ** 17,
            quantity=Decimal(1),
            ts_event=START,
        )
        assert refusal(desk.send(ApplyFill("main", report, "ada"))) is RefusalKind.INVALID


class TestOrders:
    def test_an_end_can_be_reported_once_and_again(self) -> None:
        desk = Desk()
        decision = desk.order(quantity=100)
        close = CloseOrder(
            "main", decision.client_order_id, OrderStatus.EXPIRED, OrderClose(reason="end of day"), "ada"
        )
        assert len(desk.send(close)) == 1  # type: ignore[arg-type]
        assert desk.send(close) == ()
        assert codes(desk.order(quantity=100)) == []
        cancel = CloseOrder("main", decision.client_order_id, OrderStatus.CANCELLED, OrderClose(reason="x y z"), "ada")
        assert refusal(desk.send(cancel)) is RefusalKind.CONFLICT

    def test_of_unknown_accounts_and_orders_are_not_found(self) -> None:
        desk = Desk()
        order = Order(client_order_id="x", strategy_id="s", symbol="STOCK", side="BUY", quantity=Decimal(1))
        assert refusal(desk.send(PlaceOrder("none", order_terms(order), "ada"))) is RefusalKind.NOT_FOUND
        close = CloseOrder("main", "none", OrderStatus.CANCELLED, OrderClose(reason="x y z"), "ada")
        assert refusal(desk.send(close)) is RefusalKind.NOT_FOUND

    def test_new_limits_hold_from_the_next_order_on(self) -> None:
        desk = Desk()
        assert codes(desk.order(quantity=100)) == []
        update = LimitsUpdate(limits=wide(max_position_fraction=0.05), reason="half of it")
        desk.send(SetLimits("main", update, "eve"))
        assert codes(desk.order(quantity=1)) == ["POSITION_LIMIT"]
        assert (desk.account.limits.version, desk.account.limits.set_by) == (2, "eve")


class TestInstruments:
    def on(self, symbol: str, underlying: str | None) -> Instrument:
        return STOCK.model_copy(update={"symbol": symbol, "underlying": underlying})

    @pytest.mark.parametrize(
        "described",
        [
            [("A", "A")],
            [("A", "B"), ("B", "A")],
            [("A", "B"), ("B", "C"), ("C", "D"), ("D", "A")],
        ],
    )
    def test_none_is_its_own_underlying_by_itself_or_through_others(self, described: list[tuple[str, str]]) -> None:
        instruments = tuple(self.on(*each) for each in described)
        desk = Desk()
        count = len(desk.journal)
        assert refusal(desk.send(SetInstruments(instruments, "eve"))) is RefusalKind.INVALID
        assert len(desk.journal) == count
        # Nor one after the other.
        for each in instruments[:-1]:
            assert not isinstance(desk.send(SetInstruments((each,), "eve")), Refused)
        assert refusal(desk.send(SetInstruments(instruments[-1:], "eve"))) is RefusalKind.INVALID

    def test_an_option_on_a_future_on_an_index_is_none(self) -> None:
        desk = Desk()
        chain = (self.on("O", "F"), self.on("P", "F"), self.on("F", "I"), self.on("I", None))
        assert not isinstance(desk.send(SetInstruments(chain, "eve")), Refused)

    def test_what_was_described_so_before_stays_and_can_be_put_right(self) -> None:
        desk = Desk()
        old = self.on("A", "A")
        evolve(
            desk.state,
            Event(EventKind.INSTRUMENT_SET, None, InstrumentSet(instrument=old, by="ada", ts_event=START)),
            desk.state.last_seq + 1,
        )
        assert desk.send(SetInstruments((old,), "eve")) == ()
        stopped = old.model_copy(update={"tradable": False})
        assert not isinstance(desk.send(SetInstruments((stopped,), "eve")), Refused)
        # It ends the walk of one written on it.
        assert not isinstance(desk.send(SetInstruments((self.on("B", "A"),), "eve")), Refused)
        assert not isinstance(desk.send(SetInstruments((self.on("A", None),), "eve")), Refused)

    def test_the_unit_of_what_is_held_cannot_change(self) -> None:
        desk = Desk()
        desk.order()
        changed = STOCK.model_copy(update={"multiplier": Decimal(2)})
        assert refusal(desk.send(SetInstruments((changed,), "ada"))) is RefusalKind.CONFLICT
        finer = STOCK.model_copy(update={"tick_size": Decimal("0.005")})
        assert len(desk.send(SetInstruments((finer,), "ada"))) == 1  # type: ignore[arg-type]


class TestSimulations:
    @pytest.fixture
    def desk(self) -> Desk:
        desk = Desk()
        request = AccountCreate(
            account_id="sim", base_currency="USD", initial_cash=Decimal(100_000), simulation_id="s1", ts_event=SIM_START
        )
        desk.send(OpenAccount(request, "ada"))
        return desk

    def order(self, desk: Desk, number: int, at: datetime | None) -> Any:
        order = Order(
            client_order_id=f"s{number}",
            strategy_id="trend",
            symbol="STOCK",
            side="BUY",
            quantity=Decimal(1),
            ts_event=at,
        )
        outcome = desk.send(PlaceOrder("sim", order_terms(order), "ada"))
        return outcome if isinstance(outcome, Refused) else outcome[0].body

    def test_live_marks_are_not_seen(self, desk: Desk) -> None:
        body = self.order(desk, 1, SIM_START)
        assert codes(decision_of(body, 1)) == ["MARK_MISSING"]

    def test_it_lives_on_the_time_of_its_commands(self, desk: Desk) -> None:
        desk.send(SetMarks("s1", (Quote("STOCK", 7 * SCALE, micros(SIM_START)),)))
        assert codes(decision_of(self.order(desk, 1, SIM_START), 1)) == []
        late = self.order(desk, 2, SIM_START + timedelta(seconds=121))
        assert codes(decision_of(late, 1)) == ["MARK_STALE"]
        # Its clock does not go back.
        assert codes(decision_of(self.order(desk, 3, SIM_START), 1)) == ["MARK_STALE"]

    def test_an_order_without_a_time_is_refused(self, desk: Desk) -> None:
        assert refusal(self.order(desk, 1, None)) is RefusalKind.INVALID

    def test_its_marks_do_not_touch_live_accounts(self, desk: Desk) -> None:
        desk.trade("BUY", 10, 100)
        before = desk.equity()
        desk.send(SetMarks("s1", (Quote("STOCK", 7 * SCALE, micros(SIM_START)),)))
        assert desk.equity() == before

    def test_every_mark_counts_however_they_are_batched(self, desk: Desk) -> None:
        prices = [10, 30, 20, 50, 5, 40]
        marks = [
            Quote("STOCK", price * SCALE, micros(SIM_START + timedelta(minutes=n))) for n, price in enumerate(prices)
        ]

        def high(batches: Iterable[tuple[Quote, ...]]) -> Decimal:
            other = Desk()
            request = AccountCreate(
                account_id="sim",
                base_currency="USD",
                initial_cash=Decimal(1000),
                simulation_id="s1",
                ts_event=SIM_START,
            )
            other.send(OpenAccount(request, "ada"))
            other.send(SetInstruments((STOCK.model_copy(update={"max_jump": 100.0}),), "ada"))
            first = Quote("STOCK", 10 * SCALE, micros(SIM_START))
            other.send(SetMarks("s1", (first,)))
            body = self.order(other, 1, SIM_START)
            report = Fill(
                trade_id="t",
                client_order_id="s1",
                price=Decimal(10),
                quantity=amount(body.order.quantity),
                ts_event=SIM_START,
            )
            other.send(ApplyFill("sim", report, "ada"))
            for batch in batches:
                other.send(SetMarks("s1", batch))
            return amount(other.state.accounts["sim"].high_water_mark)

        assert high([tuple(marks)]) == high([(mark,) for mark in marks]) == 1040


class TestChain:
    def rows(self) -> list[Row]:
        desk, tip, rows = Desk(), Tip(), []
        desk.order()
        for event in desk.journal:
            row = link(tip, event, START, 1)
            tip = Tip(row.seq, row.hash)
            rows.append(row)
        return rows

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("body", "{}"),
            ("account_id", "other"),
            ("kind", "FILL_APPLIED"),
            ("epoch", 2),
            ("ts", START + timedelta(microseconds=1)),
            ("hash", "0" * 64),
        ],
    )
    def test_any_altered_field_is_found_at_its_row(self, field: str, value: Any) -> None:
        rows = self.rows()
        rows[2] = rows[2]._replace(**{field: value})
        _, broken = follow(Tip(), rows)
        assert broken is not None
        assert broken.seq == 3

    def test_a_missing_row_is_found(self) -> None:
        rows = self.rows()
        del rows[2]
        _, broken = follow(Tip(), rows)
        assert broken is not None
        assert broken.problem == "rows 3 to 3 are missing"

    def test_a_row_in_anothers_place_is_found(self) -> None:
        rows = self.rows()
        rows[2], rows[3] = rows[3]._replace(seq=3), rows[2]._replace(seq=4)
        _, broken = follow(Tip(), rows)
        assert broken is not None
        assert broken.seq == 3


def test_an_event_says_the_same_after_the_journal(  # floats among it: a score's features
) -> None:
    desk = Desk()
    telemetry = {
        "prediction_id": "p",
        "model_name": "m",
        "model_version": "1.0.0",
        "model_hash": "0" * 16,
        "features": {"a": 0.1 + 0.2, "b": -1e-17, "c": 1e300, "d": -0.0},
        "raw_confidence": 1 / 3,
        "calibrated_confidence": 0.5,
        "uncertainty": 0.9,
        "regime": "calm",
    }
    desk.order(telemetry=telemetry)
    event: Event = desk.journal[-1]
    assert event_of(link(Tip(), event, START, 1)) == event
