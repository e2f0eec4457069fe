"""What a calendar says of dates and moments."""

from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.marketdata.core.calendars import Calendar, Session, micros_array, to_micros
from tests.unit.marketdata.calendars.markets import (
    ALL,
    CHICAGO,
    KOLKATA,
    NEW_YORK,
    SHANGHAI,
    always,
    at,
    chicago,
    market,
    minutes_open,
    mumbai,
    new_york,
    shanghai,
)

pytestmark = pytest.mark.unit

moments = st.datetimes(datetime(2023, 12, 1), datetime(2025, 2, 1), timezones=st.just(UTC))  # noqa: DTZ001
FIRST_SESSIONS = ((CHICAGO, "<17:00-17:00"), (ZoneInfo("Pacific/Auckland"), "06:00-16:45"))
calendars = st.sampled_from(sorted(ALL))


def hours(session: Session | None, zone: object) -> list[str]:
    assert session is not None
    return [f"{i.open.astimezone(zone):%d %H:%M}-{i.close.astimezone(zone):%d %H:%M}" for i in session.intervals]  # type: ignore[arg-type]


def test_a_session_has_its_intervals_in_utc() -> None:
    session = mumbai().session(date(2024, 1, 25))
    assert session is not None
    assert session.open == datetime(2024, 1, 25, 3, 45, tzinfo=UTC)
    assert session.close == datetime(2024, 1, 25, 10, 0, tzinfo=UTC)
    assert session.open.tzinfo is UTC


def test_a_lunch_break_parts_a_session_in_two() -> None:
    assert hours(shanghai().session(date(2024, 1, 25)), SHANGHAI) == ["25 09:30-25 11:30", "25 13:00-25 15:00"]
    assert not shanghai().is_open(at("2024-01-25 11:30", SHANGHAI))
    assert shanghai().is_open(at("2024-01-25 13:00", SHANGHAI))


def test_weekends_and_holidays_have_none_and_a_special_saturday_has() -> None:
    assert mumbai().session(date(2024, 1, 27)) is None
    assert mumbai().session(date(2024, 1, 26)) is None
    assert hours(mumbai().session(date(2024, 3, 2)), KOLKATA) == ["02 18:15-02 19:15"]


def test_an_evening_session_belongs_to_the_next_day() -> None:
    sunday_evening = at("2024-01-28 18:00", CHICAGO)
    session = chicago().session_of(sunday_evening)
    assert session is not None
    assert session.date == date(2024, 1, 29)
    assert chicago().session(date(2024, 1, 28)) is None
    assert not chicago().is_open(at("2024-01-27 12:00", CHICAGO))


@pytest.mark.parametrize(
    ("day", "opens"),
    [(date(2024, 3, 8), 14), (date(2024, 3, 11), 13), (date(2024, 11, 1), 13), (date(2024, 11, 4), 14)],
)
def test_new_york_opens_by_its_own_clock(day: date, opens: int) -> None:
    session = new_york().session(day)
    assert session is not None
    assert (session.open.hour, session.open.minute) == (opens, 30)
    assert session.close - session.open == timedelta(hours=6.5)


@pytest.mark.parametrize("year", range(2017, 2027))
def test_the_first_session_of_a_year_may_open_in_the_last(year: int) -> None:
    every_day = frozenset(range(7))
    evenings, auckland = (market(zone, hours, weekdays=every_day) for zone, hours in FIRST_SESSIONS)
    eve, morning = at(f"{year - 1}-12-31 17:00", CHICAGO), at(f"{year}-01-01 06:00", FIRST_SESSIONS[1][0])
    session = evenings.session_of(eve)
    assert session is not None
    assert session.date == date(year, 1, 1)
    assert morning.year == year - 1
    assert auckland.is_open(morning)
    assert auckland.expected_bars("1h", morning, morning + timedelta(hours=1)) == [morning]


def test_a_night_session_that_ends_after_the_clock_was_set_ends_by_the_clock() -> None:
    night = market(NEW_YORK, "22:00-27:00", weekdays=frozenset(range(7)))
    spring, usual = night.session(date(2024, 3, 9)), night.session(date(2024, 3, 16))
    assert spring is not None
    assert usual is not None
    assert spring.close == at("2024-03-10 03:00", NEW_YORK)
    assert spring.close - spring.open == timedelta(hours=4)
    assert usual.close - usual.open == timedelta(hours=5)


def test_a_session_over_the_night_the_clock_is_set_is_an_hour_longer_or_shorter() -> None:
    overnight = market(NEW_YORK, "<18:00-17:00", weekdays=frozenset(range(7)))
    spring, autumn = overnight.session(date(2024, 3, 10)), overnight.session(date(2024, 11, 3))
    assert spring is not None
    assert autumn is not None
    assert spring.close - spring.open == timedelta(hours=22)
    assert autumn.close - autumn.open == timedelta(hours=24)


