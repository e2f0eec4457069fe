"""Which prices are believed, and how far from them an order may be."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.risk.core.answers import answer
from services.risk.core.bodies import Quote
from services.risk.core.commands import OpenAccount, SetInstruments, SetMarks
from services.risk.core.outcome import Refused
from services.risk.core.units import SCALE, amount, micros, units
from services.risk.core.views import account_status
from shared.schemas.accounts import AccountCreate
from shared.schemas.base import Severity
from shared.schemas.instruments import MarksResult
from tests.unit.risk.desk import CALL, EURUSD, START, STOCK, Desk, codes, narrow, wide

pytestmark = pytest.mark.unit


def quote(desk: Desk, symbol: str, price: Any, **fields: Any) -> Quote:
    return Quote(symbol, units(Decimal(str(price))), micros(desk.now), **fields)


class TestJumps:
    """One bad tick may block at once; it moves no equity, trips nothing and stays in no high-water mark."""

    def test_a_jump_blocks_its_symbol_and_is_not_valued_at(self) -> None:
        desk = Desk(wide(max_drawdown_fraction=0.2))
        desk.trade("BUY", 500, 100)
        desk.later(1)
        desk.send(SetMarks(None, (quote(desk, "STOCK", 50),)))
        assert desk.equity() == 100_000
        assert desk.account.halted == ()
        assert codes(desk.order()) == ["MARK_QUALITY"]
        assert codes(desk.order("SELL", 1, reduce_only=True)) == ["MARK_QUALITY"]
        assert codes(desk.order(quantity="0.01", symbol="COIN")) == []

    def test_the_next_one_confirms_it(self) -> None:
        desk = Desk(wide(max_drawdown_fraction=0.2))
        desk.trade("BUY", 500, 100)
        desk.later(1)
        desk.send(SetMarks(None, (quote(desk, "STOCK", 50),)))
        desk.later(1)
        desk.send(SetMarks(None, (quote(desk, "STOCK", 52),)))
        assert desk.equity() == 76_000
        assert "drawdown" in desk.account.halted

    def test_small_steps_in_no_time_are_a_jump(self) -> None:
        desk = Desk(wide())
        price = Decimal(100)
        desk.later(5)
        for _ in range(10):
            desk.later(0.01)
            price = (price * Decimal("1.19")).quantize(Decimal("0.01"))
            desk.send(SetMarks(None, (quote(desk, "STOCK", price),)))
        assert amount(desk.state.marks[None, "STOCK"].price) == 119
        assert codes(desk.order()) == ["MARK_QUALITY"]

    def test_small_steps_with_time_between_them_are_none(self) -> None:
        desk = Desk(wide())
        price = Decimal(100)
        for _ in range(10):
            desk.later(1)
            price = (price * Decimal("1.19")).quantize(Decimal("0.01"))
            desk.send(SetMarks(None, (quote(desk, "STOCK", price),)))
        assert amount(desk.state.marks[None, "STOCK"].price) == price
        assert codes(desk.order()) == []

    def test_where_the_steps_have_led_is_believed_a_second_later(self) -> None:
        desk = Desk(wide())
        desk.later(5)
        for price in (119, 125, 126):
            desk.send(SetMarks(None, (quote(desk, "STOCK", price),)))
            desk.later(0.01)
        assert codes(desk.order()) == ["MARK_QUALITY"]
        desk.later(1)
        desk.send(SetMarks(None, (quote(desk, "STOCK", 126),)))
        assert amount(desk.state.marks[None, "STOCK"].price) == 126
        assert codes(desk.order()) == []

    def test_the_same_price_sent_again_at_once_confirms_nothing(self) -> None:
        desk = Desk(wide(max_drawdown_fraction=0.2))
        desk.trade("BUY", 500, 100)
        for milliseconds in (0, 2, 300, 600, 999):
            desk.now = START + timedelta(seconds=1, milliseconds=milliseconds)
            desk.send(SetMarks(None, (quote(desk, "STOCK", 999_999_999),)))
        assert amount(desk.account.high_water_mark) == desk.equity() == 100_000
        assert codes(desk.order()) == ["MARK_QUALITY"]
        desk.later(1)
        desk.mark(STOCK=100)
        assert codes(desk.order()) == []
        assert desk.account.halted == ()

    def test_a_stream_of_prices_confirms_it_a_second_after_the_first_of_them(self) -> None:
        desk = Desk(wide())
        desk.trade("BUY", 500, 100)
        for milliseconds in (0, 400, 800, 1_000):
            assert desk.equity() == 100_000
            desk.now = START + timedelta(seconds=1, milliseconds=milliseconds)
            desk.send(SetMarks(None, (quote(desk, "STOCK", 50),)))
        assert desk.equity() == 75_000

    def test_an_instrument_says_how_much_later(self) -> None:
        desk = Desk(wide())
        desk.send(SetInstruments((STOCK.model_copy(update={"jump_confirm_seconds": 60.0}),), "ada"))
        for _ in range(2):
            desk.later(59)
            desk.send(SetMarks(None, (quote(desk, "STOCK", 50),)))
        assert desk.state.marks[None, "STOCK"].price == units(Decimal(100))
        desk.later(1)
        desk.send(SetMarks(None, (quote(desk, "STOCK", 50),)))
        assert desk.state.marks[None, "STOCK"].price == units(Decimal(50))

    def test_a_simulation_goes_by_its_own_time(self) -> None:
        desk = Desk(wide())
        desk.send(SetMarks("s1", (quote(desk, "STOCK", 100),)))
        at = micros(desk.now)
        for later in (1, 2, 1_000_000):
            desk.send(SetMarks("s1", (Quote("STOCK", units(Decimal(50)), at + later),)))
            assert desk.state.marks["s1", "STOCK"].price == units(Decimal(100))
        desk.send(SetMarks("s1", (Quote("STOCK", units(Decimal(50)), at + 1_000_001),)))
        assert desk.state.marks["s1", "STOCK"].price == units(Decimal(50))

    def test_or_shows_that_it_was_wrong(self) -> None:
        desk = Desk(wide())
        desk.trade("BUY", 500, 100)
        desk.later(1)
        desk.send(SetMarks(None, (quote(desk, "STOCK", 500),)))
        desk.later(1)
        desk.send(SetMarks(None, (quote(desk, "STOCK", 101),)))
        assert amount(desk.account.high_water_mark) == 100_500
        assert codes(desk.order()) == []

    def test_a_second_jump_to_somewhere_else_confirms_nothing(self) -> None:
        desk = Desk(wide())
        for price in (50, 200, 20):
            desk.later(1)
            desk.send(SetMarks(None, (quote(desk, "STOCK", price),)))
        assert codes(desk.order()) == ["MARK_QUALITY"]

    def test_at_the_size_of_a_jump_it_is_none(self) -> None:
        desk = Desk(wide())
        desk.send(SetMarks(None, (quote(desk, "STOCK", 120),)))
        assert amount(desk.state.marks[None, "STOCK"].price) == 120

    def test_within_a_batch_only_the_last_word_counts(self) -> None:
        desk = Desk(wide())
        desk.later(1)
        first, last = quote(desk, "STOCK", 50), quote(desk, "STOCK", 51)
        last.ts += 1_000_000
        desk.send(SetMarks(None, (first, last)))
        assert amount(desk.state.marks[None, "STOCK"].price) == 51
        assert codes(desk.order()) == []


class TestWhatBecameOfMarks:
    def told(self, desk: Desk, *quotes: Quote, simulation_id: str | None = None) -> MarksResult:
        command = SetMarks(simulation_id, quotes)
        events = desk.send(command)
        assert not isinstance(events, Refused)
        found = answer(desk.state, command, list(events))
        assert isinstance(found, MarksResult)
        assert found.count + len(found.ignored) + len(found.doubted) == len(quotes)
        return found

    def at(self, desk: Desk, seconds: float, price: int = 101, symbol: str = "STOCK") -> Quote:
        return Quote(symbol, price * SCALE, micros(desk.now + timedelta(seconds=seconds)))

    def test_each_that_changes_nothing_is_named_with_its_reason(self) -> None:
        desk = Desk(wide())
        long_ago = Quote("NEW", SCALE, micros(START.replace(year=1999)))
        desk.send(SetInstruments((STOCK.model_copy(update={"symbol": "NEW"}),), "ada"))
        quotes = [self.at(desk, 0, symbol="NOPE"), self.at(desk, -1), self.at(desk, 0, 100), self.at(desk, 6), long_ago]
        found = self.told(desk, *quotes, self.at(desk, 1), self.at(desk, 2))
        assert [(each.symbol, each.reason) for each in found.ignored] == [
            ("NOPE", "not a known instrument"),
            ("STOCK", "older than the mark held, of 2026-03-02T09:30:00Z"),
            ("STOCK", "held already"),
            ("STOCK", "more than 5 s ahead of the clock"),
            ("NEW", "before 2000"),
            ("STOCK", "a later one of the same request counts"),
        ]
        assert (found.count, found.doubted) == (1, [])
        # Nothing that came to nothing is remembered by the next one.
        assert self.told(desk, self.at(desk, 3)).ignored == []

    def test_a_doubted_one_is_named_and_so_is_what_repeats_it_too_soon(self) -> None:
        desk = Desk(wide())
        first = self.told(desk, self.at(desk, 1, 50), quote(desk, "COIN", 49_000, quality=Severity.CRITICAL))
        assert [(each.symbol, each.reason.partition(":")[0]) for each in first.doubted] == [
            ("STOCK", "a jump"),
            ("COIN", "judged critical"),
        ]
        (again,) = self.told(desk, self.at(desk, 1.5, 50)).ignored
        assert again.reason == "doubted since 2026-03-02T09:30:01Z; one seen 1 s later confirms it"
        assert self.told(desk, self.at(desk, 2, 50)).count == 1

    def test_a_price_that_cannot_be_counted_is_named(self) -> None:
        desk = Desk(wide())
        desk.send(SetInstruments((STOCK.model_copy(update={"max_jump": 100.0}),), "ada"))
        desk.trade("BUY", 900, 100)
        for number in range(1, 7):
            desk.later(1)
            found = self.told(desk, self.at(desk, 0, 10 ** (2 + 2 * number)))
        assert "more than can be counted" in found.ignored[0].reason

    def test_of_a_simulation_every_one_counts(self) -> None:
        desk = Desk(wide())
        quotes = (Quote("STOCK", SCALE, -1), Quote("STOCK", SCALE, 0), self.at(desk, 9, 1))
        assert self.told(desk, *quotes, simulation_id="s").count == 3


class TestSpikes:
    def jumped(self, **fields: Any) -> Desk:
        desk = Desk(wide())
        desk.send(SetInstruments((STOCK.model_copy(update=fields),), "ada"))
        desk.trade("BUY", 10, 100)
        desk.later(1)
        desk.mark(STOCK=150)
        return desk

    def test_a_confirmed_jump_stops_the_symbol_where_its_instrument_says_so(self) -> None:
        desk = self.jumped(halt_on_jump=True)
        switches = list(desk.state.kill_switches.values())
        assert [(each.kind, each.scope, each.target) for each in switches] == [("VOLATILITY_SPIKE", "SYMBOL", "STOCK")]
        assert codes(desk.order("BUY", 1)) == ["KILL_SWITCH_ACTIVE"]
        assert codes(desk.order("SELL", 10)) == []
        assert codes(desk.order(quantity="0.01", symbol="COIN")) == []

    def test_two_confirmed_jumps_of_one_batch_pull_one_switch(self) -> None:
        desk = Desk(wide())
        desk.send(SetInstruments((STOCK.model_copy(update={"halt_on_jump": True}),), "ada"))
        desk.trade("BUY", 10, 100)
        desk.order("BUY", 1, order_type="LIMIT", limit_price="90")
        at = micros(desk.now)
        prices = enumerate((150, 150, 100, 100), start=1)
        marks = tuple(Quote("STOCK", units(Decimal(price)), at + number * 1_000_000) for number, price in prices)
        desk.send(SetMarks(None, marks))
        assert [each.cancelled_orders for each in desk.state.kill_switches.values()] == [1]

    def test_and_nothing_where_it_does_not(self) -> None:
        assert self.jumped().state.kill_switches == {}

    def test_a_simulation_stops_nobody(self) -> None:
        desk = Desk(wide())
        desk.send(SetInstruments((STOCK.model_copy(update={"halt_on_jump": True}),), "ada"))
        for price in (100, 150, 151):
            desk.later(1)
            desk.send(SetMarks("s1", (quote(desk, "STOCK", price),)))
        assert desk.state.kill_switches == {}


class TestQuality:
    def test_a_critical_price_is_not_used_and_denies(self) -> None:
        desk = Desk(wide())
        desk.trade("BUY", 10, 100)
        desk.later(1)
        desk.send(SetMarks(None, (quote(desk, "STOCK", 101, quality=Severity.CRITICAL),)))
        assert desk.equity() == 100_000
        assert codes(desk.order()) == ["MARK_QUALITY"]
        desk.later(1)
        desk.mark(STOCK=101)
        assert codes(desk.order()) == []

    def test_a_first_price_that_is_critical_opens_nothing(self) -> None:
        desk = Desk(wide())
        desk.send(SetInstruments((STOCK.model_copy(update={"symbol": "NEW"}),), "ada"))
        desk.send(SetMarks(None, (quote(desk, "NEW", 5, quality=Severity.CRITICAL),)))
        assert codes(desk.order(symbol="NEW")) == ["MARK_QUALITY"]


class TestCollar:
    def test_at_the_collar_passes_and_beyond_is_denied_on_the_worse_side(self) -> None:
        desk = Desk(wide(price_collar_bps=100))

        def limit(side: str, price: str) -> list[str]:
            return codes(desk.order(side, 1, order_type="LIMIT", limit_price=price))

        assert limit("BUY", "101") == []
        assert limit("BUY", "101.01") == ["PRICE_COLLAR"]
        # A buy far below the market is nobody's fat finger.
        assert limit("BUY", "1") == []
        low = Desk(wide(price_collar_bps=100))
        assert codes(low.order("SELL", 1, order_type="LIMIT", limit_price="99")) == []
        assert codes(low.order("SELL", 1, order_type="LIMIT", limit_price="98.99")) == ["PRICE_COLLAR"]
        assert codes(low.order("SELL", 1, order_type="LIMIT", limit_price="1000")) == []

    def test_a_market_order_is_valued_at_the_collar(self) -> None:
        # 96 * 100 * 1.05 is more than a tenth of 100,000; 95 is 9,975.
        assert codes(Desk(narrow(price_collar_bps=500)).order(quantity=96)) == ["POSITION_LIMIT"]
        assert codes(Desk(narrow(price_collar_bps=500)).order(quantity=95)) == []

    def test_but_what_reduces_is_not(self) -> None:
        desk = Desk(narrow(price_collar_bps=500, max_position_fraction=0.2))
        desk.trade("BUY", 100, 100)
        assert codes(desk.order("SELL", 100)) == []


class TestCurrencies:
    def desk(self) -> Desk:
        desk = Desk(wide())
        desk.send(SetInstruments((EURUSD,), "ada"))
        return desk

    def test_without_a_rate_nothing_passes(self) -> None:
        denied = self.desk().order(symbol="EURO")
        assert codes(denied) == ["FX_RATE_MISSING"]
        assert denied.reasons[0].message.endswith("no mark for EUR/USD, nor for USD/EUR")

    def test_positions_are_worth_what_the_rate_makes_them(self) -> None:
        desk = self.desk()
        desk.mark(**{"EUR/USD": "1.25"})
        desk.trade("BUY", 100, 10, symbol="EURO")
        assert amount(desk.account.cash) == 98_750
        assert desk.equity() == 100_000
        desk.mark(**{"EUR/USD": "1.30"})
        assert desk.equity() == 100_050
        assert desk.held("EURO").notional == 1_300

    def test_the_inverse_rate_serves_too(self) -> None:
        desk = Desk(wide())
        desk.send(SetInstruments((EURUSD.model_copy(update={"symbol": "USD/EUR", "currency": "EUR"}),), "ada"))
        desk.mark(**{"USD/EUR": "0.8"})
        desk.trade("BUY", 100, 10, symbol="EURO")
        assert amount(desk.account.cash) == 98_750

    def test_limits_are_of_the_converted_notional(self) -> None:
        desk = Desk(wide(max_position_fraction=0.1))
        desk.send(SetInstruments((EURUSD,), "ada"))
        desk.mark(**{"EUR/USD": "1.25"})
        assert codes(desk.order(quantity=800, symbol="EURO")) == []
        assert codes(desk.order(quantity=1, symbol="EURO")) == ["POSITION_LIMIT"]

    def test_a_stale_rate_is_a_stale_mark(self) -> None:
        desk = self.desk()
        desk.mark(**{"EUR/USD": "1.25"})
        desk.later(121)
        desk.mark(EURO=10)
        denied = desk.order(symbol="EURO")
        assert codes(denied) == ["MARK_STALE"]
        assert "EUR in USD" in denied.reasons[0].message

    def test_profits_are_realised_at_the_rate_of_the_fill(self) -> None:
        desk = self.desk()
        desk.mark(**{"EUR/USD": "1.25"})
        desk.trade("BUY", 100, 10, symbol="EURO")
        desk.mark(**{"EUR/USD": "1.30"})
        desk.trade("SELL", 100, 11, symbol="EURO")
        # 100 EUR of profit at 1.30, and 50 more as the 1,000 EUR paid are worth more now: all of it is profit.
        assert amount(desk.account.realised_pnl) == 180
        assert amount(desk.account.cash) == 100_180


class TestOptions:
    def desk(self, delta: str | None) -> Desk:
        desk = Desk(wide(max_position_fraction=0.1))
        desk.send(SetInstruments((CALL,), "ada"))
        value = None if delta is None else units(Decimal(delta))
        desk.send(SetMarks(None, (quote(desk, "CALL", 3, delta=value),)))
        return desk

    @pytest.mark.parametrize(
        ("delta", "most"),
        # A contract counts for delta * 100 * 100, at least for its premium of 300; an unknown delta for 1.
        [("0.5", 2), ("-0.5", 2), ("0.25", 4), ("0.01", 33), (None, 1)],
    )
    def test_they_count_for_their_delta_or_their_premium(self, delta: str | None, most: int) -> None:
        assert codes(self.desk(delta).order(quantity=most, symbol="CALL")) == []
        assert "POSITION_LIMIT" in codes(self.desk(delta).order(quantity=most + 1, symbol="CALL"))

    def test_the_premium_is_what_is_paid_and_worth(self) -> None:
        desk = self.desk("0.5")
        desk.trade("BUY", 1, 3, symbol="CALL")
        assert amount(desk.account.cash) == 99_700
        assert desk.equity() == 100_000

    def test_their_exposure_moves_with_the_underlying(self) -> None:
        desk = self.desk("0.5")
        desk.trade("BUY", 1, 3, symbol="CALL")
        assert amount(desk.account.gross) == 5_000
        desk.later(1)
        desk.mark(STOCK=110)
        assert amount(desk.account.gross) == 5_500

    @pytest.mark.parametrize(
        ("side", "delta", "exposure"),
        [("BUY", "0.5", 15_000), ("SELL", "0.5", -15_000), ("BUY", "-0.5", -15_000), ("BUY", "0.01", 900)],
    )
    def test_the_exposures_shown_sum_to_those_of_the_account(self, side: str, delta: str, exposure: int) -> None:
        desk = Desk(wide())
        desk.send(SetInstruments((CALL, EURUSD), "ada"))
        desk.send(SetMarks(None, (quote(desk, "CALL", 3, delta=units(Decimal(delta))),)))
        desk.mark(**{"EUR/USD": "1.25"})
        desk.trade(side, 3, 3, "CALL")
        desk.trade("SELL", 100, 10, "EURO")
        desk.trade("BUY", 50, 100)
        status = account_status(desk.state, desk.account)
        shown = {each.symbol: each.exposure for each in status.positions}
        assert shown == {"CALL": exposure, "EURO": -1_250, "STOCK": 5_000}
        assert desk.held("CALL").notional == (900 if side == "BUY" else -900)
        assert status.gross_exposure == float(sum(map(abs, shown.values())) / status.equity)
        assert status.net_exposure == float(sum(shown.values()) / status.equity)

    def test_a_bought_put_is_short(self) -> None:
        desk = self.desk("-0.5")
        desk.trade("BUY", 1, 3, symbol="CALL")
        position = desk.account.positions["CALL"]
        assert position.low == position.high < 0

    def test_without_the_underlying_nothing_passes(self) -> None:
        desk = Desk(wide())
        desk.send(SetInstruments((CALL.model_copy(update={"underlying": "NOWHERE"}),), "ada"))
        desk.send(SetMarks(None, (quote(desk, "CALL", 3),)))
        assert codes(desk.order(symbol="CALL")) == ["MARK_MISSING"]


def test_an_account_in_another_currency_sees_the_same_prices() -> None:
    desk = Desk(wide())
    desk.send(SetInstruments((EURUSD,), "ada"))
    desk.mark(**{"EUR/USD": "1.25"})
    desk.send(OpenAccount(AccountCreate(account_id="e", base_currency="EUR", initial_cash=Decimal(1000)), "ada"))
    assert desk.state.accounts["e"].equity == units(Decimal(1000))
