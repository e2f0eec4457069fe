"""Books that are wide, and those that are only some steps of price."""

import numpy as np
import pytest

from services.marketdata.core.market_events import EventSeries, judge_books

pytestmark = pytest.mark.unit


def wide(price: float, spread: float, one: float) -> list[str]:
    """Return what is said of the last of fifty books whose spread is another one."""
    spreads = np.full(50, spread)
    spreads[-1] = one
    bid, ask = price - spreads / 2, price + spreads / 2
    flags = judge_books(EventSeries(np.arange(50)), bid, ask, bid, np.zeros(50))
    assert set(flags.issues) <= {49}
    return [issue.severity.value for issue in flags.issues.get(49, []) if issue.code == "spread_wide"]


@pytest.mark.parametrize(
    ("spread", "one", "severity"),
    [
        # Nine, ten and sixty times a hundredth of 100.
        (0.01, 0.09, []),
        (0.01, 0.1, ["warning"]),
        (0.01, 0.6, ["critical"]),
        # Fifteen and ninety steps of a thousandth of a basis point: below one, and above.
        (0.0001, 0.0015, []),
        (0.0001, 0.009, []),
        (0.0001, 0.011, ["critical"]),
    ],
)
def test_a_book_is_wide_beside_the_others_and_by_a_basis_point_at_least(
    spread: float, one: float, severity: list[str]
) -> None:
    assert wide(100.0, spread, one * 1.0001) == severity


def test_of_few_books_nothing_is_said() -> None:
    bid, ask = np.full(19, 100.0), np.full(19, 100.01)
    ask[-1] = 120.0
    flags = judge_books(EventSeries(np.arange(19)), bid, ask, bid, np.zeros(19))
    assert [issue.code for issue in flags.issues[18]] == ["price_outlier"]


def test_books_without_a_side_are_left_out() -> None:
    bid, ask = np.full(50, 100.0), np.full(50, 100.01)
    bid[:10], ask[10:15], ask[-1] = np.nan, np.nan, 101.0
    flags = judge_books(EventSeries(np.arange(50)), bid, ask, np.fmin(bid, ask), np.zeros(50))
    assert {place: [issue.code for issue in issues] for place, issues in flags.issues.items()} == {49: ["spread_wide"]}
