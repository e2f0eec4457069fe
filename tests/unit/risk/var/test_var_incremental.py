"""What a change in one position does, against everything computed again."""

from typing import Any

import numpy as np
import pytest

from services.risk.core.var.historical import historical
from services.risk.core.var.incremental import ReturnMatrix, incremental
from tests.unit.risk.var.samples import EQUITY, returns

pytestmark = pytest.mark.unit
SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
EXPOSURES = {"AAA": 300_000.0, "BBB": -120_000.0, "DDD": 80_000.0}


@pytest.fixture
def matrix() -> ReturnMatrix:
    return ReturnMatrix(SYMBOLS, returns())


class TestReturnMatrix:
    def test_holds_the_scenarios_of_a_symbol_side_by_side(self, matrix: ReturnMatrix) -> None:
        history = returns()
        for column, symbol in enumerate(SYMBOLS):
            vector = matrix.vector(symbol)
            assert vector.flags.c_contiguous
            assert vector.strides == (8,)
            assert (vector == history[:, column]).all()
        assert (matrix.scenarios, matrix.symbols) == (500, SYMBOLS)

    def test_is_a_copy_that_cannot_be_written_to(self) -> None:
        history = returns()
        matrix = ReturnMatrix(SYMBOLS, history)
        history[:] = 0
        assert matrix.vector("AAA").any()
        for array in (matrix.rows, matrix.vector("AAA")):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1

    def test_sums_every_exposure(self, matrix: ReturnMatrix) -> None:
        expected = returns() @ np.array([300_000.0, -120_000.0, 0.0, 80_000.0])
        assert matrix.scenario_pnl(EXPOSURES) == pytest.approx(expected, abs=1e-9)
        assert not matrix.scenario_pnl({}).any()

    def test_sums_to_the_same_bits_in_any_order(self, matrix: ReturnMatrix) -> None:
        backwards = dict(reversed(EXPOSURES.items()))
        assert (matrix.scenario_pnl(EXPOSURES) == matrix.scenario_pnl(backwards)).all()
        by_hand = [(0.0 + 300_000.0 * a) + -120_000.0 * b + 80_000.0 * d for a, b, _, d in returns().tolist()]
        assert matrix.scenario_pnl(EXPOSURES).tolist() == by_hand

    def test_shifts_without_touching_the_base(self, matrix: ReturnMatrix) -> None:
        base = matrix.scenario_pnl(EXPOSURES)
        base.flags.writeable = False
        after = matrix.shifted(base, "CCC", 50_000.0)
        assert after == pytest.approx(matrix.scenario_pnl({**EXPOSURES, "CCC": 50_000.0}), abs=1e-9)

    @pytest.mark.parametrize(
        ("symbols", "history", "message"),
        [
            (("A", "B"), np.ones((5, 3)), "2 symbols do not go with 3 columns"),
            (("A", "A"), np.ones((5, 2)), "a symbol is there twice"),
            (("A", "B"), np.array([[0.1, 0.2], [0.3, np.nan]]), "returns holds nan at position 3"),
            (("A", "B"), np.array([[0.1, np.inf], [0.3, 0.4]]), "returns holds inf at position 1"),
            (("A",), np.array([[1e61]]), "returns holds numbers beyond"),
            ((), np.empty((5, 0)), "returns is empty"),
            (("A",), np.empty((0, 1)), "returns is empty"),
            (("A",), np.ones(5), "must be a two-dimensional float64 array"),
            (("A",), np.ones((5, 1), dtype=int), "must be a two-dimensional float64 array"),
        ],
    )
    def test_refuses_what_is_no_matrix_of_returns(self, symbols: tuple[str, ...], history: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            ReturnMatrix(symbols, history)

    def test_refuses_a_symbol_without_returns(self, matrix: ReturnMatrix) -> None:
        base = matrix.scenario_pnl(EXPOSURES)
        with pytest.raises(ValueError, match="there are no returns of ZZZ"):
            matrix.vector("ZZZ")
        # Even where nothing is held of it: what is asked of is a mistake.
        with pytest.raises(ValueError, match="there are no returns of ZZZ"):
            matrix.scenario_pnl({**EXPOSURES, "ZZZ": 0.0})
        with pytest.raises(ValueError, match="there are no returns of ZZZ"):
            incremental(matrix, base, "ZZZ", 1.0, EQUITY, 0.99)

    @pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 1e61])
    def test_refuses_exposures_that_are_no_numbers(self, matrix: ReturnMatrix, bad: float) -> None:
        with pytest.raises(ValueError, match="the change in exposure to BBB must be finite"):
            matrix.scenario_pnl({"AAA": 1.0, "BBB": bad})
        with pytest.raises(ValueError, match="the change in exposure to BBB must be finite"):
            incremental(matrix, matrix.scenario_pnl({}), "BBB", bad, EQUITY, 0.99)

    @pytest.mark.parametrize("shape", [(1,), (499,), (501,), (1, 500), (500, 1)])
    def test_refuses_a_base_of_another_shape(self, matrix: ReturnMatrix, shape: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match="the base has the shape"):
            incremental(matrix, np.zeros(shape), "AAA", 1.0, EQUITY, 0.99)


