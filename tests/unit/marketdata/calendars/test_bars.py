"""Which bars a calendar expects, and which of them are missing."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.marketdata.core.calendars import NO_BAR, Calendar, Gap, micros_array, to_micros
from services.marketdata.core.calendars.sessions import from_micros
from shared.schemas.marketdata import INTERVAL_LENGTH, Interval
from tests.unit.marketdata.calendars.markets import (
    ALL,
    KOLKATA,
    NEW_YORK,
    SHANGHAI,
    always,
    at,
    chicago,
    clock,
    market,
    minutes_open,
    mumbai,
    new_york,
    shanghai,
)

pytestmark = pytest.mark.unit

INTERVALS: tuple[Interval, ...] = ("1m", "5m", "15m", "1h", "1d")
calendars = st.sampled_from(sorted(ALL))
intervals = st.sampled_from(INTERVALS)
moments = st.datetimes(datetime(2024, 2, 20), datetime(2024, 3, 20), timezones=st.just(UTC))  # noqa: DTZ001
DAY = timedelta(days=1)


def day_of(calendar: Calendar, interval: Interval, day: str, zone: object) -> list[str]:
    start = at(day, zone)  # type: ignore[arg-type]
    return clock(calendar.expected_bars(interval, start, start + DAY), zone)  # type: ignore[arg-type]


def test_hours_are_counted_from_the_open_and_after_a_break_anew() -> None:
    quarter_past = ["09:15", "10:15", "11:15", "12:15", "13:15", "14:15", "15:15"]
    assert day_of(mumbai(), "1h", "2024-01-25", KOLKATA) == quarter_past
    assert day_of(shanghai(), "1h", "2024-01-25", SHANGHAI) == ["09:30", "10:30", "13:00", "14:00"]
    assert day_of(mumbai(), "1h", "2024-03-02", KOLKATA) == ["18:15"]
    assert day_of(new_york(), "1h", "2024-11-29", NEW_YORK) == ["09:30", "10:30", "11:30", "12:30"]


def test_a_break_within_an_hour_cuts_it_off() -> None:
    hong_kong = market(SHANGHAI, "09:30-12:00 13:00-16:00")
    assert day_of(hong_kong, "1h", "2024-01-25", SHANGHAI) == ["09:30", "10:30", "11:30", "13:00", "14:00", "15:00"]


@pytest.mark.parametrize(("interval", "bars"), [("1m", 375), ("5m", 75), ("15m", 25), ("1h", 7), ("1d", 1)])
def test_a_session_of_nse_has_so_many_bars(interval: Interval, bars: int) -> None:
    start = at("2024-01-25", KOLKATA)
    assert mumbai().expected_count(interval, start, start + DAY) == bars
    assert len(day_of(mumbai(), interval, "2024-01-25", KOLKATA)) == bars


def test_days_start_at_local_midnight_also_where_the_evening_before_has_opened() -> None:
    start, end = at("2024-01-25", KOLKATA), at("2024-01-31", KOLKATA)
    days = mumbai().expected_bars("1d", start, end)
    assert [f"{day.astimezone(KOLKATA):%d %H:%M}" for day in days] == ["25 00:00", "29 00:00", "30 00:00"]
    monday = at("2024-01-29", chicago().timezone)  # type: ignore[arg-type]
    assert chicago().expected_bars("1d", monday, monday + DAY) == [monday]
    assert always().expected_count("1d", datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)) == 366


@settings(deadline=None)
@given(calendars, intervals, st.lists(moments, min_size=3, max_size=3))
def test_windows_side_by_side_have_the_bars_of_both(name: str, interval: Interval, three: list[datetime]) -> None:
    first, middle, last = sorted(three)
    calendar = ALL[name]
    left, right = (calendar.expected_bars(interval, *window) for window in ((first, middle), (middle, last)))
    whole = calendar.expected_bars(interval, first, last)
    assert [*left, *right] == whole
    assert whole == sorted(set(whole))
    assert all(first <= bar < last for bar in whole)
    assert calendar.expected_count(interval, first, last) == len(whole)


@pytest.mark.parametrize("name", sorted(ALL))
@pytest.mark.parametrize("first", ["2024-01-25", "2024-03-01", "2024-03-08", "2024-11-02"])
def test_minutes_are_those_in_session(name: str, first: str) -> None:
    calendar = ALL[name]
    start = datetime.fromisoformat(first).replace(tzinfo=UTC)
    end = start + timedelta(days=3, hours=7, seconds=30)
    assert calendar.expected_bars("1m", start, end) == minutes_open(calendar, start, end)


@settings(deadline=None)
@given(calendars, st.sampled_from(INTERVALS[:4]), moments)
def test_a_bar_starts_in_session_and_so_many_steps_from_an_open(name: str, interval: Interval, start: datetime) -> None:
    calendar = ALL[name]
    bars = calendar.expected_starts(interval, start, start + 3 * DAY)
    assert calendar.open_mask(bars).all()
    for bar in calendar.expected_bars(interval, start, start + 3 * DAY):
        session = calendar.session_of(bar)
        assert session is not None
        opened = max(i.open for i in session.intervals if i.open <= bar)
        assert (bar - opened) % INTERVAL_LENGTH[interval] == timedelta(0)


def test_a_start_is_told_from_what_is_beside_it() -> None:
    some = [at(f"2024-01-25 {text}", KOLKATA) for text in ("15:15", "15:00", "09:15", "08:15", "16:15", "09:15:01")]
    assert mumbai().expected_mask("1h", micros_array(some)).tolist() == [True, False, True, False, False, False]
    midnights = [at(text, KOLKATA) for text in ("2024-01-25", "2024-01-26", "2024-01-25 05:30")]
    assert mumbai().expected_mask("1d", micros_array(midnights)).tolist() == [True, False, False]


@settings(deadline=None)
@given(calendars, intervals, st.lists(moments, max_size=30))
def test_starts_are_told_as_they_are_listed(name: str, interval: Interval, some: list[datetime]) -> None:
    calendar = ALL[name]
    candidates = [moment.replace(second=0, microsecond=0) for moment in some]
    listed = set(calendar.expected_bars(interval, datetime(2024, 2, 19, tzinfo=UTC), datetime(2024, 3, 21, tzinfo=UTC)))
    mask = calendar.expected_mask(interval, micros_array(candidates))
    assert mask.tolist() == [moment in listed for moment in candidates]


@settings(deadline=None)
@given(calendars, intervals, st.lists(moments, min_size=1, max_size=30))
def test_a_moment_in_session_belongs_to_the_last_bar_that_had_started(
    name: str, interval: Interval, some: list[datetime]
) -> None:
    calendar = ALL[name]
    present = micros_array(some)
    starts = calendar.bar_starts(interval, present)
    assert ((starts != NO_BAR) == calendar.open_mask(present)).all()
    for moment, start in zip(some, starts.tolist(), strict=True):
        session = calendar.session_of(moment)
        if start == NO_BAR:
            continue
        assert session is not None
        bars = calendar.expected_starts(interval, session.open - 2 * DAY, session.close)
        midnight = to_micros(at(f"{session.date}", calendar.timezone))  # type: ignore[arg-type]
        assert start in bars
        assert start == (midnight if interval == "1d" else bars[bars <= to_micros(moment)].max())


def test_bars_are_made_of_what_lies_in_them() -> None:
    some = ["09:07", "09:15", "10:14:59", "10:15", "15:29", "15:30"]
    starts = mumbai().bar_starts("1h", micros_array(at(f"2024-01-25 {text}", KOLKATA) for text in some))
    assert starts[[0, 5]].tolist() == [NO_BAR, NO_BAR]
    assert clock([from_micros(start) for start in starts[1:5].tolist()], KOLKATA) == [
        "09:15",
        "09:15",
        "10:15",
        "15:15",
    ]
    evening = micros_array([at("2024-01-28 18:00", chicago().timezone)])  # type: ignore[arg-type]
    monday = to_micros(at("2024-01-29", chicago().timezone))  # type: ignore[arg-type]
    assert chicago().bar_starts("1d", evening).tolist() == [monday]
    assert mumbai().bar_starts("1m", micros_array([])).size == 0


def gaps_of(calendar: Calendar, interval: Interval, window: tuple[str, str], lost: set[str], zone: object) -> list[Gap]:
    start, end = (at(text, zone) for text in window)  # type: ignore[arg-type]
    bars = calendar.expected_bars(interval, start, end)
    present = [bar for bar in bars if f"{bar.astimezone(zone):%d %H:%M}" not in lost]  # type: ignore[arg-type]
    return calendar.missing(micros_array(present), interval, start, end)


def test_a_gap_goes_on_over_the_break_and_ends_with_its_last_bar() -> None:
    lost = {"25 10:30", "25 13:00", "26 14:00"}
    gaps = gaps_of(shanghai(), "1h", ("2024-01-25", "2024-01-27"), lost, SHANGHAI)
    assert gaps == [
        Gap(at("2024-01-25 10:30", SHANGHAI), at("2024-01-25 14:00", SHANGHAI), 2),
        Gap(at("2024-01-26 14:00", SHANGHAI), at("2024-01-26 15:00", SHANGHAI), 1),
    ]


def test_a_gap_at_the_end_of_a_session_ends_at_the_close() -> None:
    gaps = gaps_of(mumbai(), "1h", ("2024-01-25", "2024-01-26"), {"25 15:15"}, KOLKATA)
    assert gaps == [Gap(at("2024-01-25 15:15", KOLKATA), at("2024-01-25 15:30", KOLKATA), 1)]


def test_a_missing_day_ends_at_the_next_midnight_whatever_its_length() -> None:
    every_day = market(NEW_YORK, "09:30-16:00", weekdays=frozenset(range(7)))
    gaps = gaps_of(every_day, "1d", ("2024-11-02", "2024-11-06"), {"03 00:00"}, NEW_YORK)
    assert gaps == [Gap(at("2024-11-03", NEW_YORK), at("2024-11-04", NEW_YORK), 1)]
    assert gaps[0].end - gaps[0].start == timedelta(hours=25)


def test_without_any_bar_all_is_one_gap_and_with_all_there_is_none() -> None:
    start, end = at("2024-01-25", KOLKATA), at("2024-01-30", KOLKATA)
    calendar = mumbai()
    whole = Gap(at("2024-01-25 09:15", KOLKATA), at("2024-01-29 15:30", KOLKATA), 750)
    assert calendar.missing(micros_array([]), "1m", start, end) == [whole]
    assert calendar.missing(calendar.expected_starts("1m", start, end), "1m", start, end) == []


def test_what_is_not_expected_or_there_twice_fills_no_gap() -> None:
    start, end = at("2024-01-25", KOLKATA), at("2024-01-26", KOLKATA)
    calendar = mumbai()
    bars = calendar.expected_bars("15m", start, end)
    odd = [at("2024-01-25 09:20", KOLKATA), at("2024-01-25 16:00", KOLKATA), at("2024-02-01 09:15", KOLKATA)]
    present = micros_array([*reversed(bars[1:]), *odd, bars[3], bars[3]])
    assert calendar.missing(present, "15m", start, end) == [Gap(bars[0], bars[1], 1)]


@settings(max_examples=200, deadline=None)
@given(calendars, intervals, moments, st.integers(1, 12), st.randoms(use_true_random=False), st.floats(0, 1))
def test_gaps_hold_just_the_bars_that_are_not_there(
    name: str, interval: Interval, start: datetime, hours: int, random: object, share: float
) -> None:
    calendar = ALL[name]
    end = start + timedelta(hours=6 * hours)
    bars = calendar.expected_bars(interval, start, end)
    lost = {bar for bar in bars if random.random() < share}  # type: ignore[attr-defined]
    gaps = calendar.missing(micros_array([bar for bar in bars if bar not in lost]), interval, start, end)
    assert sum(gap.bars for gap in gaps) == len(lost)
    held = [bar for gap in gaps for bar in calendar.expected_bars(interval, gap.start, min(gap.end, end))]
    assert held == sorted(lost)
    # Apart: a bar that is there lies between any two.
    places = [bars.index(gap.start) for gap in gaps]
    assert all(after - before > gap.bars for before, after, gap in zip(places, places[1:], gaps, strict=False))


def test_a_window_of_two_centuries_is_counted_but_not_listed() -> None:
    start, end = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
    assert always().expected_count("1m", start, end) == 201 * 365 * 1_440 + 49 * 1_440
    with pytest.raises(ValueError, match="shorter window"):
        always().expected_starts("1m", start, end)
    present = micros_array([datetime(2024, 1, 1, tzinfo=UTC)])
    assert [gap.bars for gap in always().missing(present, "1m", start, end)] == [45_290 * 1_440, 28_124 * 1_440 - 1]


def test_a_year_of_minutes_with_holes_is_taken_apart_whole() -> None:
    start, end = datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
    starts = always().expected_starts("1m", start, end)
    lost = np.random.default_rng(4).random(starts.size) < 0.01
    gaps = always().missing(starts[~lost], "1m", start, end)
    assert sum(gap.bars for gap in gaps) == lost.sum()
    assert sum((gap.end - gap.start).total_seconds() for gap in gaps) == 60 * lost.sum()
