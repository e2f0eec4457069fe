"""When records are played: in time order within an account, side by side across accounts."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.replay.timeline import account_timeline, by_currency, interleave, longest_pause
from shared.schemas.marketdata import Bar
from tests.unit.cli.recording import START, bar, dataset, state

pytestmark = pytest.mark.unit

MINUTE = timedelta(minutes=1)
minutes = st.lists(st.integers(0, 5_000), min_size=1, max_size=40, unique=True).map(sorted)


def bars(at: list[int], symbol: str = "AAA") -> list[Bar]:
    return [bar(minute, "100", symbol=symbol) for minute in at]


def test_a_bar_is_played_when_it_is_complete_and_before_the_state_of_that_moment() -> None:
    sets = [dataset([state(1, "100"), state(2, "101")], name="b-states"), dataset(bars([0, 1]), name="a-bars")]
    steps = list(account_timeline(sets, 15 * MINUTE))
    assert [(step.dataset.name, step.known_at - START) for step in steps] == [
        ("a-bars", MINUTE),
        ("b-states", MINUTE),
        ("a-bars", 2 * MINUTE),
        ("b-states", 2 * MINUTE),
    ]


def test_a_bar_is_played_before_the_state_of_that_moment_whatever_the_datasets_are_called() -> None:
    sets = [dataset([state(1, "100")], name="a-states"), dataset(bars([0]), name="b-bars")]
    assert [step.dataset.name for step in account_timeline(sets, 15 * MINUTE)] == ["b-bars", "a-states"]


def test_a_night_takes_the_longest_pause_and_no_more() -> None:
    steps = list(account_timeline([dataset(bars([0, 1, 1000, 1001]))], 15 * MINUTE))
    assert [step.elapsed for step in steps] == [timedelta(0), MINUTE, 16 * MINUTE, 17 * MINUTE]


@pytest.mark.parametrize(("speed", "pause"), [(None, 15), (1, 15), (600, 15), (3600, 60)])
def test_the_longest_pause_is_a_second_of_ours_or_a_quarter_of_an_hour_of_the_accounts(
    speed: float | None, pause: int
) -> None:
    assert longest_pause(speed) == pause * MINUTE


def test_the_session_date_is_that_of_the_market_and_of_the_start_of_the_bar() -> None:
    # 9:00 UTC plus 930 minutes is 00:30 UTC, and 06:00 in Kolkata of the same date; 18:30 UTC begins Kolkata's.
    late = [bar(569, "100"), bar(570, "100")]
    kolkata = [step.session_date for step in account_timeline([dataset(late, zone="Asia/Kolkata")], MINUTE)]
    utc = [step.session_date for step in account_timeline([dataset(late)], MINUTE)]
    assert kolkata == [date(2024, 12, 2), date(2024, 12, 3)]
    assert utc == [date(2024, 12, 2)] * 2


def test_the_last_minute_before_midnight_belongs_to_its_own_day() -> None:
    step = next(account_timeline([dataset([bar(899, "100")])], MINUTE))
    assert (step.session_date, step.known_at.date()) == (date(2024, 12, 2), date(2024, 12, 3))


@given(minutes, minutes, minutes)
def test_interleaving_keeps_every_accounts_order_and_loses_nothing(a: list[int], b: list[int], c: list[int]) -> None:
    timelines = [list(account_timeline([dataset(bars(at))], 15 * MINUTE)) for at in (a, b, c)]
    played = list(interleave([iter(steps) for steps in timelines]))
    for index, steps in enumerate(timelines):
        assert [step for lane, step in played if lane == index] == steps
    elapsed = [step.elapsed for _, step in played]
    assert elapsed == sorted(elapsed)


@given(minutes, minutes)
def test_interleaving_is_the_same_every_time(a: list[int], b: list[int]) -> None:
    def once() -> list[tuple[int, timedelta]]:
        lanes = [account_timeline([dataset(bars(at))], 15 * MINUTE) for at in (a, b)]
        return [(lane, step.elapsed) for lane, step in interleave(lanes)]

    assert once() == once()


def test_accounts_of_different_years_start_together() -> None:
    old, new = bars([0, 1]), bars([500_000, 500_001])
    played = list(interleave([account_timeline([dataset(entry)], 15 * MINUTE) for entry in (old, new)]))
    assert [lane for lane, _ in played] == [0, 1, 0, 1]


def test_datasets_of_one_currency_share_an_account() -> None:
    groups = by_currency(
        [dataset([], name="z"), dataset([], name="n", symbol="NNN", currency="INR"), dataset([], name="a")]
    )
    assert {currency: [entry.name for entry in entries] for currency, entries in groups.items()} == {
        "INR": ["n"],
        "USD": ["a", "z"],
    }
