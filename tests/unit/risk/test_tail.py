"""VaR and ES of the portfolio with the order, and explanations of decisions."""

from datetime import UTC
from itertools import product
from typing import Any

import numpy as np
import pytest

from services.risk.core.bodies import Decided
from services.risk.core.book import book_of
from services.risk.core.chain import Tip, event_of, link
from services.risk.core.commands import SetScenarios
from services.risk.core.evolve import evolve
from services.risk.core.explain import explain
from services.risk.core.outcome import RefusalKind, Refused
from services.risk.core.scenarios import exposure, reserved_pnl
from services.risk.core.state import FirmState
from services.risk.core.tail_methods import every_method
from services.risk.core.views import account_status
from shared.schemas.instruments import ScenarioSet
from tests.unit.risk.desk import START, Desk, codes, wide

pytestmark = pytest.mark.unit


def scenarios(count: int = 200, **volatilities: float) -> ScenarioSet:
    """Return normal returns, drawn from a seed; a negative volatility moves against the others."""
    common = np.random.default_rng(7).normal(size=count)
    return ScenarioSet(name="drawn", returns={symbol: list(common * each) for symbol, each in volatilities.items()})


def desk(**limits: Any) -> Desk:
    found = Desk(wide(**limits))
    found.send(SetScenarios(scenarios(STOCK=0.02, FUT=0.02), "ada"))
    return found


def independently(money: float, confidence: float = 0.99) -> tuple[float, float]:
    """Return VaR and ES of so much in STOCK, by sorting."""
    losses = np.sort(-money * np.array(scenarios(STOCK=0.02).returns["STOCK"]))[::-1]
    size = round(len(losses) * (1 - confidence))
    return float(losses[size - 1]), float(losses[:size].mean())


