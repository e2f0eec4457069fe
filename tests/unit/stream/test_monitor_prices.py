"""What the monitor says of prices, spreads and quantities."""

import pytest

from services.marketdata.core.stream.messages import Side
from tests.unit.stream.made import (
    BEGAN,
    ENDED,
    START_MS,
    quote,
    snapshot,
    told,
    trade,
    trades,
    update,
    watching,
    with_one,
)

pytestmark = pytest.mark.unit


def test_a_crossed_quote_is_told_once_while_it_lasts_and_ends_after_it() -> None:
    messages = [quote(n, bid=100.2) if 100 <= n < 140 else quote(n) for n in range(200)]
    monitor = watching()
    changes = [t for m in messages for t in monitor.observe(m).transitions]
    assert [(t.change, t.standing.issue.code, t.standing.messages) for t in changes] == [
        (BEGAN, "quote_crossed", 1),
        (ENDED, "quote_crossed", 40),
    ]
    assert changes[0].at_ns == messages[100].received_ns
    assert changes[1].at_ns == messages[149].received_ns


def test_every_crossed_quote_carries_its_own_finding() -> None:
    monitor = watching()
    outcomes = [monitor.observe(quote(n, bid=100.2)) for n in range(5)]
    assert [[issue.code for issue in o.findings] for o in outcomes] == [["quote_crossed"]] * 5


def test_locked_quotes_are_found_by_their_share() -> None:
    few = [quote(n, bid=100.1) if n % 200 == 0 else quote(n) for n in range(3_000)]
    assert told(few) == []
    many = [quote(n, bid=100.1) if n % 50 == 0 else quote(n) for n in range(3_000)]
    assert told(many) == [(450, BEGAN, "quote_locked", "warning")]


@pytest.mark.parametrize(("spread", "severity"), [(0.9, None), (1.1, "warning"), (5.1, "critical")])
def test_a_spread_is_wide_against_the_median_of_the_day(spread: float, severity: str | None) -> None:
    # The mid stays where it is; the median spread is 0.1 of 100, ten basis points.
    wide = quote(500, bid=100.05 - spread / 2, ask=100.05 + spread / 2)
    found = [c for c in told(with_one((quote(n) for n in range(600)), 500, wide)) if c[1] is BEGAN]
    assert found == ([(500, BEGAN, "spread_wide", severity)] if severity else [])


def test_a_spread_of_a_few_basis_points_is_not_wide_however_tight_the_median() -> None:
    tight = [quote(n, bid=61_800.0, ask=61_800.1) for n in range(600)]
    assert told(with_one(tight, 500, quote(500, bid=61_788.0, ask=61_812.0))) == []
    assert told(with_one(tight, 500, quote(500, bid=61_700.0, ask=61_900.0)))[0][2:] == ("spread_wide", "warning")


def test_the_first_quotes_of_a_day_are_measured_against_the_day_before() -> None:
    midnight = 86_400 - (START_MS // 1_000) % 86_400
    messages = [quote(n) for n in range(midnight - 300, midnight + 10)]
    messages[305] = quote(midnight + 5, bid=98.0, ask=102.1)
    assert [c[:3] for c in told(messages) if c[1] is BEGAN] == [(305, BEGAN, "spread_wide")]
    assert told([quote(n, bid=98.0, ask=102.1) if n == 5 else quote(n) for n in range(10)]) == []


def test_the_median_is_that_of_the_day_alone() -> None:
    midnight = 86_400 - (START_MS // 1_000) % 86_400
    before = [quote(n) for n in range(midnight - 400, midnight)]
    today = [quote(n, bid=99.8, ask=100.3) for n in range(midnight, midnight + 150)]
    wide = quote(midnight + 150, bid=98.0, ask=102.1)
    assert told([*before, *today, wide]) == []
    assert told([*before, wide])[0][2] == "spread_wide"


@pytest.mark.parametrize(
    ("price", "severity"), [(100.59, None), (100.61, "warning"), (101.01, "critical"), (98.9, "critical")]
)
def test_a_price_far_from_the_last_fifty_is_an_outlier_of_trades_and_quotes(price: float, severity: str | None) -> None:
    expected = [(80, BEGAN, "price_outlier", severity)] if severity else []
    assert [c for c in told(with_one(trades(120), 80, trade(80, price=price))) if c[1] is BEGAN] == expected
    shifted = quote(80, bid=price - 0.05, ask=price + 0.05)
    steady = (quote(n, bid=99.95, ask=100.05) for n in range(120))
    assert [c for c in told(with_one(steady, 80, shifted)) if c[1] is BEGAN] == expected


def test_a_price_that_moves_to_a_new_level_is_an_outlier_only_until_it_is_the_usual_one() -> None:
    monitor = watching()
    outcomes = [monitor.observe(trade(n, price=100.0 if n < 100 else 101.0)) for n in range(300)]
    assert sum(bool(o.findings) for o in outcomes) == 25
    assert monitor.standing() == []


@pytest.mark.parametrize("price", [0.0, -1.0])
def test_a_price_of_zero_or_less_is_found_and_does_not_count_as_a_price(price: float) -> None:
    changes = told(with_one(trades(200), 100, trade(100, price=price)))
    assert [c for c in changes if c[1] is BEGAN] == [(100, BEGAN, "price_not_positive", "critical")]
    assert told(with_one((quote(n) for n in range(200)), 100, quote(100, bid=price)))[0][2] == "price_not_positive"


def test_negative_quantities_are_found_in_trades_quotes_updates_and_snapshots() -> None:
    bad = Side(["1", "-1"], [1.0], [-1.0])
    for message in (
        trade(1, quantity=-1.0),
        quote(1)._replace(ask_quantity=-1.0),
        update(1, bids=bad),
        snapshot(1, 1, asks=bad),
    ):
        assert told([message]) == [(0, BEGAN, "quantity_negative", "critical")]


def test_an_empty_side_of_a_quote_is_no_fault() -> None:
    assert told([quote(1)._replace(bid=0.0, bid_quantity=0.0), quote(2)._replace(ask=0.0, ask_quantity=0.0)]) == []
    both = quote(3)._replace(bid=0.0, bid_quantity=0.0, ask=0.0, ask_quantity=0.0)
    assert told([both]) == []


def test_a_crossed_snapshot_is_found() -> None:
    crossed = snapshot(1, 1, Side(["101", "1"], [101.0], [1.0]), Side(["100", "1"], [100.0], [1.0]))
    assert told([crossed]) == [(0, BEGAN, "quote_crossed", "critical")]