class TestIncremental:
    @pytest.mark.parametrize("symbol", SYMBOLS)
    @pytest.mark.parametrize("change", [-1e6, -300_000.0, -1.0, 0.0, 0.01, 120_000.0, 1e7])
    @pytest.mark.parametrize("days", [1, 10])
    def test_is_everything_computed_again(self, matrix: ReturnMatrix, symbol: str, change: float, days: int) -> None:
        found = incremental(matrix, matrix.scenario_pnl(EXPOSURES), symbol, change, EQUITY, 0.99, days)
        exposures = {**EXPOSURES, symbol: EXPOSURES.get(symbol, 0.0) + change}
        weights = np.array([exposures.get(each, 0.0) for each in SYMBOLS])
        expected = historical(returns() @ weights, EQUITY, 0.99, days)
        assert found.value_at_risk == pytest.approx(expected.value_at_risk, abs=1e-9, rel=1e-12)
        assert found.expected_shortfall == pytest.approx(expected.expected_shortfall, abs=1e-9, rel=1e-12)
        assert (found.method, found.confidence, found.horizon_days, found.observations, found.approximation) == (
            expected.method, expected.confidence, expected.horizon_days, expected.observations, expected.approximation
        )  # fmt: skip

    def test_leaves_the_base_as_it_is(self, matrix: ReturnMatrix) -> None:
        base = matrix.scenario_pnl(EXPOSURES)
        before = base.copy()
        incremental(matrix, base, "AAA", 5e5, EQUITY, 0.99)
        assert (base == before).all()

    def test_of_a_hedge_is_less(self, matrix: ReturnMatrix) -> None:
        base = matrix.scenario_pnl({"AAA": 500_000.0})
        hedged = incremental(matrix, base, "BBB", -250_000.0, EQUITY, 0.99)
        assert hedged.expected_shortfall < historical(base, EQUITY, 0.99).expected_shortfall

    def test_ten_thousand_changes_do_not_drift(self, matrix: ReturnMatrix) -> None:
        rng = np.random.default_rng(9)
        exposures = dict.fromkeys(SYMBOLS, 0.0)
        base = matrix.scenario_pnl({})
        for _ in range(10_000):
            symbol, change = SYMBOLS[rng.integers(4)], round(float(rng.normal() * 50_000), 2)
            base = matrix.shifted(base, symbol, change)
            exposures[symbol] += change
        assert base == pytest.approx(matrix.scenario_pnl(exposures), abs=1e-12 * 10_000 * 50_000)
        found, again = (historical(pnl, EQUITY, 0.99) for pnl in (base, matrix.scenario_pnl(exposures)))
        assert found.value_at_risk == pytest.approx(again.value_at_risk, abs=1e-9)
        assert found.expected_shortfall == pytest.approx(again.expected_shortfall, abs=1e-9)

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_refuses_a_base_that_is_not_finite(self, matrix: ReturnMatrix, bad: float) -> None:
        base = matrix.scenario_pnl(EXPOSURES)
        base[3] = bad
        with pytest.raises(ValueError, match=f"scenario P&L holds {bad} at position 3"):
            incremental(matrix, base, "AAA", 1.0, EQUITY, 0.99)

    def test_refuses_confidence_equity_and_horizon_out_of_range(self, matrix: ReturnMatrix) -> None:
        base = matrix.scenario_pnl(EXPOSURES)
        for equity, confidence, days, message in (
            (EQUITY, 1.0, 1, "confidence must"),
            (EQUITY, 0.999, 1, "500 observations are too few"),
            (0.0, 0.99, 1, "equity must"),
            (EQUITY, 0.99, 0, "horizon_days must"),
        ):
            with pytest.raises(ValueError, match=message):
                incremental(matrix, base, "AAA", 1.0, equity, confidence, days)