class TestLimits:
    def test_an_order_is_measured_with_what_is_held_and_open(self) -> None:
        found = desk(max_var_fraction=0.02, max_expected_shortfall_fraction=None)
        value_at_risk, _ = independently(40_000)
        assert value_at_risk < 2_000
        assert codes(found.order(quantity=400)) == []
        most = int(2_000 / independently(1)[0] / 100)
        denied = found.order(quantity=most - 400 + 1)
        assert codes(denied) == ["VAR_LIMIT"]
        assert denied.max_quantity == most - 400
        assert denied.reasons[0].value == pytest.approx(independently((most + 1) * 100)[0] / 100_000, abs=1e-12)
        assert denied.reasons[0].measured == pytest.approx(value_at_risk / 100_000, abs=1e-12)
        status = account_status(found.state, found.account)
        (used,) = [each for each in status.utilisations if each.name == "value_at_risk"]
        assert used.value == pytest.approx(value_at_risk / 100_000, abs=1e-12)
        # Nothing is held yet.
        assert status.tail_risk == []

    def test_expected_shortfall_has_a_limit_of_its_own(self) -> None:
        found = desk(max_var_fraction=None, max_expected_shortfall_fraction=0.02)
        most = int(2_000 / independently(1)[1] / 100)
        assert codes(found.order(quantity=most)) == []
        assert codes(found.order(quantity=1)) == ["EXPECTED_SHORTFALL_LIMIT"]

    def test_a_hedge_makes_room_once_it_is_held(self) -> None:
        found = desk(max_var_fraction=0.02, max_expected_shortfall_fraction=None, max_position_fraction=10)
        most = int(2_000 / independently(1)[0] / 100)
        found.trade("BUY", most, 100)
        assert "VAR_LIMIT" in codes(found.order(quantity=10))
        # FUT moves as STOCK does: one contract short at 400 is 20,000.
        found.mark(FUT=400)
        found.mark(STOCK=100)
        found.trade("SELL", 1, 400, symbol="FUT")
        assert codes(found.order(quantity=10)) == []

    def test_a_hedge_that_rests_makes_none(self) -> None:
        found = desk(max_var_fraction=0.02, max_expected_shortfall_fraction=None, max_position_fraction=10)
        most = int(2_000 / independently(1)[0] / 100)
        found.trade("BUY", most, 100)
        found.mark(FUT=400)
        found.mark(STOCK=100)
        resting = found.order("SELL", 1, symbol="FUT", order_type="LIMIT", limit_price="440")
        assert codes(resting) == [], "alone it worsens nothing that counts in a tail of falling prices"
        assert "VAR_LIMIT" in codes(found.order(quantity=10))
        found.fill(resting, 1, 440)
        assert codes(found.order(quantity=10)) == []

    def test_an_open_order_counts_wherever_it_loses(self) -> None:
        """In every scenario the worst of all that may be filled: checked against every subset of the open orders."""
        found = desk(max_var_fraction=10.0, max_expected_shortfall_fraction=None)
        found.send(SetScenarios(scenarios(STOCK=0.02, FUT=-0.01, COIN=0.03), "ada"))
        found.trade("BUY", 50, 100)
        found.trade("SELL", 1, 4_000, symbol="FUT")
        for side, quantity, symbol in (
            ("BUY", 30, "STOCK"),
            ("SELL", 20, "STOCK"),
            ("BUY", 3, "FUT"),
            ("SELL", "0.02", "COIN"),
        ):
            assert codes(found.order(side, quantity, symbol)) == []
        scenes, positions = found.state.scenarios, found.account.positions
        assert scenes is not None
        kept = reserved_pnl(scenes, positions, found.account.tail)
        ends = [{each.quantity, each.highest, each.reserved} for each in positions.values()]
        for chosen in product(*ends):
            filled = sum(
                exposure(each, quantity) * scenes.matrix.vector(str(each.row))
                for each, quantity in zip(positions.values(), chosen, strict=True)
            )
            assert (kept <= filled + 1e-9).all(), chosen

    def test_what_reduces_passes_though_the_limit_is_broken(self) -> None:
        found = desk(max_var_fraction=0.02, max_expected_shortfall_fraction=None)
        found.trade("BUY", 300, 100)
        found.send(SetScenarios(scenarios(STOCK=0.2, FUT=0.02), "ada"))
        assert "VAR_LIMIT" in codes(found.order("BUY", 1))
        assert codes(found.order("SELL", 1)) == []

    def test_without_scenarios_it_is_left_unmeasured_unless_it_is_required(self) -> None:
        assert codes(desk(max_var_fraction=0.0001).order(quantity="0.01", symbol="COIN")) == []
        strict = desk(max_var_fraction=0.0001, var_required=True)
        assert codes(strict.order(quantity="0.01", symbol="COIN")) == ["VAR_UNAVAILABLE"]
        bare = Desk(wide(var_required=True))
        assert codes(bare.order()) == ["VAR_UNAVAILABLE"]

    def test_too_few_scenarios_for_a_confidence_measure_nothing(self) -> None:
        found = Desk(wide(max_var_fraction=0.0001, max_expected_shortfall_fraction=None, var_confidence=0.999))
        found.send(SetScenarios(scenarios(200, STOCK=0.02), "ada"))
        assert codes(found.order()) == []
        assert account_status(found.state, found.account).tail_risk == []


class TestScenarios:
    def test_kept_up_to_date_it_is_what_summing_up_anew_gives(self) -> None:
        found = desk(max_var_fraction=1.0)
        for number in range(700):
            side = "BUY" if number % 3 else "SELL"
            decision = found.order(side, 1 + number % 5)
            if number % 7 == 0:
                found.fill(decision, 1, 100)
            if number % 50 == 0:
                found.mark(STOCK=100 + number % 4)
        held, scenes = found.account.positions["STOCK"], found.state.scenarios
        assert scenes is not None
        kept = reserved_pnl(scenes, found.account.positions, found.account.tail)
        returns = scenes.matrix.vector("STOCK")
        expected = np.minimum(exposure(held, held.quantity) * returns, exposure(held, held.reserved) * returns)
        assert np.abs(kept - expected).max() < 1e-9

    @pytest.mark.parametrize(
        "returns",
        [{"STOCK": [0.1] * 30, "FUT": [0.1] * 31}, {"STOCK": [0.1] * 19}],
        ids=["not as many of each", "too few"],
    )
    def test_what_is_no_set_is_refused(self, returns: dict[str, list[float]]) -> None:
        outcome = Desk().send(SetScenarios(ScenarioSet(name="x", returns=returns), "ada"))
        assert isinstance(outcome, Refused)
        assert outcome.kind is RefusalKind.INVALID

    def test_the_same_again_gives_no_event(self) -> None:
        found = desk()
        assert found.send(SetScenarios(scenarios(STOCK=0.02, FUT=0.02), "ada")) == ()


