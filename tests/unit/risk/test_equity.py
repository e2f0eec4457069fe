"""What prices and rates make of equity and of its high-water mark."""

from datetime import date
from decimal import Decimal

import pytest

from services.risk.core.bodies import Quote
from services.risk.core.commands import RollDay, SetInstruments, SetMarks
from services.risk.core.outcome import Refused
from services.risk.core.units import amount, micros, units
from shared.schemas.accounts import DayRoll
from shared.schemas.instruments import AssetClass, Instrument
from tests.unit.risk.desk import EURO, STOCK, Desk, wide

pytestmark = pytest.mark.unit
RATES = tuple(
    Instrument(symbol=symbol, currency=symbol[-3:], asset_class=AssetClass.FX, tick_size=Decimal("0.0001"))
    for symbol in ("EUR/USD", "USD/EUR")
)
HEDGE = EURO.model_copy(update={"symbol": "HEDGE"})


def desk(cash: str = "100000") -> Desk:
    made = Desk(wide(), cash)
    made.send(SetInstruments((*RATES, HEDGE), "ada"))
    made.mark(HEDGE=10, FUT=100)
    return made


class TestHighWaterMark:
    """Equity is what it is once all prices of a moment are in: a hedge is no profit in between."""

    def test_of_a_hedge_whose_sides_are_marked_together(self) -> None:
        hedged = desk()
        hedged.trade("BUY", 400, 100)
        hedged.trade("SELL", 8, 100, "FUT")
        hedged.later(1)
        hedged.mark(STOCK=110, FUT=110)
        assert amount(hedged.account.high_water_mark) == hedged.equity() == 100_000

    def test_of_a_hedge_that_one_rate_values(self) -> None:
        hedged = desk()
        hedged.mark(**{"EUR/USD": 1})
        hedged.trade("BUY", 1_000, 10, "EURO")
        hedged.trade("SELL", 1_000, 10, "HEDGE")
        hedged.later(1)
        hedged.mark(**{"EUR/USD": "1.05"})
        assert amount(hedged.account.high_water_mark) == hedged.equity() == 100_000


class TestAbsurd:
    @pytest.mark.parametrize(("symbol", "large", "absurd"), [("EUR/USD", 10**6, 10**15), ("USD/EUR", "1e-6", "1e-10")])
    def test_a_rate_that_makes_a_position_worth_too_much_is_no_price(
        self, symbol: str, large: str, absurd: str
    ) -> None:
        rich = desk("10000000")
        rich.mark(**{symbol: 1})
        rich.trade("BUY", 1_000_000, 10, "EURO")
        for price in (large, absurd):
            rich.later(1)
            # Twice where it jumps, and so confirmed.
            rich.mark(**{symbol: price})
            assert rich.equity() == amount(rich.account.high_water_mark) == 10**13
        # It would not have fitted the journal.
        assert not isinstance(rich.send(RollDay("main", DayRoll(next_session_date=date(2026, 3, 3)), "ada")), Refused)

    def test_nor_is_a_price_that_does_so_at_the_rate_of_now(self) -> None:
        rich = desk("10000000")
        rich.mark(**{"EUR/USD": 10**6})
        rich.trade("BUY", 1, 10, "EURO")
        rich.later(1)
        rich.mark(EURO=10**11)
        assert amount(rich.state.marks[None, "EURO"].price) == 10

    def test_nor_is_the_price_of_an_underlying(self) -> None:
        rich = desk()
        call = STOCK.model_copy(
            update={
                "symbol": "CALL",
                "asset_class": AssetClass.OPTION,
                "underlying": "STOCK",
                "multiplier": Decimal(100),
            }
        )
        rich.send(SetInstruments((call,), "ada"))
        rich.send(SetMarks(None, (Quote("CALL", units(Decimal(1)), micros(rich.now), 0),)))
        rich.trade("BUY", 10, 1, "CALL")
        rich.later(1)
        for price, taken in ((10**12, True), (10**14, False)):
            rich.later(1)
            rich.mark(STOCK=price)
            assert (amount(rich.state.marks[None, "STOCK"].price) == price) is taken