@pytest.mark.parametrize(
    "name",
    ["Africa/Casablanca", "Africa/Cairo", "America/Sao_Paulo", "Asia/Gaza", "Australia/Lord_Howe", "Asia/Tehran"],
)
def test_a_clock_set_at_odd_times_is_followed(name: str) -> None:
    zone = ZoneInfo(name)
    # Morocco's is set four times a year, around Ramadan; Brazil's at midnight; Lord Howe's by half an hour.
    every_day = market(zone, "10:00-17:00", weekdays=frozenset(range(7)))
    sessions = every_day.sessions(date(2010, 1, 1), date(2024, 1, 1))
    assert len(sessions) == 5_113
    for session in sessions:
        assert session.open == at(f"{session.date} 10:00", zone)
        assert session.close == at(f"{session.date} 17:00", zone)


def test_open_is_included_and_close_is_not() -> None:
    calendar = mumbai()
    assert calendar.is_open(at("2024-01-25 09:15", KOLKATA))
    assert calendar.is_open(at("2024-01-25 15:29:59.999999", KOLKATA))
    assert not calendar.is_open(at("2024-01-25 15:30", KOLKATA))
    assert not calendar.is_open(at("2024-01-25 09:14:59.999999", KOLKATA))


def test_the_session_of_a_moment_includes_its_breaks_and_not_its_close() -> None:
    calendar = shanghai()
    noon = calendar.session_of(at("2024-01-25 12:00", SHANGHAI))
    assert noon is not None
    assert noon.date == date(2024, 1, 25)
    assert calendar.session_of(at("2024-01-25 15:00", SHANGHAI)) is None
    assert calendar.session_of(at("2024-01-25 09:29", SHANGHAI)) is None


def test_sessions_come_in_order_and_the_end_is_not_among_them() -> None:
    days = [session.date.isoformat() for session in mumbai().sessions(date(2024, 1, 24), date(2024, 1, 30))]
    assert days == ["2024-01-24", "2024-01-25", "2024-01-29"]
    assert mumbai().sessions(date(2024, 1, 30), date(2024, 1, 30)) == []
    assert mumbai().sessions(date(2024, 1, 30), date(2024, 1, 1)) == []


def test_the_next_and_the_previous_session_skip_what_is_closed() -> None:
    following = mumbai().next_session(date(2024, 1, 25))
    before = mumbai().previous_session(date(2024, 1, 29))
    new_year = mumbai().previous_session(date(2024, 1, 1))
    assert following is not None
    assert before is not None
    assert new_year is not None
    assert following.date == date(2024, 1, 29)
    assert before.date == date(2024, 1, 25)
    assert new_year.date == date(2023, 12, 29)


def test_what_nobody_published_is_said_to_be_unknown() -> None:
    calendar = mumbai()
    known, unknown = calendar.session(date(2026, 12, 31)), calendar.session(date(2027, 1, 1))
    assert known is not None
    assert unknown is not None
    assert known.known
    assert not unknown.known
    assert (calendar.known_from, calendar.known_until) == (date(2000, 1, 1), date(2026, 12, 31))


def test_time_in_session_leaves_out_nights_breaks_and_weekends() -> None:
    calendar = shanghai()
    friday, monday = at("2024-01-26 14:59", SHANGHAI), at("2024-01-29 09:31", SHANGHAI)
    assert calendar.seconds_open(friday, monday) == 120
    assert calendar.seconds_open(at("2024-01-25 11:29", SHANGHAI), at("2024-01-25 13:01", SHANGHAI)) == 120
    assert calendar.seconds_open(monday, friday) == 0
    assert always().seconds_open(friday, monday) == (monday - friday).total_seconds()


@settings(deadline=None)
@given(calendars, st.lists(moments, min_size=3, max_size=3))
def test_time_in_session_adds_up(name: str, three: list[datetime]) -> None:
    first, middle, last = sorted(three)
    calendar = ALL[name]
    parts = calendar.seconds_open(first, middle) + calendar.seconds_open(middle, last)
    assert parts == pytest.approx(calendar.seconds_open(first, last), abs=1e-5)
    assert 0 <= calendar.seconds_open(first, last) <= (last - first).total_seconds() + 1e-5


@settings(deadline=None)
@given(calendars, st.lists(moments, max_size=50))
def test_many_moments_are_judged_as_each_alone(name: str, some: list[datetime]) -> None:
    calendar = ALL[name]
    mask = calendar.open_mask(micros_array(some))
    assert mask.tolist() == [calendar.is_open(moment) for moment in some]


