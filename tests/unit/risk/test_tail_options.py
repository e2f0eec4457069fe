"""VaR and ES of options: by their delta on their underlying's returns, or by their own."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from services.risk.core.bodies import Decided, Quote
from services.risk.core.book import book_of
from services.risk.core.commands import SetInstruments, SetMarks, SetScenarios
from services.risk.core.evolve import evolve
from services.risk.core.explain import explain
from services.risk.core.positions import Position
from services.risk.core.scenarios import current_exposures, reserved_pnl
from services.risk.core.snapshot import read, write
from services.risk.core.state import FirmState
from services.risk.core.tail_methods import every_method, tail_inputs, value_at_risk
from services.risk.core.units import SCALE, micros, units
from services.risk.core.var.inputs import FloatArray
from services.risk.core.views import account_status
from tests.unit.risk.desk import START, Desk, codes, wide
from tests.unit.risk.life_samples import CALL
from tests.unit.risk.test_tail import independently, scenarios

pytestmark = pytest.mark.unit
VAR_ONLY = {"max_var_fraction": 0.02, "max_expected_shortfall_fraction": None, "max_position_fraction": 10}
# What one call counts for: half of 100 shares at 100.
DELTA_MONEY = 5_000


def mark_call(found: Desk, price: Any = 3, delta: Any = "0.5") -> None:
    quote = Quote("CALL", units(Decimal(str(price))), micros(found.now), units(Decimal(str(delta))))
    found.send(SetMarks(None, (quote,)))


def desk(limits: dict[str, Any] | None = None, **volatilities: float) -> Desk:
    found = Desk(
        wide(max_messages_per_second=1_000, max_message_burst=1_000, **(VAR_ONLY if limits is None else limits))
    )
    found.send(SetInstruments((CALL,), "ada"))
    mark_call(found)
    found.send(SetScenarios(scenarios(**(volatilities or {"STOCK": 0.02})), "ada"))
    return found


def recomputed(found: Desk) -> dict[str, float]:
    """Return exposures by whose returns they move with."""
    sums = dict[str, float]()
    for position, row, unit in units_of(found):
        sums[row] = sums.get(row, 0.0) + position.quantity / SCALE * unit
    return sums


def worst(found: Desk) -> FloatArray:
    """Return the worst of what is held and of what open orders lead to, position by position."""
    scenes = found.state.scenarios
    assert scenes is not None
    sums = np.zeros(scenes.matrix.scenarios)
    for position, row, unit in units_of(found):
        held, furthest = (each * unit * scenes.matrix.vector(row) for each in _quantities(position))
        sums += np.minimum(held, furthest)
    return sums


def units_of(found: Desk) -> Iterator[tuple[Position, str, float]]:
    """Yield positions, whose returns they move with, and the money of one unit, from instruments and marks alone."""
    scenes = found.state.scenarios
    assert scenes is not None
    for symbol, position in found.account.positions.items():
        terms = found.state.instruments[symbol]
        mark, factor = found.state.marks[None, symbol], terms.multiplier / SCALE
        if symbol in scenes.symbols:
            row, unit = symbol, mark.price / SCALE * factor
        elif terms.underlying in scenes.symbols and terms.underlying is not None:
            delta = 1.0 if mark.delta is None else mark.delta / SCALE
            row, unit = terms.underlying, delta * found.state.marks[None, terms.underlying].price / SCALE * factor
        else:
            continue
        yield position, row, unit


def _quantities(position: Position) -> tuple[float, float]:
    held, buys, sells = (each / SCALE for each in (position.quantity, position.open_buy, position.open_sell))
    return held, held + buys if held + buys >= sells - held else held - sells


class TestLimits:
    def test_an_option_takes_its_underlyings_returns_by_its_delta(self) -> None:
        found = desk()
        most = int(2_000 / independently(DELTA_MONEY)[0])
        denied = found.order("BUY", most + 1, "CALL")
        assert codes(denied) == ["VAR_LIMIT"]
        assert denied.max_quantity == most
        assert denied.reasons[0].value == pytest.approx(independently((most + 1) * DELTA_MONEY)[0] / 100_000, abs=1e-12)
        found.trade("BUY", most, 3, "CALL")
        # The share's limit is used up by the option on it.
        assert codes(found.order("BUY", 50)) == ["VAR_LIMIT"]
        status = account_status(found.state, found.account)
        expected = independently(most * DELTA_MONEY)[0] / 100_000
        assert status.tail_risk[0].value_at_risk == pytest.approx(expected, abs=1e-12)
        (used,) = [each for each in status.utilisations if each.name == "value_at_risk"]
        assert used.value == pytest.approx(status.tail_risk[0].value_at_risk, abs=1e-12)

    def test_a_sold_one_hedges_the_share(self) -> None:
        found = desk()
        found.trade("BUY", 400, 100)
        found.trade("SELL", 8, 3, "CALL")
        shown = account_status(found.state, found.account).tail_risk
        assert [each.value_at_risk for each in shown] == [0.0]

    def test_one_with_returns_of_its_own_takes_those_with_its_premium(self) -> None:
        found = desk(STOCK=0.02, CALL=0.2)
        # 300 a contract at ten times the returns of the share.
        most = int(2_000 / independently(3_000)[0])
        denied = found.order("BUY", most + 1, "CALL")
        assert (codes(denied), denied.max_quantity) == (["VAR_LIMIT"], most)

    def test_required_is_met_by_an_underlying_with_returns(self) -> None:
        assert codes(desk({**VAR_ONLY, "var_required": True}).order("BUY", 1, "CALL")) == []
        other = desk({**VAR_ONLY, "var_required": True}, FUT=0.02)
        assert codes(other.order("BUY", 1, "CALL")) == ["VAR_UNAVAILABLE"]

    def test_an_explanation_has_it_too(self) -> None:
        found = desk()
        found.order("BUY", 100, "CALL")
        state = FirmState()
        for seq, event in enumerate(found.journal, start=1):
            if isinstance(event.body, Decided):
                shown = explain(state, event.body, seq)
                assert shown.agrees
                (tail,) = [each for each in shown.checks if each.name == "value at risk"]
                expected = independently(100 * DELTA_MONEY)[0] / 100_000
                assert (tail.passed, tail.value) == (False, pytest.approx(expected, abs=1e-12))
                return
            evolve(state, event, seq)
        raise AssertionError


class TestMethods:
    def test_parts_sum_to_the_whole_and_nothing_is_unmeasured(self) -> None:
        found = desk({**VAR_ONLY, "max_var_fraction": None})
        found.trade("BUY", 300, 100)
        found.trade("BUY", 2, 3, "CALL")
        found.trade("BUY", "0.1", 50_000, "COIN")
        inputs = tail_inputs(found.state, found.account)
        shown = value_at_risk(inputs, START)
        assert shown.unmeasured == ["COIN"]
        parts = {each.symbol: each for each in shown.contributions}
        assert {symbol: each.exposure for symbol, each in parts.items()} == {"CALL": 10_000, "STOCK": 30_000}
        book = book_of(found.state, found.account)
        assert book is not None
        assert book.exposures == {"STOCK": 40_000.0}
        assert shown.methods == every_method(book)
        whole = next(each for each in shown.methods if each.method == "historical")
        assert whole.value_at_risk == pytest.approx(
            independently(40_000)[0] / (found.account.equity / SCALE), abs=1e-12
        )
        summed = sum(each.component_value_at_risk for each in parts.values())
        assert summed == pytest.approx(whole.value_at_risk, abs=1e-12)
        assert parts["CALL"].component_value_at_risk == pytest.approx(whole.value_at_risk / 4, abs=1e-12)
        summed = sum(each.component_expected_shortfall for each in parts.values())
        assert summed == pytest.approx(whole.expected_shortfall, abs=1e-12)


def test_kept_up_to_date_it_is_what_summing_up_anew_gives() -> None:
    found = desk({**VAR_ONLY, "max_var_fraction": 1.0})
    returns = ({"STOCK": 0.02}, {"STOCK": 0.02, "CALL": 0.3}, {"FUT": 0.01}, {"STOCK": 0.01, "FUT": 0.01})
    rows = set()
    for number in range(800):
        symbol = ("STOCK", "CALL", "CALL", "COIN")[number % 4]
        side = "BUY" if number % 3 else "SELL"
        size = "0.01" if symbol == "COIN" else 1 + number % 5
        decision = found.order(side, size, symbol)
        if number % 7 == 0 and decision.decision == "APPROVED":
            found.fill(decision, "0.005" if symbol == "COIN" else 1, 50_000 if symbol == "COIN" else 3)
        if number % 50 == 0:
            found.later(1)
            found.mark(STOCK=100 + number % 4, COIN=50_000)
            mark_call(found, 3 + number % 3, Decimal(number % 19 - 9) / 10)
        if number % 90 == 89:
            found.send(SetScenarios(scenarios(**returns[number // 90 % 4]), "ada"))
        if number % 200 == 150:
            named = CALL.model_copy(update={"sector": f"s{number}"})
            found.send(SetInstruments((named,), "ada"))
        scenes, positions = found.state.scenarios, found.account.positions
        assert scenes is not None
        kept = reserved_pnl(scenes, positions, found.account.tail)
        assert np.abs(kept - worst(found)).max() < 1e-9
        current = {row: money for row, money in recomputed(found).items() if money}
        assert {row: money for row, money in current_exposures(positions).items() if money} == pytest.approx(current)
        rows |= {(each.terms.symbol, each.row) for each in positions.values()}
        if number % 100 == 0:
            again = read(write(found.state)).accounts["main"].positions
            assert {each: (held.row, held.moves) for each, held in again.items()} == {
                each: (held.row, held.moves) for each, held in positions.items()
            }
    assert {("CALL", "STOCK"), ("CALL", "CALL"), ("CALL", None), ("STOCK", None), ("COIN", None)} <= rows
