"""The parts of each symbol against differences of the whole, and their sum."""

import numpy as np
import pytest

from services.risk.core.var.contributions import breakdown
from services.risk.core.var.historical import historical
from services.risk.core.var.incremental import ReturnMatrix, incremental
from tests.unit.risk.var.samples import CONFIDENCES, EQUITY, returns

pytestmark = pytest.mark.unit
SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
EXPOSURES = {"DDD": 80_000.0, "AAA": 300_000.0, "BBB": -120_000.0, "CCC": 0.0}


@pytest.fixture
def matrix() -> ReturnMatrix:
    return ReturnMatrix(SYMBOLS, returns())


@pytest.mark.parametrize("confidence", CONFIDENCES)
@pytest.mark.parametrize("days", [1, 10])
@pytest.mark.parametrize("scenarios", [250, 333, 500])
def test_the_parts_sum_to_the_whole(scenarios: int, confidence: float, days: int) -> None:
    matrix = ReturnMatrix(SYMBOLS, returns(scenarios))
    found = breakdown(matrix, EXPOSURES, EQUITY, confidence, days)
    assert found.total == historical(matrix.scenario_pnl(EXPOSURES), EQUITY, confidence, days)
    parts = found.contributions
    assert sum(each.component_value_at_risk for each in parts) == pytest.approx(found.total.value_at_risk, rel=1e-12)
    assert sum(each.component_expected_shortfall for each in parts) == pytest.approx(
        found.total.expected_shortfall, rel=1e-12
    )
    assert [(each.symbol, each.exposure) for each in parts] == list(EXPOSURES.items())


@pytest.mark.parametrize("days", [1, 10])
def test_the_marginals_are_the_derivatives(matrix: ReturnMatrix, days: int) -> None:
    """Both figures are piecewise linear in the exposures, so a small step finds the slope."""
    base = matrix.scenario_pnl(EXPOSURES)
    for part in breakdown(matrix, EXPOSURES, EQUITY, 0.99, days).contributions:
        more, less = (incremental(matrix, base, part.symbol, step, EQUITY, 0.99, days) for step in (0.5, -0.5))
        assert (more.value_at_risk - less.value_at_risk) * EQUITY == pytest.approx(
            part.marginal_value_at_risk, abs=1e-7
        )
        assert (more.expected_shortfall - less.expected_shortfall) * EQUITY == pytest.approx(
            part.marginal_expected_shortfall, abs=1e-7
        )
        assert part.component_expected_shortfall == pytest.approx(
            part.exposure * part.marginal_expected_shortfall / EQUITY, rel=1e-12
        )


def test_a_symbol_without_exposure_has_a_marginal_and_no_part(matrix: ReturnMatrix) -> None:
    part = breakdown(matrix, EXPOSURES, EQUITY, 0.99).contributions[-1]
    assert part.symbol == "CCC"
    assert part.component_expected_shortfall == part.component_value_at_risk == 0
    assert part.marginal_expected_shortfall != 0


def test_a_hedge_has_a_negative_part(matrix: ReturnMatrix) -> None:
    parts = breakdown(matrix, {"AAA": 500_000.0, "BBB": -80_000.0}, EQUITY, 0.99).contributions
    assert parts[0].component_expected_shortfall > 0 > parts[1].component_expected_shortfall


def test_four_scenarios_by_hand() -> None:
    history = np.array([[-0.10, 0.02], [-0.02, -0.06], [0.01, 0.01], [0.03, -0.01]])
    matrix = ReturnMatrix(("A", "B"), history)
    # P&L: -8, -8, 2, 2. The tail of 0.625 is the first scenario and half of the second.
    found = breakdown(matrix, {"A": 100.0, "B": 100.0}, 1_000.0, 0.625)
    first, second = found.contributions
    assert found.total.expected_shortfall == pytest.approx(0.008)
    assert first.marginal_expected_shortfall == pytest.approx((0.10 + 0.02 / 2) / 1.5)
    assert second.marginal_expected_shortfall == pytest.approx((-0.02 + 0.06 / 2) / 1.5)
    assert first.component_value_at_risk == pytest.approx(0.002)
    assert second.component_value_at_risk == pytest.approx(0.006)


def test_of_scenarios_alike_the_earlier_is_the_worse() -> None:
    """Or the parts would depend on how a processor sorts."""
    history = np.zeros((400, 2))
    # Each of forty loses 12.5 in all, the later ones more by A.
    worst = np.arange(40) * 9 + 5
    history[worst, 0] = -np.arange(40) / 256
    history[worst, 1] = np.arange(40) / 256 - 0.125
    found = breakdown(ReturnMatrix(("A", "B"), history), {"A": 100.0, "B": 100.0}, 1_000.0, 0.99)
    assert found.total.value_at_risk == 0.0125
    # The first four are the tail, and the fourth is the quantile.
    assert [each.marginal_value_at_risk for each in found.contributions] == [3 / 256, 0.125 - 3 / 256]
    assert [each.marginal_expected_shortfall for each in found.contributions] == [1.5 / 256, 0.125 - 1.5 / 256]


def test_where_the_tail_earns_the_parts_sum_to_the_gain() -> None:
    matrix = ReturnMatrix(("A",), np.linspace(0.01, 0.02, 100)[:, None])
    found = breakdown(matrix, {"A": 1_000.0}, 1_000.0, 0.99)
    assert found.total.expected_shortfall == 0
    assert found.contributions[0].component_expected_shortfall == pytest.approx(-0.01)


def test_refuses_what_has_no_parts(matrix: ReturnMatrix) -> None:
    with pytest.raises(ValueError, match="there are no exposures"):
        breakdown(matrix, {}, EQUITY, 0.99)
    with pytest.raises(ValueError, match="there are no returns of ZZZ"):
        breakdown(matrix, {"ZZZ": 1.0}, EQUITY, 0.99)
    with pytest.raises(ValueError, match="must be finite"):
        breakdown(matrix, {"AAA": float("nan")}, EQUITY, 0.99)
    with pytest.raises(ValueError, match="equity must"):
        breakdown(matrix, EXPOSURES, float("nan"), 0.99)
    with pytest.raises(ValueError, match="confidence must"):
        breakdown(matrix, EXPOSURES, EQUITY, 1.0)
