"""Equity is what was paid in, plus realised and unrealised P&L, less fees: to the last unit of 10^-10."""

from decimal import Decimal
from itertools import chain
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from services.risk.core.commands import MoveCash, Reconcile, SetInstruments
from services.risk.core.outcome import Refused
from services.risk.core.units import amount
from services.risk.core.views import account_status
from shared.schemas.accounts import AccountStatus, BrokerPosition, CashMovement, Reconciliation
from shared.schemas.instruments import AssetClass, Instrument
from tests.unit.risk.desk import EURO, FUTURE, Desk, wide

pytestmark = pytest.mark.unit
RATES = tuple(
    Instrument(symbol=symbol, currency=symbol[-3:], asset_class=AssetClass.FX, tick_size=Decimal("0.0001"))
    for symbol in ("EUR/USD", "USD/JPY")
)
EUFUT = FUTURE.model_copy(update={"symbol": "EUFUT", "currency": "EUR", "multiplier": Decimal(10)})
YEN = EURO.model_copy(update={"symbol": "YEN", "currency": "JPY", "lot_size": Decimal("0.001")})
CASH = Decimal(1_000_000)


def desk(rate: str = "1.25") -> Desk:
    made = Desk(wide(max_messages_per_second=1_000, max_message_burst=1_000), str(CASH))
    made.send(SetInstruments((*RATES, EUFUT, YEN), "ada"))
    made.mark(**{"EUR/USD": rate, "USD/JPY": 150, "EURO": 50, "EUFUT": 400, "YEN": 15_000})
    return made


def status(found: Desk) -> AccountStatus:
    return account_status(found.state, found.account)


def assert_adds_up(found: Desk) -> AccountStatus:
    shown = status(found)
    assert shown.equity == shown.paid_in + shown.realised_pnl + shown.unrealised_pnl - shown.fees
    assert shown.unrealised_pnl == sum(each.unrealised_pnl for each in shown.positions)
    return shown


class TestForeignShare:
    """1,000 at 49.60 EUR and 1.25 USD cost 62,000 USD."""

    def bought(self) -> Desk:
        found = desk()
        found.mark(EURO="49.6")
        found.trade("BUY", 1_000, "49.6", "EURO", fee=1)
        found.mark(EURO=50)
        found.later(1)
        found.mark(**{"EUR/USD": "1.30"})
        return found

    def test_what_the_rate_made_is_unrealised(self) -> None:
        shown = assert_adds_up(self.bought())
        assert (shown.equity, shown.realised_pnl, shown.unrealised_pnl, shown.fees) == (1_002_999, 0, 3_000, 1)
        assert next(each for each in shown.positions if each.symbol == "EURO").average_price == Decimal("49.6")

    def test_sold_it_is_realised(self) -> None:
        found = self.bought()
        found.trade("SELL", 400, 50, "EURO")
        assert assert_adds_up(found).realised_pnl == 400 * 65 - Decimal(62_000) * 4 / 10
        found.trade("SELL", 600, 50, "EURO", fee=1)
        shown = assert_adds_up(found)
        assert (shown.equity, shown.cash, shown.realised_pnl, shown.unrealised_pnl) == (1_002_998, 1_002_998, 3_000, 0)

    def test_through_zero_the_new_side_is_sold_at_the_rate_of_now(self) -> None:
        found = self.bought()
        found.trade("SELL", 1_500, 50, "EURO")
        shown = assert_adds_up(found)
        assert (shown.realised_pnl, shown.unrealised_pnl) == (3_000, 0)
        found.later(1)
        found.mark(**{"EUR/USD": "1.20"})
        # 500 short at 50 EUR: sold at 1.30, owed at 1.20.
        assert assert_adds_up(found).unrealised_pnl == 500 * 50 * Decimal("0.1")

    def test_a_fill_says_what_it_realised_at_its_rate(self) -> None:
        found = self.bought()
        sold = found.fill(found.order("SELL", 1_000, "EURO"), 1_000, 50)
        assert sold.realised_pnl == 3_000

    def test_a_margined_one_has_no_cost_that_a_rate_could_move(self) -> None:
        found = desk()
        found.trade("BUY", 10, 400, "EUFUT")
        found.later(1)
        found.mark(**{"EUR/USD": "1.30"})
        assert assert_adds_up(found).unrealised_pnl == 0
        found.mark(EUFUT=410)
        assert assert_adds_up(found).unrealised_pnl == 10 * 10 * 10 * Decimal("1.3")
        found.trade("SELL", 10, 410, "EUFUT")
        assert assert_adds_up(found).realised_pnl == 1_300


