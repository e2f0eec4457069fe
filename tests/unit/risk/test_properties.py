"""What holds through any sequence of orders, fills, marks, ends, days, limits and kill switches."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from services.risk.core.bodies import Filled
from services.risk.core.chain import Tip, event_of, follow, link
from services.risk.core.commands import CloseOrder, ReleaseKillSwitch, RollDay, SetLimits
from services.risk.core.evolve import evolve
from services.risk.core.orders import decision_of
from services.risk.core.positions import unrealised_pnl
from services.risk.core.state import FirmState
from services.risk.core.units import amount
from services.risk.core.views import account_status
from shared.schemas.accounts import DayRoll
from shared.schemas.kill_switches import KillScope
from shared.schemas.limits import Limits, LimitsUpdate
from shared.schemas.orders import OrderClose, OrderStatus
from tests.unit.risk.desk import START, Desk, wide

pytestmark = pytest.mark.unit
SYMBOLS = ("STOCK", "FUT")
MULTIPLIERS = {"STOCK": 1, "FUT": 50}
STRATEGIES = ("trend", "carry")
SCOPES = (
    (KillScope.FIRM, None),
    (KillScope.ACCOUNT, "main"),
    (KillScope.STRATEGY, "trend"),
    (KillScope.SYMBOL, "FUT"),
)
# The desk's most are three positions of three times its equity; a share of 0.3 makes it deny what is open already.
LIMITS = (
    wide(max_position_fraction=3),
    wide(max_position_fraction=0.3, max_leverage=2),
    Limits(max_position_fraction=3),
)

orders = st.tuples(st.just("order"), st.sampled_from(["BUY", "SELL"]), st.integers(1, 300), st.integers(0, 15))
fills = st.tuples(st.just("fill"), st.integers(0, 9), st.integers(1, 300), st.just(0))
ends = st.sampled_from(["CANCELLED", "EXPIRED", "REJECTED"])
others = st.one_of(
    st.tuples(st.just("mark"), st.sampled_from(["STOCK", "FUT", "COIN"]), st.integers(60, 140), st.just(0)),
    st.tuples(st.just("close"), st.integers(0, 9), ends, st.just(0)),
    st.tuples(st.just("late"), st.integers(0, 9), st.integers(1, 100), st.just(0)),
    st.tuples(st.just("roll"), st.integers(1, 3), st.just(0), st.just(0)),
    st.tuples(st.just("limits"), st.integers(0, 2), st.just(0), st.just(0)),
    # A switch stays until it is released: as many releases, or most of a run would be denied.
    st.tuples(st.just("kill"), st.integers(0, 3), st.just(0), st.just(0)),
    st.tuples(st.just("release"), st.just(0), st.just(0), st.just(0)),
)
# Orders and fills by turns, as a desk has them, and one thing that comes between.
rounds = st.tuples(orders, orders, fills, others)
steps = st.lists(rounds, min_size=5, max_size=15).map(lambda found: [move for each in found for move in each])


class Player:
    """Make moves on a desk; of each order sent, keep what must hold of it."""

    def __init__(self) -> None:
        self.desk = Desk(wide(max_position_fraction=3))
        # Cheap enough that a few contracts fit.
        self.desk.mark(FUT=100)
        self.approved: set[tuple[str, bool]] = set()

    def play(self, moves: list[tuple[Any, ...]]) -> Desk:
        for what, *values in moves:
            self.desk.later(1)
            getattr(self, what)(*values)
            held = self.desk.account.positions
            self.desk.mark(**{each: self._price(each) for each in held})
        return self.desk

    def order(self, side: str, quantity: int, choice: int) -> None:
        desk, symbol, account = self.desk, SYMBOLS[choice % 2], self.desk.account
        before = account.positions.get(symbol)
        held, buys, sells = (before.quantity, before.open_buy, before.open_sell) if before else (0, 0, 0)
        held, buys, sells = amount(held), amount(buys), amount(sells)
        reducing = {"reduce_only": choice >= 12}
        quantity = quantity if symbol == "STOCK" else quantity % 3 + 1
        decision = desk.order(side, quantity, symbol, strategy_id=STRATEGIES[choice // 2 % 2], **reducing)
        if decision.decision == "DENIED":
            return
        self.approved.add((symbol, reducing["reduce_only"]))
        buys, sells = (buys + quantity, sells) if side == "BUY" else (buys, sells + quantity)
        # Filled altogether, the orders of its side leave less and do not go through zero.
        reduces = 0 < sells <= held if side == "SELL" else 0 < buys <= -held
        assert reduces or not reducing["reduce_only"]
        for switch in desk.state.active_switches("main", STRATEGIES[choice // 2 % 2], symbol):
            # Those the engine pulled itself let the liquidation plan through.
            assert switch.reductions == "PLAN"
            assert reduces
            assert reducing["reduce_only"]
        if not reduces:
            self._within_limits(symbol, max(abs(held + buys), abs(held - sells)))

    def _within_limits(self, symbol: str, worst: Decimal) -> None:
        desk, limits, equity = self.desk, self.desk.account.limits.limits, self.desk.equity()
        prices = {each: self._price(each) for each in SYMBOLS}
        assert worst * prices[symbol] * MULTIPLIERS[symbol] <= equity * _exact(limits.max_position_fraction)
        if symbol == "FUT":
            assert worst * prices["FUT"] * 50 <= equity * _exact(limits.max_leverage)
        start, high = amount(desk.account.start_of_day_equity), amount(desk.account.high_water_mark)
        assert start - equity <= start * _exact(limits.max_daily_loss_fraction)
        assert high - equity <= high * _exact(limits.max_drawdown_fraction)

    def fill(self, which: int, quantity: int, _: int) -> None:
        records = list(self.desk.account.open_orders.values())
        self._fill(records, which, quantity)

    def late(self, which: int, quantity: int, _: int) -> None:
        ended = {OrderStatus.CANCELLED, OrderStatus.EXPIRED, OrderStatus.REJECTED}
        records = [each for each in self.desk.account.orders.values() if each.status in ended and each.leaves > 0]
        self._fill(records, which, quantity)

    def _fill(self, records: list[Any], which: int, quantity: int) -> None:
        if records:
            record = records[which % len(records)]
            price = self._price(record.order.symbol) + quantity % 7
            decision = decision_of(record.decided, record.seq)
            # Now and then a venue executes more than was left.
            most = amount(record.leaves) + (1 if quantity % 5 == 0 else 0)
            self.desk.fill(decision, min(Decimal(quantity), most), price, fee="0.37")

    def _price(self, symbol: str) -> Decimal:
        return amount(self.desk.state.marks[None, symbol].price)

    def mark(self, symbol: str, price: int, _: int) -> None:
        self.desk.mark(**{symbol: price})

    def close(self, which: int, status: str, _: int) -> None:
        ids = list(self.desk.account.open_orders)
        if ids:
            close = OrderClose(reason="as drawn")
            self.desk.send(CloseOrder("main", ids[which % len(ids)], OrderStatus(status), close, "ada"))

    def roll(self, days: int, *_: int) -> None:
        following = self.desk.account.session_date + timedelta(days=days)
        self.desk.send(RollDay("main", DayRoll(next_session_date=following), "ada"))

    def limits(self, which: int, *_: int) -> None:
        self.desk.send(SetLimits("main", LimitsUpdate(limits=LIMITS[which], reason="as drawn"), "eve"))

    def kill(self, which: int, *_: int) -> None:
        self.desk.kill(*SCOPES[which])

    def release(self, *_: int) -> None:
        for switch in [each for each in self.desk.state.kill_switches.values() if each.released_at is None]:
            self.desk.send(ReleaseKillSwitch(switch.kill_switch_id, "as drawn", "eve"))


def _exact(limit: float) -> Decimal:
    return Decimal(str(limit))


@settings(max_examples=200, deadline=None)
@given(steps)
def test_what_is_approved_stays_within_every_limit_or_only_reduces(moves: list[tuple[Any, ...]]) -> None:
    player = Player()
    player.play(moves)
    event(f"approved (symbol, reduce only): {sorted(player.approved)}")


@settings(max_examples=150, deadline=None)
@given(steps)
def test_the_fold_of_the_journal_is_the_state(moves: list[tuple[Any, ...]]) -> None:
    desk = Player().play(moves)
    tip, rows = Tip(), []
    for each in desk.journal:
        row = link(tip, each, START, 1)
        tip = Tip(row.seq, row.hash)
        rows.append(row)
    assert follow(Tip(), rows) == (tip, None)
    folded = FirmState()
    for row in rows:
        evolve(folded, event_of(row), row.seq)
    assert folded == desk.state
    assert account_status(folded, folded.accounts["main"]) == account_status(desk.state, desk.account)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_equity_is_what_was_paid_in_and_earned(moves: list[tuple[Any, ...]]) -> None:
    desk = Player().play(moves)
    account = desk.account
    unrealised = sum(unrealised_pnl(position) for position in account.positions.values())
    assert account.equity == account.initial_cash + account.realised_pnl + unrealised - account.fees


@settings(max_examples=150, deadline=None)
@given(steps)
def test_cash_and_positions_are_conserved_to_the_last_digit(moves: list[tuple[Any, ...]]) -> None:
    desk = Player().play(moves)
    fills = [each.body for each in desk.journal if isinstance(each.body, Filled)]
    for symbol, position in desk.account.positions.items():
        traded = sum(each.quantity if each.buy else -each.quantity for each in fills if each.symbol == symbol)
        assert position.quantity == traded
    paid = Decimal(0)
    for each in fills:
        # Stock is paid for; a margined contract moves cash by what it realised.
        signed = amount(each.quantity if each.buy else -each.quantity)
        paid += -amount(each.realised_pnl) if each.symbol == "FUT" else signed * amount(each.price)
        paid += amount(each.fee)
    assert amount(desk.account.cash) == amount(desk.account.initial_cash) - paid


@settings(max_examples=150, deadline=None)
@given(steps)
def test_every_sum_of_an_account_is_the_sum_of_its_positions(moves: list[tuple[Any, ...]]) -> None:
    account = Player().play(moves).account
    positions = list(account.positions.values())
    for name in ("worst", "low", "high", "margin", "open_value", "now", "value"):
        total = sum(getattr(each, name) for each in positions)
        assert total == getattr(account, {"worst": "gross", "now": "gross_now"}.get(name, name))
    assert account.equity == account.cash + account.value
    assert account.leverage == sum(each.worst for each in positions if each.terms.margined)
    assert account.asset_classes == {
        name: sum(each.worst for each in positions if each.terms.asset_class == name) for name in account.asset_classes
    }


@settings(max_examples=150, deadline=None)
@given(steps)
def test_reservations_are_the_sum_of_the_open_orders(moves: list[tuple[Any, ...]]) -> None:
    account = Player().play(moves).account
    for symbol, position in account.positions.items():
        for buy, reserved in ((True, position.open_buy), (False, position.open_sell)):
            expected = sum(
                record.leaves
                for record in account.open_orders.values()
                if record.order.symbol == symbol and record.order.buy == buy
            )
            assert reserved == expected


@settings(max_examples=100, deadline=None)
@given(steps)
def test_once_every_order_has_ended_nothing_is_reserved(moves: list[tuple[Any, ...]]) -> None:
    desk = Player().play(moves)
    desk.kill(KillScope.FIRM)
    assert desk.account.open_orders == {}
    for position in desk.account.positions.values():
        assert position.open_buy == position.open_sell == 0
        assert position.bids == position.asks == []


@settings(max_examples=100, deadline=None)
@given(steps)
def test_the_same_account_gives_the_same_journal(moves: list[tuple[Any, ...]]) -> None:
    assert Player().play(moves).journal == Player().play(moves).journal


def test_a_late_fill_is_booked_once_its_mark_is_no_longer_absurd() -> None:
    desk = Desk()
    decision = desk.order(quantity=100)
    close = OrderClose(reason="gone from the book")
    desk.send(CloseOrder("main", decision.client_order_id, OrderStatus.CANCELLED, close, "ada"))
    # Nothing is held or open, so the mark is taken; then a fill comes that crossed the cancel.
    desk.mark(STOCK="9" * 18)
    with pytest.raises(AssertionError, match="worth at most"):
        desk.fill(decision, 100, 100)
    desk.later(1)
    desk.mark(STOCK=101)
    desk.fill(decision, 100, 100)
    assert desk.equity() == 100_100


def test_a_mark_just_at_what_a_position_may_be_worth_is_taken_and_one_beyond_is_not() -> None:
    desk = Desk(wide())
    desk.trade("BUY", 100, 100)
    most = Decimal(10) ** 14
    desk.later(1)
    desk.mark(STOCK=most)
    assert amount(desk.state.marks[None, "STOCK"].price) == most
    desk.mark(STOCK=most + Decimal("0.01"))
    assert amount(desk.state.marks[None, "STOCK"].price) == most
