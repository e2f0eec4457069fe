"""Everything that can happen to an account, by turns, against books kept apart from the engine's, in exact fractions.

Orders, replacements and their acknowledgements, batches, parents, fills (late ones too), ends, cash, instruments in
another currency, options, kill switches, breakers, day rolls, limits and reconciliation.
"""

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from services.risk.core.commands import (
    AcknowledgeReplace,
    CloseOrder,
    MoveCash,
    PassTime,
    PlaceOrders,
    Reconcile,
    ReleaseKillSwitch,
    ReplaceOrder,
    ResetBreaker,
    RollDay,
    SetLimits,
)
from services.risk.core.outcome import Refused
from services.risk.core.positions import unrealised_pnl
from services.risk.core.units import amount
from services.risk.core.views import account_status
from shared.schemas.accounts import BrokerPosition, CashMovement, DayRoll, Reconciliation
from shared.schemas.limits import LimitsUpdate
from shared.schemas.orders import OrderClose, OrderReplace, OrderStatus, ReplaceAcknowledgement
from tests.unit.risk.books import Replacing, Sent, differences
from tests.unit.risk.life import TOLERANCE, Living, cents, decimal, exact, fraction_of, nearer
from tests.unit.risk.life_samples import LIMITS, SCOPES, SHARES, SMALL, TRADED

pytestmark = pytest.mark.unit
symbols = st.sampled_from(sorted(TRADED))
# Of what is traded in hundreds; of dearer things a share.
quantities = st.integers(1, 250)
ticks = st.integers(-40, 40)
which = st.integers(0, 30)
choices = st.integers(0, 15)


