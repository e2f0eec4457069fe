"""One account, by the engine and by books of its own, and what must hold of each order that is approved."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

from services.risk.core.bodies import OrderTerms, Quote
from services.risk.core.chain import Tip, event_of, link
from services.risk.core.checks import evaluate
from services.risk.core.commands import (
    ApplyFill,
    PlaceOrder,
    SetInstruments,
    SetMarks,
)
from services.risk.core.evolve import evolve
from services.risk.core.outcome import Refused
from services.risk.core.state import FirmState, Replaced
from services.risk.core.translate import order_terms
from services.risk.core.units import SCALE, amount, micros, units
from shared.schemas.decisions import RiskLevel
from shared.schemas.denials import DenialCode
from shared.schemas.kill_events import KillSwitchActivated
from shared.schemas.kill_switches import KillReductions, KillScope
from shared.schemas.orders import Fill, Order
from tests.unit.risk.books import Books, Sent
from tests.unit.risk.desk import START, Desk
from tests.unit.risk.life_samples import LIMITS, PARENTS, PRICES, RATES, SHARES, STRATEGIES, TRADED

HALTING = {
    DenialCode.KILL_SWITCH_ACTIVE,
    DenialCode.BREAKER_OPEN,
    DenialCode.RISK_LEVEL,
    DenialCode.EQUITY_NOT_POSITIVE,
    DenialCode.NOT_REDUCING,
    DenialCode.DAILY_LOSS_LIMIT,
    DenialCode.DRAWDOWN_LIMIT,
    DenialCode.TURNOVER_LIMIT,
    DenialCode.INTRADAY_POSITION_LIMIT,
}
TOLERANCE = Fraction(1, 10**8)


class Living(RuleBasedStateMachine):
    """One account, and the books of it."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(LIMITS[0])
        self.desk.send(SetInstruments((*TRADED.values(), *RATES), "ada"))
        self.tip, self.fold, self.seen, self.count = Tip(), FirmState(), 0, 0
        cash = Fraction(100_000)
        self.books = Books(cash, cash, cash, TRADED, paid_in=cash)
        self.set_marks({"EUR/USD": Decimal("1.1")})
        self.set_marks({symbol: Decimal(price) for symbol, price in PRICES.items()})

    def terms(self, symbol: str, buy: bool, quantity: int, tick: int, choice: int) -> OrderTerms:
        self.count += 1
        fields: dict[str, Any] = {}
        if choice % 4 == 1:
            fields = {"order_type": "LIMIT", "limit_price": self.near(symbol, tick)}
        if choice >= 12:
            fields["reduce_only"] = True
        if choice in {5, 6, 7}:
            parent = sorted(PARENTS)[choice % 2]
            fields |= {"parent_order_id": parent, "parent_quantity": PARENTS[parent]}
        return order_terms(
            Order.model_validate(
                {
                    "client_order_id": f"o-{self.count}",
                    "strategy_id": STRATEGIES[choice % 2],
                    "symbol": symbol,
                    "side": "BUY" if buy else "SELL",
                    "quantity": quantity // SHARES[symbol] + 1,
                    **fields,
                }
            )
        )

    def decide(self, order: OrderTerms) -> None:
        desk, before = self.desk, self.reached(order.symbol)
        switches, hindered = self.stops(order.strategy_id, order.symbol), self.hindered()
        now = micros(desk.now)
        asked = evaluate(desk.state, desk.account, order, now)
        assert not isinstance(desk.send(PlaceOrder("main", order, "ada")), Refused)
        verdict = desk.account.orders[order.client_order_id].decided.verdict
        assert verdict.approved is not bool(asked.broken)
        if not verdict.approved:
            self.largest_passes(order, verdict.max_quantity or 0)
            return
        reduces = self.books.reduces(order.symbol, order.buy, fraction_of(order.quantity))
        assert reduces or not order.reduce_only
        self.allowed(reduces, order.reduce_only, switches, hindered)
        self.book(order)
        self.within(order.symbol, before, reduces)
        if order.parent_order_id:
            assert desk.account.parents[order.parent_order_id].taken <= order.parent_quantity

    def largest_passes(self, order: OrderTerms, most: int) -> None:
        """Hold that the quantity a denial names would have passed, and one more would not."""
        desk, now = self.desk, micros(self.desk.now)
        assert most < order.quantity
        if most:
            assert not evaluate(desk.state, desk.account, replace(order, quantity=most), now).broken
        more = most + SCALE
        if more < order.quantity:
            assert evaluate(desk.state, desk.account, replace(order, quantity=more), now).broken

    def book(self, order: OrderTerms) -> None:
        quantity = fraction_of(order.quantity)
        self.books.orders[order.client_order_id] = Sent(
            order.client_order_id,
            order.strategy_id,
            order.symbol,
            order.buy,
            quantity,
            quantity,
            fraction_of(order.limit) if order.limit else None,
            order.parent_order_id,
        )

    def allowed(self, reduces: bool, reduce_only: bool, switches: list[KillReductions], hindered: bool) -> None:
        for reductions in switches:
            assert reductions is not KillReductions.NONE
            assert reduces
            assert reduce_only or reductions is KillReductions.ALL
        assert reduces or not hindered

    def nothing_halts(self, replaced: dict[str, Replaced] | None, name: str, switches: list[KillReductions]) -> None:
        """Hold that nobody is kept in an order: no halt stands in the way of what backs off."""
        found = (replaced or {})[name].content
        if KillReductions.NONE not in switches:
            assert not {each.code for each in found.reasons} & HALTING

    def within(self, symbol: str, before: dict[str, Fraction], reduces: bool) -> None:
        """Hold that what was approved is within every limit, or reduces and worsens nothing that is not."""
        books, state = self.books, self.desk.state
        after = books.measures(symbol, state)
        assert reduces or books.equity(state) > 0
        for name, cap in books.caps(self.desk.account.limits.limits, state):
            if reduces and name in {"intraday", "turnover"}:
                continue
            kept = reduces and after[name] <= before[name] + TOLERANCE
            assert kept or after[name] <= cap + TOLERANCE, (name, float(before[name]), float(after[name]), float(cap))

    def reached(self, symbol: str) -> dict[str, Fraction]:
        return self.books.measures(symbol, self.desk.state)

    def stops(self, strategy: str, symbol: str) -> list[KillReductions]:
        return [each.reductions for each in self.desk.state.active_switches("main", strategy, symbol)]

    def hindered(self) -> bool:
        account = self.desk.account
        waits = self.books.doubted or self.desk.now < self.session_begins()
        return waits or bool(account.halted) or account.level is RiskLevel.RED

    def session_begins(self) -> datetime:
        """Return nine in the evening, in UTC, of the day before the session's date."""
        return datetime.combine(self.desk.account.session_date - timedelta(days=1), time(21), UTC)

    def execute(self, order: Sent, quantity: Fraction, tick: int, fee: int) -> None:
        self.count += 1
        price, paid = self.near(order.symbol, tick), Decimal(fee) / 100
        fill = Fill(
            trade_id=f"t-{self.count}",
            client_order_id=order.name,
            price=price,
            quantity=decimal(quantity),
            fee=paid,
            ts_event=self.desk.now,
        )
        books, state, limits = self.books, self.desk.state, self.desk.account.limits.limits
        doubted = books.doubts(order, quantity, Fraction(price), Fraction(paid), state, limits)
        outcome = self.desk.send(ApplyFill("main", fill, "ada"))
        assert not isinstance(outcome, Refused), outcome.detail
        assert self.desk.account.fills[fill.trade_id].doubted is doubted
        books.doubted |= doubted
        books.fill(order, quantity, Fraction(price), Fraction(paid), state)
        books.note_high(fraction_of(self.desk.account.equity))
        self.follow()

    def set_marks(self, prices: dict[str, Decimal], delta: Decimal | None = None) -> None:
        """Set marks; all of them again a moment later, so that what jumped is confirmed."""
        for _ in range(2):
            self.desk.later(1)
            now = micros(self.desk.now)
            quotes = tuple(
                Quote(symbol, units(price), now, None if delta is None or symbol != "CALL" else units(delta))
                for symbol, price in prices.items()
            )
            self.desk.send(SetMarks(None, quotes))
            self.books.note_high(fraction_of(self.desk.account.equity))

    def price(self, symbol: str) -> Decimal:
        return amount(self.desk.state.marks[None, symbol].price)

    def near(self, symbol: str, tick: int) -> Decimal:
        """Return a price so many ticks beside the mark."""
        size = TRADED[symbol].tick_size
        return max(self.price(symbol) // size * size + tick * size, size)

    def pick(self, orders: list[Sent], number: int) -> Sent | None:
        return orders[number % len(orders)] if orders else None

    def follow(self) -> None:
        """Fold what was journaled since, from its text; what a switch stops has ended in the books too."""
        for each in self.desk.journal[self.seen :]:
            row = link(self.tip, each, START, 1)
            self.tip = Tip(row.seq, row.hash)
            evolve(self.fold, event_of(row), row.seq)
            if isinstance(each.body, KillSwitchActivated):
                scope, target = each.body.scope, each.body.target
                stopped = [order for order in self.books.open() if _covered(order, scope, target)]
                assert {name.client_order_id for name in each.body.cancelled} == {order.name for order in stopped}
                for order in stopped:
                    order.end()
        self.seen = len(self.desk.journal)


def _covered(order: Sent, scope: KillScope, target: str | None) -> bool:
    named = {KillScope.STRATEGY: order.strategy, KillScope.SYMBOL: order.symbol}
    return named.get(scope, target) == target


def nearer(order: Sent, limit: Fraction | None) -> bool:
    """Tell whether a limit is nearer to the market than an order stands."""
    if order.limit is None or limit is None:
        return False
    return limit > order.limit if order.buy else limit < order.limit


def fraction_of(value: int) -> Fraction:
    return Fraction(value, SCALE)


def exact(value: Decimal | None) -> Fraction | None:
    return None if value is None else Fraction(value)


def decimal(value: Fraction) -> Decimal:
    return amount(int(value * SCALE))


def cents(value: Decimal) -> Decimal:
    return round(value, 2)
