"""Counts of a run, and where reporting's differ from them."""

from collections import Counter
from decimal import Decimal

import pytest

from cli.replay.counts import Tally, differences, equity_differences, holds_more, total
from shared.schemas.marketdata import FeedStatus
from shared.schemas.reporting import Counts
from tests.unit.cli.recording import dataset
from tests.unit.cli.statuses import account_status

pytestmark = pytest.mark.unit


def tally() -> Tally:
    return Tally(
        bars=10,
        approved=2,
        denied=1,
        denied_by_reason=Counter({"MARK_STALE": 1}),
        fills=2,
        day_rollups=1,
        realised_pnl={"USD": Decimal("1.50"), "INR": Decimal(0)},
        fees={"USD": Decimal("0.10")},
    )


def ledger(**changes: object) -> Counts:
    values = {
        "simulation_id": "s",
        "approved": 2,
        "denied": 1,
        "denied_by_reason": {"MARK_STALE": 1},
        "trades": 2,
        "realised_pnl": {"USD": "1.5"},
        "fees": {"USD": "0.1"},
        "rollups": 1,
    }
    return Counts.model_validate({**values, **changes})


def test_the_same_figures_written_otherwise_are_no_difference() -> None:
    assert differences(tally(), ledger()) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"approved": 3}, "approved: sent 2, reporting has 3"),
        ({"denied": 0}, "denied: sent 1, reporting has 0"),
        ({"denied_by_reason": {}}, "denied by reason: sent {'MARK_STALE': 1}, reporting has {}"),
        ({"trades": 1}, "trades: sent 2, reporting has 1"),
        ({"rollups": 2}, "day roll-ups: sent 1, reporting has 2"),
        ({"realised_pnl": {"USD": "1.4"}}, "realised P&L: sent {'USD': '1.5'}, reporting has {'USD': '1.4'}"),
        ({"fees": {}}, "fees: sent {'USD': '0.1'}, reporting has {}"),
    ],
)
def test_each_figure_that_differs_is_named(change: dict[str, object], told: str) -> None:
    assert differences(tally(), ledger(**change)) == [told]


def test_the_total_is_the_sum_of_the_accounts() -> None:
    summed = total([tally(), tally(), Tally(fees={"INR": Decimal(3)})])
    assert (summed.bars, summed.denied_by_reason, summed.fees) == (
        20,
        {"MARK_STALE": 2},
        {"USD": Decimal("0.20"), "INR": Decimal(3)},
    )
    assert total([]) == Tally()


def test_equity_differs_beyond_a_cent() -> None:
    held = {"s.usd": account_status("s.usd", equity="100.005")}
    assert equity_differences({"s.usd": Decimal(100)}, held) == []
    assert equity_differences({"s.usd": Decimal(101)}, held) == ["equity of s.usd: 101 by its fills, risk has 100.005"]


def feed(source: str, symbols: int = 1) -> FeedStatus:
    values = {"source": source, "symbols": symbols, "rows": 9, "critical": 0, "warning": 0}
    return FeedStatus.model_validate({**values, "last_ts_event": None, "last_ts_init": None})


@pytest.mark.parametrize(
    ("feeds", "more"),
    [([], False), ([feed("test")], False), ([feed("test", 2)], True), ([feed("test"), feed("another")], True)],
)
def test_a_simulation_that_was_fed_more_is_known_by_its_feeds(feeds: list[FeedStatus], more: bool) -> None:
    assert holds_more([dataset([]), dataset([], name="aaa-5m")], feeds) is more
    assert not holds_more([dataset([]), dataset([], symbol="BBB")], feeds[:1])
