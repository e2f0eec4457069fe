"""What the monitor says of clocks: skew, times from the future, times that stand still."""

from itertools import count

import pytest

from services.marketdata.core.thresholds import Bands
from tests.unit.stream.made import BEGAN, EASED, ENDED, START_MS, WORSENED, told, trade, trades, watching, with_one

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("lag", [0.5, -0.5])
def test_the_skew_is_found_in_both_directions_once_twenty_messages_are_known(lag: float) -> None:
    monitor = watching()
    assert told(trades(3_000, lag=lag), monitor) == [(19, BEGAN, "clock_skew", "warning")]
    (standing,) = monitor.standing()
    assert standing.issue.value == pytest.approx(0.5)
    assert standing.issue.details == {"median_seconds": pytest.approx(lag)}
    assert standing.messages == 3_000 - 19
    assert monitor.skew("AAA") == pytest.approx(lag)


def test_the_skew_worsens_eases_and_ends_as_the_median_moves() -> None:
    lags = [0.2] * 100 + [2.0] * 2_000 + [0.2] * 2_000 + [0.0] * 2_000
    changes = told(trade(number, lag=lag) for number, lag in enumerate(lags))
    assert [change[1:] for change in changes] == [
        (BEGAN, "clock_skew", "warning"),
        (WORSENED, "clock_skew", "critical"),
        (EASED, "clock_skew", "warning"),
        (ENDED, "clock_skew", "warning"),
    ]


def test_a_measure_around_its_band_is_not_told_with_every_message() -> None:
    lags = (0.0999 if number % 2 else 0.1001 for number in count())
    changes = told(trade(number, lag=next(lags)) for number in range(2_000))
    assert len(changes) == 1


def test_the_skew_is_not_told_where_its_band_is_unset() -> None:
    assert told(trades(100, lag=9.0), watching(clock_skew=Bands(None, None))) == []


def test_a_known_skew_makes_no_event_come_from_the_future() -> None:
    assert told(trades(2_000, lag=-30.0)) == [(19, BEGAN, "clock_skew", "critical")]


@pytest.mark.parametrize(("ahead", "severity"), [(0.9, None), (1.1, "warning"), (5.1, "critical")])
def test_an_event_further_ahead_than_the_skew_is_from_the_future(ahead: float, severity: str | None) -> None:
    # The clock is half a second ahead, which is known.
    messages = with_one(
        trades(100, lag=-0.5), 60, trade(60, lag=-0.5)._replace(event_ms=START_MS + round((60 + ahead) * 1_000))
    )
    found = [change for change in told(messages) if change[2] != "clock_skew"]
    assert [change[:1] + change[2:] for change in found if change[1] is BEGAN] == (
        [(60, "future_timestamp", severity)] if severity else []
    )
    # ... and nothing after it is older than it, beyond those it really overtook.
    assert {change[2] for change in found} <= {"future_timestamp"}


def test_a_clock_set_ahead_is_learnt_and_no_longer_from_the_future() -> None:
    messages = [*trades(1_000), *(trade(number, lag=-10.0) for number in range(1_000, 4_000))]
    changes = [change for change in told(messages) if change[2] == "future_timestamp"]
    assert [change[1] for change in changes] == [BEGAN, ENDED]


@pytest.mark.parametrize(("seconds", "expected"), [(59, []), (61, ["warning"]), (301, ["warning", "critical"])])
def test_a_time_of_events_that_stands_still_is_found_by_how_long_it_does(seconds: int, expected: list[str]) -> None:
    messages = list(trades(1_000))
    for index in range(100, 100 + seconds + 1):
        messages[index] = messages[index]._replace(event_ms=messages[100].event_ms)
    changes = told(messages)
    assert [c[3] for c in changes if c[1] in (BEGAN, WORSENED)] == expected
    assert {c[2] for c in changes} <= {"clock_frozen"}
    if expected:
        assert changes[0][0] == 160
        assert changes[-1][1] is ENDED


def test_a_pause_of_the_stream_is_no_frozen_clock() -> None:
    assert told([*trades(50), trade(5_000), *(trade(n) for n in range(5_001, 5_050))]) == []