class Life(Living):
    """The moves, and what holds after each."""

    # Orders

    @rule(wanted=st.lists(st.tuples(symbols, st.booleans(), quantities, ticks, choices), min_size=1, max_size=4))
    def orders(self, wanted: list[tuple[str, bool, int, int, int]]) -> None:
        for each in wanted:
            self.decide(self.terms(*each))

    @rule(symbol=symbols, quantity=quantities, filled=st.integers(0, 4), only=st.booleans())
    def exit(self, symbol: str, quantity: int, filled: int, only: bool) -> None:
        """Trade against what is held, as somebody who wants out does."""
        order = self.terms(symbol, self.books.holding(symbol).quantity < 0, quantity, 0, 12 if only else 0)
        self.decide(order)
        sent = self.books.orders.get(order.client_order_id)
        if sent is not None and filled:
            self.execute(sent, Fraction(-(-sent.quantity * filled // 4)), -3, 12)

    @rule(
        symbol=symbols,
        buys=st.lists(st.booleans(), min_size=2, max_size=3),
        quantity=quantities,
        choice=choices,
    )
    def batch(self, symbol: str, buys: list[bool], quantity: int, choice: int) -> None:
        orders = [self.terms(symbol, buy, quantity + number, 0, choice) for number, buy in enumerate(buys)]
        before = self.reached(symbol)
        assert not isinstance(self.desk.send(PlaceOrders("main", tuple(orders), True, "ada")), Refused)
        verdicts = [self.desk.account.orders[each.client_order_id].decided.verdict for each in orders]
        assert len({each.approved for each in verdicts}) == 1
        if verdicts[0].approved:
            reduces = []
            for each in orders:
                reduces.append(self.books.reduces(symbol, each.buy, fraction_of(each.quantity)))
                self.book(each)
            self.within(symbol, before, all(reduces))

    @rule(number=which, eighths=st.integers(1, 16), tick=ticks, filled=st.integers(0, 4), word=st.sampled_from("yn "))
    def amend(self, number: int, eighths: int, tick: int, filled: int, word: str) -> None:
        """Replace an order, which may be filled before the venue's word on that comes, if it comes at all."""
        order = self.pick(self.books.open(), number)
        if order is None:
            return
        self.replace(order, Fraction(-(-order.quantity * eighths // 8)), tick)
        if filled and order.held:
            self.execute(order, Fraction(-(-order.held * filled // 4)), tick, 12)
        if order.replacing and word.strip():
            # Unless a switch that the fill pulled has ended it.
            self.acknowledge(number, word == "y", order)

    @rule(symbol=symbols, buy=st.booleans(), quantity=quantities, tick=ticks, eighths=st.integers(5, 9), moved=ticks)
    def squeeze(self, symbol: str, buy: bool, quantity: int, tick: int, eighths: int, moved: int) -> None:
        """Rest an order, let only reductions pass where anything is held, and move it nearer or further away."""
        order = self.terms(symbol, buy, quantity, tick, 1)
        self.decide(order)
        sent = self.books.orders.get(order.client_order_id)
        if sent is not None:
            self.desk.send(SetLimits("main", LimitsUpdate(limits=SMALL, reason="as drawn"), "eve"))
            self.replace(sent, Fraction(-(-sent.quantity * eighths // 8)), moved)
            self.desk.send(SetLimits("main", LimitsUpdate(limits=LIMITS[0], reason="as drawn"), "eve"))

    def replace(self, order: Sent, quantity: Fraction, tick: int) -> None:
        self.count += 1
        limit = None if order.limit is None else self.near(order.symbol, tick)
        request = OrderReplace(replace_id=f"r-{self.count}", quantity=decimal(quantity), limit_price=limit)
        before, held, switches = self.reached(order.symbol), order.held, self.stops(order.strategy, order.symbol)
        hindered = self.hindered()
        outcome = self.desk.send(ReplaceOrder("main", order.name, request, "ada"))
        refused = order.replacing is not None or quantity <= order.filled
        assert isinstance(outcome, Refused) is refused
        # What holds no more than before, no nearer to the market.
        adds = max(quantity - order.filled - held, Fraction(0))
        backs_off = not adds and not nearer(order, exact(limit))
        replacement = self.desk.account.orders[order.name].replacement
        if not refused and backs_off:
            self.nothing_halts(self.desk.account.orders[order.name].replaced, request.replace_id, switches)
        if refused or replacement is None or replacement.replace_id != request.replace_id:
            return
        reduces = backs_off or self.books.reduces(order.symbol, order.buy, adds)
        self.allowed(reduces, reduces and self.desk.account.orders[order.name].order.reduce_only, switches, hindered)
        order.replacing = Replacing(request.replace_id, quantity, exact(limit))
        self.within(order.symbol, before, reduces)

    @rule(number=which, accepted=st.booleans())
    def acknowledge(self, number: int, accepted: bool, order: Sent | None = None) -> None:
        order = order or self.pick([each for each in self.books.open() if each.replacing], number)
        if order is None or order.replacing is None:
            return
        word = ReplaceAcknowledgement(replace_id=order.replacing.name, accepted=accepted)
        assert not isinstance(self.desk.send(AcknowledgeReplace("main", order.name, word, "ada")), Refused)
        if accepted:
            order.put_in_force()
        order.replacing = None
        if order.leaves == 0:
            order.end()

    @rule(number=which, status=st.sampled_from(["CANCELLED", "EXPIRED", "REJECTED"]))
    def close(self, number: int, status: str) -> None:
        order = self.pick(self.books.open(), number)
        if order is not None:
            close = OrderClose(reason="as drawn")
            assert not isinstance(
                self.desk.send(CloseOrder("main", order.name, OrderStatus(status), close, "ada")), Refused
            )
            order.end()

    # Fills

    @rule(number=which, share=st.integers(1, 4), tick=ticks, fee=st.integers(-20, 90))
    def fill(self, number: int, share: int, tick: int, fee: int) -> None:
        order = self.pick([each for each in self.books.open() if each.held], number)
        if order is not None:
            # As much as the venue may have: a replacement that it has not acknowledged too.
            self.execute(order, Fraction(-(-order.held * share // 4)), tick, fee)

    @rule(number=which, fees=st.lists(st.integers(-5_500, 2_000), min_size=1, max_size=4))
    def rebates(self, number: int, fees: list[int]) -> None:
        """Fill an order in parts, for fees that each may be believed."""
        order = self.pick([each for each in self.books.open() if each.held], number)
        for fee in fees:
            if order is not None and order.open and order.held:
                self.execute(order, Fraction(1), 0, fee * 100)

    @rule(number=which, share=st.integers(1, 4), tick=ticks)
    def late(self, number: int, share: int, tick: int) -> None:
        ended = [each for each in self.books.orders.values() if not each.open and each.leaves > 0]
        order = self.pick(ended, number)
        if order is not None:
            self.execute(order, Fraction(-(-order.leaves * share // 4)), tick, 37)

    # The market, money and time

    @rule(moves=st.dictionaries(symbols, st.integers(85, 118), min_size=1, max_size=4), delta=st.integers(-100, 100))
    def mark(self, moves: dict[str, int], delta: int) -> None:
        prices = {symbol: max(self.price(symbol) * percent / 100, Decimal(1)) for symbol, percent in moves.items()}
        self.set_marks({symbol: cents(price) for symbol, price in prices.items()}, Decimal(delta) / 100)

    @rule(percent=st.sampled_from([45, 60, 75, 130, 160]))
    def crash(self, percent: int) -> None:
        self.set_marks({symbol: cents(max(self.price(symbol) * percent / 100, Decimal(1))) for symbol in TRADED})

    @rule(inverse=st.booleans(), percent=st.integers(92, 109))
    def exchange(self, inverse: bool, percent: int) -> None:
        symbol = "USD/EUR" if inverse else "EUR/USD"
        known = self.desk.state.marks.get((None, symbol))
        before = amount(known.price) if known else Decimal("0.9090909091")
        self.set_marks({symbol: round(before * percent / 100, 4)})

    @rule(paid=st.integers(-40_000, 40_000).filter(bool))
    def cash(self, paid: int) -> None:
        self.count += 1
        movement = CashMovement(movement_id=f"m-{self.count}", amount=round(Decimal(paid) / 7, 10), reason="as drawn")
        paid_ = exact(movement.amount)
        assert paid_ is not None
        worth = fraction_of(self.desk.account.equity)
        outcome = self.desk.send(MoveCash("main", movement, "ada"))
        assert isinstance(outcome, Refused) is (paid < 0 and worth + paid_ <= 0)
        if not isinstance(outcome, Refused):
            self.books.cash += paid_
            self.books.paid_in += paid_
            self.books.start += paid_
            self.books.high += paid_

    @rule(days=st.integers(1, 3), early=st.booleans())
    def roll(self, days: int, early: bool) -> None:
        following = self.desk.account.session_date + timedelta(days=days)
        outcome = self.desk.send(RollDay("main", DayRoll(next_session_date=following), "ada"))
        if isinstance(outcome, Refused):
            assert following > self.desk.now.date() + timedelta(days=10)
            return
        self.books.begin_day(self.desk.now, self.session_begins(), fraction_of(self.desk.account.equity))
        # What ended before yesterday is forgotten by the engine, and its late fills are refused.
        known = self.desk.account.orders
        for name in [name for name in self.books.orders if name not in known]:
            assert not self.books.orders.pop(name).open
        if not early:
            self.desk.now = max(self.desk.now, self.session_begins())
            self.set_marks({symbol: self.price(symbol) for _, symbol in self.desk.state.marks})

    @rule(seconds=st.integers(1, 120))
    def wait(self, seconds: int) -> None:
        self.desk.later(seconds)
        self.desk.send(PassTime())

    # Those in charge

    @rule(choice=st.integers(0, len(LIMITS) - 1))
    def limits(self, choice: int) -> None:
        self.desk.send(SetLimits("main", LimitsUpdate(limits=LIMITS[choice], reason="as drawn"), "eve"))

    @rule(choice=st.integers(0, 3))
    def switch(self, choice: int) -> None:
        """Pull a kill switch, or release those that are pulled: most of a run should not be denied."""
        pulled = [each for each in self.desk.state.kill_switches.values() if each.released_at is None]
        for each in pulled:
            self.desk.send(ReleaseKillSwitch(each.kill_switch_id, "as drawn", "eve"))
        if not pulled:
            self.desk.kill(*SCOPES[choice])

    @precondition(lambda self: self.desk.account.halted)
    @rule()
    def reset(self) -> None:
        for name in self.desk.account.halted:
            self.desk.send(ResetBreaker("main", name, "as drawn", "eve"))

    @rule(changes=st.dictionaries(symbols, st.integers(-80, 80), max_size=2), cents=st.integers(-50_000, 50_000))
    def adopt(self, changes: dict[str, int], cents: int) -> None:
        books, before = self.books, fraction_of(self.desk.account.equity)
        theirs = {symbol: held.quantity for symbol, held in books.holdings.items()}
        theirs |= {
            symbol: theirs.get(symbol, Fraction(0)) + change // SHARES[symbol] for symbol, change in changes.items()
        }
        cash = books.cash + Fraction(cents, 100)
        request = Reconciliation(
            positions=[BrokerPosition(symbol=symbol, quantity=decimal(each)) for symbol, each in theirs.items()],
            cash=decimal(cash),
            adopt=True,
            reason="as drawn",
        )
        assert not isinstance(self.desk.send(Reconcile("main", request, "eve")), Refused)
        books.paid_in += cash - books.cash
        books.cash = cash
        for symbol, quantity in theirs.items():
            books.adopt(symbol, quantity, Fraction(self.price(symbol)), self.desk.state)
        equity = fraction_of(self.desk.account.equity)
        books.agree(equity - before, equity)

    @rule()
    def agree(self) -> None:
        """Compare with a broker whose books are ours."""
        positions = self.desk.account.positions.items()
        request = Reconciliation(
            positions=[BrokerPosition(symbol=symbol, quantity=amount(each.quantity)) for symbol, each in positions],
            cash=amount(self.desk.account.cash),
        )
        assert not isinstance(self.desk.send(Reconcile("main", request, "svc")), Refused)
        self.books.agree(Fraction(0), fraction_of(self.desk.account.equity))

    # What holds

    @invariant()
    def the_books_agree(self) -> None:
        self.follow()
        account, books = self.desk.account, self.books
        assert differences(account, books) == []
        equity = books.equity(self.desk.state)
        assert abs(fraction_of(account.equity) - equity) <= TOLERANCE
        unrealised = sum(map(unrealised_pnl, account.positions.values()))
        assert account.equity == account.paid_in + account.realised_pnl + unrealised - account.fees
        assert (account.doubted_fill is not None, fraction_of(account.fills_gain)) == (books.doubted, books.gained)
        books.note_high(fraction_of(account.equity))
        assert fraction_of(account.high_water_mark) == books.high
        assert fraction_of(account.start_of_day_equity) == books.start
        assert set(account.open_orders) == {each.name for each in books.open()}
        for name, parent in account.parents.items():
            taken = sum((each.held for each in books.open() if each.parent == name), Fraction(0))
            assert fraction_of(parent.taken) == taken + books.of_parents.get(name, 0)

    @invariant()
    def every_sum_is_the_sum_of_the_positions(self) -> None:
        account = self.desk.account
        positions = account.positions.values()
        for name in ("worst", "low", "high", "margin", "open_value", "now", "value"):
            total = sum(getattr(each, name) for each in positions)
            assert total == getattr(account, {"worst": "gross", "now": "gross_now"}.get(name, name))
        assert account.leverage == sum(each.worst for each in positions if each.terms.margined)
        for sums, of in ((account.asset_classes, "asset_class"), (account.sectors, "sector")):
            for name, total in sums.items():
                assert total == sum(each.worst for each in positions if getattr(each.terms, of) == name)
        assert account.equity == account.cash + account.value

    def teardown(self) -> None:
        """Hold that the fold is the state, and that nothing is reserved once every order has ended."""
        self.follow()
        assert self.fold == self.desk.state
        status = account_status(self.desk.state, self.desk.account)
        assert account_status(self.fold, self.fold.accounts["main"]) == status
        for order in self.books.open():
            self.close(self.books.open().index(order), "CANCELLED")
        assert self.desk.account.open_orders == {}
        for position in self.desk.account.positions.values():
            assert position.open_buy == position.open_sell == position.open_value == 0
            assert position.bids == position.asks == []


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