@pytest.mark.parametrize("name", sorted(ALL))
@pytest.mark.parametrize("first", ["2024-01-24", "2024-03-01", "2024-03-09", "2024-11-02", "2024-12-30"])
def test_it_is_open_in_the_minutes_that_the_hours_say(name: str, first: str) -> None:
    calendar = ALL[name]
    start = datetime.fromisoformat(first).replace(tzinfo=UTC)
    end = start + timedelta(days=3)
    every = [start + timedelta(minutes=minute) for minute in range(3 * 1_440)]
    mask = calendar.open_mask(micros_array(every))
    found = minutes_open(calendar, start, end)
    assert [moment for moment, is_open in zip(every, mask, strict=True) if is_open] == found
    assert calendar.seconds_open(start, end) == 60 * len(found)


@settings(max_examples=50, deadline=None)
@given(calendars, st.dates(date(2023, 1, 1), date(2026, 1, 1)), st.integers(1, 800))
def test_sessions_are_those_of_each_date_and_apart(name: str, first: date, days: int) -> None:
    calendar = ALL[name]
    dates = [first + timedelta(days=day) for day in range(days)]
    sessions = calendar.sessions(first, first + timedelta(days=days))
    assert [session.date for session in sessions] == [day for day in dates if calendar.schedule.hours(day)]
    intervals = [interval for session in sessions for interval in session.intervals]
    assert all(interval.open < interval.close for interval in intervals)
    assert all(before.close <= after.open for before, after in pairwise(intervals))


def test_a_moment_without_a_time_zone_is_refused() -> None:
    naive, aware = datetime(2024, 1, 25, 10), datetime(2024, 1, 25, 10, tzinfo=UTC)  # noqa: DTZ001
    calendar = mumbai()
    for ask in (
        lambda: calendar.is_open(naive),
        lambda: calendar.session_of(naive),
        lambda: calendar.seconds_open(naive, aware),
        lambda: calendar.seconds_open(aware, naive),
        lambda: calendar.expected_bars("1m", naive, aware),
        lambda: calendar.missing(micros_array([]), "1m", aware, naive),
        lambda: micros_array([aware, naive]),
    ):
        with pytest.raises(ValueError, match="time zone"):
            ask()


def edges() -> list[datetime]:
    far_east, far_west = timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))
    return [
        datetime.min.replace(tzinfo=UTC),
        datetime.min.replace(tzinfo=far_east),
        datetime.max.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=far_west),
    ]


@pytest.mark.parametrize("name", sorted(ALL))
def test_the_ends_of_time_are_no_trouble(name: str) -> None:
    calendar = ALL[name]
    now = datetime(2024, 1, 25, 5, tzinfo=UTC)
    mask = calendar.open_mask(micros_array([*edges(), now]))
    assert mask.tolist() == [False, False, False, False, calendar.is_open(now)]
    for edge in edges():
        assert calendar.session_of(edge) is None
        assert not calendar.is_open(edge)
        assert calendar.expected_bars("1h", edge, edge) == []
        assert calendar.expected_mask("1d", micros_array([edge])).tolist() == [False]
    first, last = edges()[0], edges()[2]
    assert calendar.seconds_open(first, last) == pytest.approx(
        calendar.seconds_open(first, now) + calendar.seconds_open(now, last)
    )
    assert calendar.session(date.min) is None
    assert calendar.session(date.max) is None
    assert calendar.sessions(date.max, date.max) == []
    assert calendar.sessions(date(9998, 1, 1), date.max) == []
    assert calendar.next_session(date.max) is None
    assert calendar.previous_session(date.min) is None
    assert calendar.next_session(date.min) is not None
    assert calendar.previous_session(date.max) is not None


def test_no_moment_at_all_is_judged_too() -> None:
    nothing = np.empty(0, dtype=np.int64)
    assert mumbai().open_mask(nothing).size == 0
    assert mumbai().expected_mask("1m", nothing).size == 0


def test_a_market_that_never_opens_has_nothing() -> None:
    closed = Calendar("NONE", KOLKATA, market(KOLKATA, "").schedule)
    now = datetime(2024, 1, 25, 5, tzinfo=UTC)
    assert not closed.is_open(now)
    assert closed.session_of(now) is None
    assert closed.next_session(date(2024, 1, 25)) is None
    assert closed.expected_count("1m", now, now + timedelta(days=9)) == 0
    assert closed.expected_mask("1m", np.array([to_micros(now)])).tolist() == [False]
    assert closed.missing(micros_array([now]), "1d", now, now + timedelta(days=9)) == []
    assert closed.seconds_open(now, now + timedelta(days=9)) == 0