class TestAdoption:
    def adopt(self, found: Desk, **positions: tuple[str, str | None]) -> None:
        named = [
            BrokerPosition(symbol=symbol, quantity=Decimal(quantity), average_price=average and Decimal(average))
            for symbol, (quantity, average) in positions.items()
        ]
        request = Reconciliation(positions=named, cash=Decimal(900_000), adopt=True, reason="their books")
        assert not isinstance(found.send(Reconcile("main", request, "eve")), Refused)

    def test_what_is_kept_keeps_what_it_cost_a_unit(self) -> None:
        found = desk()
        found.trade("BUY", 1_000, 50, "EURO")
        found.later(1)
        found.mark(**{"EUR/USD": "1.30"})
        self.adopt(found, EURO=("900", None))
        shown = assert_adds_up(found)
        assert (shown.unrealised_pnl, shown.realised_pnl) == (900 * 50 * Decimal("0.05"), 0)
        # 100 shares at their cost and the cash that was not there.
        assert shown.paid_in == CASH - 100 * Decimal("62.5") - (CASH - 62_500 - 900_000)

    def test_what_is_new_cost_the_brokers_average_at_the_rate_of_now(self) -> None:
        found = desk("1.30")
        self.adopt(found, EURO=("-100", "48"), EUFUT=("2", "390"))
        shown = assert_adds_up(found)
        assert shown.unrealised_pnl == -100 * 2 * Decimal("1.3") + 2 * 10 * 10 * Decimal("1.3")
        assert shown.paid_in == 900_000 - 100 * 48 * Decimal("1.3")


SYMBOLS = ("STOCK", "EURO", "YEN", "EUFUT", "FUT")
# Prices and quantities that no rounding spares.
odd = st.decimals("0.0000000001", "3", places=10)
trades = st.tuples(
    st.just("trade"), st.sampled_from(SYMBOLS), st.booleans(), st.integers(1, 3_000), st.decimals("0.9", "1.1")
)
others = st.one_of(
    st.tuples(st.just("mark"), st.sampled_from(SYMBOLS), odd),
    st.tuples(st.just("mark"), st.sampled_from(["EUR/USD", "USD/JPY"]), odd),
    st.tuples(st.just("pay"), st.decimals("-1000", "100000", places=10)),
    st.tuples(st.just("adopt"), st.sampled_from(SYMBOLS), st.integers(-300, 300), st.sampled_from([None, "33.33"])),
)


# Trades and what comes between them by turns.
moves = st.lists(st.tuples(trades, trades, others), min_size=2, max_size=8).map(lambda found: [*chain(*found)])


class Trader:
    """Make moves; keep what was paid in, but for what was adopted."""

    def __init__(self) -> None:
        self.desk = desk()
        self.desk.mark(FUT=100)
        self.paid_in = CASH
        self.adopted = False
        self.traded = 0

    def price(self, symbol: str) -> Decimal:
        return amount(self.desk.state.marks[None, symbol].price)

    def trade(self, symbol: str, buy: bool, quantity: int, factor: Decimal) -> None:
        size = Decimal(quantity) if symbol != "YEN" else Decimal(quantity) / 1_000
        decision = self.desk.order("BUY" if buy else "SELL", size, symbol)
        if decision.decision == "DENIED":
            size = decision.max_quantity or Decimal(0)
            decision = self.desk.order("BUY" if buy else "SELL", size, symbol) if size else decision
        if decision.decision == "APPROVED":
            price = max(round(self.price(symbol) * factor, 10), Decimal("0.0000000001"))
            self.desk.fill(decision, size, price, fee="0.0000000007")
            self.traded += 1

    def mark(self, symbol: str, factor: Decimal) -> None:
        base = {"EUR/USD": 1, "USD/JPY": 150, "YEN": 15_000}.get(symbol, 100)
        self.desk.mark(**{symbol: max(round(base * factor, 10), Decimal("0.01"))})

    def pay(self, paid: Decimal) -> None:
        self.desk.count += 1
        movement = CashMovement(movement_id=f"m-{self.desk.count}", amount=paid, reason="as drawn")
        if not isinstance(self.desk.send(MoveCash("main", movement, "ada")), Refused):
            self.paid_in += paid

    def adopt(self, symbol: str, change: int, average: str | None) -> None:
        theirs = {each.symbol: each.quantity for each in status(self.desk).positions}
        theirs[symbol] = theirs.get(symbol, Decimal(0)) + change
        named = [
            BrokerPosition(symbol=each, quantity=held, average_price=Decimal(average) if average else None)
            for each, held in theirs.items()
        ]
        request = Reconciliation(positions=named, adopt=True, reason="as drawn")
        assert not isinstance(self.desk.send(Reconcile("main", request, "eve")), Refused)
        self.adopted = True


@settings(max_examples=300, deadline=None)
@given(moves)
def test_equity_is_what_was_paid_in_and_earned_to_the_last_unit(drawn: list[tuple[Any, ...]]) -> None:
    trader = Trader()
    for what, *values in drawn:
        trader.desk.later(1)
        getattr(trader, what)(*values)
        shown = assert_adds_up(trader.desk)
        assert trader.adopted or shown.paid_in == trader.paid_in
        for each in shown.positions:
            if not each.quantity:
                assert each.unrealised_pnl == each.average_price == 0
    event(f"fills: {trader.traded}, realised: {bool(status(trader.desk).realised_pnl)}, adopted: {trader.adopted}")
