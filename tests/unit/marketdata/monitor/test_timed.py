"""When a stream is stale or frozen, and on which quiet days it is neither."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.marketdata.calendars import calendar_of
from services.marketdata.core.calendars import micros_array
from services.marketdata.core.catalogue import Subject
from services.marketdata.core.monitor.arrival import Arrived, SeriesState, after, late_rows
from services.marketdata.core.monitor.timed import age, clock_frozen, is_fed, rates, stale_age, usual_wait
from services.marketdata.core.thresholds import DEFAULTS
from shared.schemas.base import Severity

pytestmark = pytest.mark.unit
ALWAYS, NSE, SHANGHAI = calendar_of("24x7"), calendar_of("XNSE"), calendar_of("XSHG")
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
# A Tuesday; Mumbai is open from 3:45 to 10:00, Shanghai from 1:30 to 3:30 and 5:00 to 7:00.
DAY = datetime(2024, 1, 2, tzinfo=UTC)


def fed(start: datetime, end: datetime, step: timedelta = 10 * SECOND, period: float = 0.0) -> SeriesState:
    """Return a series whose rows came from start to end, each a second after its event."""
    state, moment = None, start
    while moment <= end:
        state = after(state, Arrived(moment - SECOND, moment, period, rows=1))
        moment += step
    assert state is not None
    return state


def stale(state: SeriesState, now: datetime, subject: Subject = Subject.TICK, wait: float = 0.0) -> str | None:
    calendar = ALWAYS
    return said(state, now, subject, wait, calendar)


def said(state: SeriesState, now: datetime, subject: Subject, wait: float, calendar: object) -> str | None:
    seconds = age(state, subject, calendar, now)  # type: ignore[arg-type]
    if seconds is None:
        return None
    issue = stale_age(state, subject, seconds, wait, DEFAULTS)
    return issue.severity.value if issue is not None else None


def test_a_stream_that_ends_is_stale_after_five_minutes_and_critical_after_ten() -> None:
    state = fed(DAY, DAY + HOUR)
    end = state.last_ts
    assert stale(state, end + 299 * SECOND) is None
    assert stale(state, end + 300 * SECOND) == "warning"
    assert stale(state, end + 600 * SECOND) == "critical"
    # Nobody waits for ever for a source that was turned off.
    assert stale(state, end + timedelta(hours=25)) is None


def test_history_is_never_stale_however_it_is_loaded() -> None:
    state = None
    for n in range(200):
        # Old rows, in many deliveries over an hour.
        state = after(state, Arrived(DAY - timedelta(days=300) + n * HOUR, DAY + 20 * n * SECOND, rows=500))
    assert state is not None
    for hours in (0, 1, 24, 1_000):
        assert stale(state, DAY + HOUR + hours * HOUR) is None


def test_a_file_that_ends_today_is_one_delivery_and_no_feed() -> None:
    state = None
    for n in range(30):
        state = after(state, Arrived(DAY - (30 - n) * SECOND, DAY + n * SECOND, rows=1_000))
    assert state is not None
    assert state.live_at is not None
    assert not is_fed(state, ALWAYS, DAY + HOUR)
    assert stale(state, DAY + HOUR) is None


def test_a_backfill_says_nothing_of_the_live_stream_and_does_not_hide_that_it_ended() -> None:
    state = fed(DAY, DAY + HOUR)
    again = after(state, Arrived(DAY - 30 * HOUR, DAY + HOUR + 9 * MINUTE, rows=5_000))
    assert again == state
    assert stale(again, DAY + HOUR + 11 * MINUTE) == "critical"


def test_a_lunch_break_a_night_and_a_holiday_age_nobody() -> None:
    lunch = fed(DAY + 90 * MINUTE, DAY + 210 * MINUTE)
    for minutes in range(0, 90, 5):
        assert said(lunch, DAY + (210 + minutes) * MINUTE, Subject.TICK, 0.0, SHANGHAI) is None
    assert said(lunch, DAY + 304 * MINUTE, Subject.TICK, 0.0, SHANGHAI) is None
    assert said(lunch, DAY + 306 * MINUTE, Subject.TICK, 0.0, SHANGHAI) == "warning"
    # What was stale in the morning is not in the break.
    early = fed(DAY + 90 * MINUTE, DAY + 200 * MINUTE)
    assert said(early, DAY + 209 * MINUTE, Subject.TICK, 0.0, SHANGHAI) == "warning"
    assert said(early, DAY + 240 * MINUTE, Subject.TICK, 0.0, SHANGHAI) is None
    # The 26th of January, a Friday, is a holiday; then comes a weekend.
    thursday = datetime(2024, 1, 25, tzinfo=UTC)
    before = fed(thursday + 225 * MINUTE, thursday + 600 * MINUTE)
    monday = thursday + timedelta(days=4)
    for moment in (thursday + 11 * HOUR, thursday + 30 * HOUR, monday + 224 * MINUTE, monday + 229 * MINUTE):
        assert said(before, moment, Subject.TICK, 0.0, NSE) is None
    assert said(before, monday + 236 * MINUTE, Subject.TICK, 0.0, NSE) == "critical"


def test_a_symbol_that_trades_seldom_is_stale_by_its_own_pace() -> None:
    state = fed(DAY, DAY + 9 * HOUR, step=9 * MINUTE)
    moments = micros_array(DAY + n * 9 * MINUTE for n in range(50))
    wait = usual_wait(moments, ALWAYS, 0.0, 95)
    assert wait == 540
    assert stale(state, state.last_ts + 25 * MINUTE, wait=wait) is None
    assert stale(state, state.last_ts + 27 * MINUTE, wait=wait) == "critical"
    # A night is no wait.
    dull = [DAY + 230 * MINUTE + n * MINUTE for n in range(20)]
    two_days = micros_array([*dull, *(moment + timedelta(days=1) for moment in dull)])
    assert usual_wait(two_days, ALWAYS, 0.0, 100) > 80_000
    assert usual_wait(two_days, NSE, 60.0, 95) == 0


def test_bars_are_owed_once_the_next_one_has_ended() -> None:
    state = fed(DAY + MINUTE, DAY + HOUR, step=MINUTE, period=60.0)
    state = replace(state, last_ts=DAY + 59 * MINUTE)
    owed = DAY + 61 * MINUTE
    assert age(state, Subject.BAR, ALWAYS, owed) == 0
    assert stale(state, owed + 299 * SECOND, Subject.BAR) is None
    assert stale(state, owed + 300 * SECOND, Subject.BAR) == "warning"


def test_bars_of_a_day_are_owed_when_the_next_session_ends() -> None:
    midnight = datetime(2024, 1, 24, 18, 30, tzinfo=UTC)
    came = midnight + 17 * HOUR
    state = SeriesState(midnight, came, came, 86_400.0, came - timedelta(days=3), came)
    monday = datetime(2024, 1, 29, tzinfo=UTC)
    for moment in (monday + 5 * HOUR, monday + 9 * HOUR + 59 * MINUTE):
        assert said(state, moment, Subject.BAR, 0.0, NSE) is None
    assert said(state, monday + timedelta(days=1, hours=4), Subject.BAR, 0.0, NSE) == "critical"


def test_rare_rows_are_owed_by_nobody_or_by_their_period() -> None:
    state = fed(DAY, DAY + 24 * HOUR, step=8 * HOUR, period=8 * 3_600.0)
    assert age(fed(DAY, DAY + HOUR), Subject.LIQUIDATION, ALWAYS, DAY + 5 * HOUR) is None
    assert stale(state, state.last_ts + 8 * HOUR + 299 * SECOND, Subject.FUNDING_RATE) is None
    assert stale(state, state.last_ts + 8 * HOUR + 301 * SECOND, Subject.FUNDING_RATE) == "warning"


def frozen(state: SeriesState, now: datetime, subject: Subject = Subject.TICK) -> Severity | None:
    issue = clock_frozen(state, subject, ALWAYS, now, DEFAULTS)
    return issue.severity if issue is not None else None


@pytest.mark.parametrize(("seconds", "expected"), [(50, None), (60, Severity.WARNING), (300, Severity.CRITICAL)])
def test_a_clock_that_stands_still_while_rows_come(seconds: int, expected: Severity | None) -> None:
    state = fed(DAY, DAY + HOUR)
    for n in range(10, seconds + 1, 10):
        state = after(state, Arrived(state.last_ts, DAY + HOUR + n * SECOND, rows=1))
    now = DAY + HOUR + seconds * SECOND
    assert frozen(state, now) == expected
    # Without rows it is silence, which is another check's.
    assert frozen(state, now + 3 * MINUTE) is None
    assert frozen(after(state, Arrived(now, now, rows=1)), now) is None


def test_a_bar_that_is_still_forming_does_not_stand_still() -> None:
    state = fed(DAY, DAY + HOUR, step=MINUTE, period=60.0)
    for n in range(1, 24):
        state = after(state, Arrived(state.last_ts, DAY + HOUR + n * 5 * SECOND, 60.0, rows=1))
    assert frozen(state, DAY + HOUR + 115 * SECOND, Subject.BAR) is None
    late = after(state, Arrived(state.last_ts, DAY + HOUR + 120 * SECOND, 60.0, rows=1))
    assert frozen(late, DAY + HOUR + 120 * SECOND, Subject.BAR) is Severity.WARNING


def test_a_correction_of_the_last_row_is_no_frozen_clock() -> None:
    old = after(None, Arrived(DAY - timedelta(days=9), DAY, rows=1))
    live = fed(DAY, DAY + HOUR)
    for state in (old, live):
        corrected = after(state, Arrived(state.last_ts, DAY + 9 * HOUR, rows=1))
        assert frozen(corrected, DAY + 9 * HOUR) is None


def test_rows_late_by_the_order_they_were_sent_in() -> None:
    def late(*moments: int, before: int | None = None) -> int:
        return late_rows(micros_array(DAY + n * SECOND for n in moments), None if before is None else since(before))

    def since(seconds: int) -> int:
        return int(micros_array([DAY + seconds * SECOND])[0])

    assert late() == late(1, 2, 3) == late(3, 2, 1) == late(2, 2, 2) == 0
    assert late(1, 3, 2, 4) == 1
    assert late(1, 3, 4, before=2) == 1


@given(st.lists(st.integers(0, 1_000), max_size=30))
def test_no_row_is_late_in_a_sorted_batch_either_way_and_few_are_in_any(moments: list[int]) -> None:
    array = micros_array(DAY + n * SECOND for n in moments)
    assert late_rows(micros_array(DAY + n * SECOND for n in sorted(moments)), None) == 0
    assert late_rows(micros_array(DAY + n * SECOND for n in sorted(moments, reverse=True)), None) == 0
    assert 0 <= late_rows(array, None) <= max(len(moments) - 1, 0)
    assert late_rows(array, None) == late_rows(array[::-1], None)


def test_rates_of_a_live_stream_rise_and_fall() -> None:
    state = None
    for n in range(100):
        state = after(state, Arrived(DAY + n * SECOND, DAY + n * SECOND, rows=100, repeats=1, late=n % 2))
    assert state is not None
    assert [(issue.code, issue.severity.value) for issue in rates(state, DEFAULTS)] == [
        ("duplicate", "warning"),
        ("out_of_order", "warning"),
    ]
    for n in range(100, 600):
        state = after(state, Arrived(DAY + n * SECOND, DAY + n * SECOND, rows=100))
    assert rates(state, DEFAULTS) == []
    # One of a few rows is no rate, and a file has none at all.
    few = after(None, Arrived(DAY, DAY, rows=10, repeats=1))
    history = after(None, Arrived(DAY - timedelta(days=9), DAY, rows=10, repeats=10, late=10))
    assert rates(few, DEFAULTS) == rates(history, DEFAULTS) == []


@given(st.lists(st.tuples(st.integers(-3_000, 30), st.integers(0, 600)), min_size=1, max_size=40))
def test_what_is_known_never_goes_back(steps: list[tuple[int, int]]) -> None:
    state, now = None, DAY
    for event, pause in steps:
        now += pause * SECOND
        before = state
        state = after(state, Arrived(now + event * SECOND, now, rows=1))
        if before is not None:
            assert state.last_ts >= before.last_ts
            assert state.advanced_at >= before.advanced_at
            assert state.message_at >= before.message_at
        if state.live_since is not None:
            assert state.live_at is not None
            assert state.live_since <= state.live_at <= now
        assert state.still_since is None or state.advanced_at <= state.still_since <= state.message_at <= now