class TestMethods:
    def test_each_is_near_the_others_where_returns_are_normal(self) -> None:
        found = Desk(wide())
        found.send(SetScenarios(scenarios(2_000, STOCK=0.02, FUT=0.01), "ada"))
        found.trade("BUY", 300, 100)
        book = book_of(found.state, found.account)
        assert book is not None
        shown = {each.method: each for each in every_method(book)}
        assert set(shown) == {"historical", "normal", "ewma", "cornish_fisher", "monte_carlo"}
        # 30 % of the equity at 2 % a day, 2.33 deviations away.
        for method in ("historical", "normal", "cornish_fisher", "monte_carlo"):
            assert shown[method].value_at_risk == pytest.approx(0.3 * 0.02 * 2.326, rel=0.1)
        assert all(each.expected_shortfall >= each.value_at_risk for each in shown.values())
        assert every_method(book) == every_method(book)

    def test_without_positions_or_scenarios_there_is_none(self) -> None:
        assert book_of(desk().state, desk().account) is None
        bare = Desk(wide())
        bare.trade("BUY", 300, 100)
        assert book_of(bare.state, bare.account) is None


class TestExplain:
    def explained(self, found: Desk, order_id: str) -> Any:
        """Explain a decision from its journal alone."""
        tip, state = Tip(), FirmState()
        for event in found.journal:
            row = link(tip, event, START.astimezone(UTC), 1)
            tip, read = Tip(row.seq, row.hash), event_of(row)
            if isinstance(read.body, Decided) and read.body.order.client_order_id == order_id:
                return explain(state, read.body, row.seq)
            evolve(state, read, row.seq)
        raise AssertionError(order_id)

    def test_every_check_is_shown_with_its_figures(self) -> None:
        found = desk(max_position_fraction=0.1, max_var_fraction=0.02)
        found.order(quantity=60)
        denied = found.order(quantity=50, order_type="LIMIT", limit_price="100.001")
        found.order(quantity=1)
        shown = self.explained(found, denied.client_order_id)
        assert shown.agrees
        assert shown.decision.decision == "DENIED"
        failed = {each.name: each for each in shown.checks if not each.passed}
        assert set(failed) == {"tick_size", "collar", "position in the symbol"}
        position = failed["position in the symbol"]
        assert (position.measured, position.limit) == pytest.approx((0.06, 0.1))
        assert position.value == pytest.approx(0.11, rel=1e-4)
        assert {"kill_switch", "message_rate", "self_match", "gross exposure", "value at risk"} <= {
            each.name for each in shown.checks
        }
        # The account as it was: without the order after it.
        assert shown.account.open_orders == 1

    def test_an_approval_is_explained_too(self) -> None:
        found = desk()
        approved = found.order()
        shown = self.explained(found, approved.client_order_id)
        assert shown.agrees
        assert all(each.passed for each in shown.checks)

    @pytest.mark.parametrize("symbol", ["NOPE", "EURO"])
    def test_so_is_what_could_not_be_measured(self, symbol: str) -> None:
        found = Desk()
        denied = found.order(symbol=symbol)
        shown = self.explained(found, denied.client_order_id)
        assert shown.agrees
        assert [each.code for each in shown.checks if not each.passed] == [denied.reasons[0].code]
