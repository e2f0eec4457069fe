"""How hours are written, and what overrides do to a schedule."""

from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.marketdata.core.calendars import (
    CLOSED,
    Calendar,
    Hours,
    Override,
    OverrideKind,
    Rule,
    Schedule,
    with_overrides,
)
from services.marketdata.core.calendars.hours import joined, parsed, written
from tests.unit.marketdata.calendars.markets import KOLKATA, at, mumbai

pytestmark = pytest.mark.unit

THURSDAY = date(2024, 1, 25)
SATURDAY = date(2024, 1, 27)


@st.composite
def some_hours(draw: st.DrawFn) -> Hours:
    marks = sorted(draw(st.sets(st.integers(-1_440, 2_880), max_size=8)))
    return tuple(pairwise(marks))[::2]


@settings(deadline=None)
@given(some_hours())
def test_hours_are_read_as_they_are_written(hours: Hours) -> None:
    assert parsed(written(hours)) == hours


def test_hours_are_minutes_from_midnight() -> None:
    assert parsed("13:00-15:00 09:30-11:30") == ((570, 690), (780, 900))
    assert parsed("<17:00-16:00") == ((-420, 960),)
    assert parsed("00:00-24:00") == ((0, 1_440),)
    assert parsed("") == CLOSED


@pytest.mark.parametrize(
    "text", ["9:15-15:30", "09:15", "09:15-09:15", "15:30-09:15", "09:15-15:60", "09:15-49:00", "x"]
)
def test_what_are_no_hours_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="interval"):
        parsed(text)


def test_intervals_that_overlap_are_refused() -> None:
    with pytest.raises(ValueError, match="overlap"):
        joined([(570, 700), (690, 900)])
    assert joined([(570, 690), (690, 900)]) == ((570, 690), (690, 900))


def test_each_rule_holds_until_the_next_and_the_first_one_before() -> None:
    old, new = parsed("10:00-15:30"), parsed("09:15-15:30")
    schedule = Schedule(
        (Rule(date(2000, 1, 1), old), Rule(date(2010, 10, 18), new)), date(2000, 1, 1), date(2026, 12, 31), {}
    )
    assert schedule.hours(date(1999, 12, 31)) == old
    assert schedule.hours(date(2010, 10, 15)) == old
    assert schedule.hours(date(2010, 10, 18)) == new
    assert schedule.hours(date(2010, 10, 23)) == CLOSED


def test_an_override_closes_opens_and_adds() -> None:
    calendar = with_overrides(
        mumbai(),
        [
            Override(THURSDAY, OverrideKind.EXTRA, parsed("18:00-19:00"), "an evening on top"),
            Override(date(2024, 1, 24), OverrideKind.CLOSED, CLOSED, "an election"),
            Override(SATURDAY, OverrideKind.OPEN, parsed("09:15-10:00 11:30-12:30"), "a test of the second site"),
            Override(date(2024, 1, 28), OverrideKind.EXTRA, parsed("18:00-19:00"), "extra on a closed day"),
        ],
    )
    assert calendar.schedule.hours(THURSDAY) == parsed("09:15-15:30 18:00-19:00")
    assert calendar.session(date(2024, 1, 24)) is None
    saturday = calendar.session(SATURDAY)
    assert saturday is not None
    assert len(saturday.intervals) == 2
    assert calendar.is_open(at("2024-01-27 11:30", KOLKATA))
    assert not calendar.is_open(at("2024-01-27 11:00", KOLKATA))
    assert calendar.schedule.hours(date(2024, 1, 28)) == parsed("18:00-19:00")


def test_the_calendar_below_stays_as_it_was() -> None:
    below = mumbai()
    above = with_overrides(below, [Override(THURSDAY, OverrideKind.CLOSED, CLOSED, "")])
    assert isinstance(above, Calendar)
    assert below.session(THURSDAY) is not None
    assert above.session(THURSDAY) is None


def test_of_two_overrides_of_a_date_the_later_one_holds() -> None:
    one = Override(SATURDAY, OverrideKind.OPEN, parsed("09:15-12:30"), "announced first")
    two = Override(SATURDAY, OverrideKind.OPEN, parsed("09:15-15:30"), "announced later")
    extra = Override(SATURDAY, OverrideKind.EXTRA, parsed("18:00-19:00"), "on top")
    assert with_overrides(mumbai(), [one, two, extra]).schedule.hours(SATURDAY) == parsed("09:15-15:30 18:00-19:00")
    assert with_overrides(mumbai(), [two, one]).schedule.hours(SATURDAY) == parsed("09:15-12:30")


def test_a_date_with_an_override_is_known_however_far_it_is() -> None:
    day = date(2030, 11, 5)
    calendar = with_overrides(mumbai(), [Override(day, OverrideKind.OPEN, parsed("18:00-19:00"), "Muhurat")])
    session = calendar.session(day)
    assert session is not None
    assert session.known


def test_an_override_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="needs hours"):
        Override(SATURDAY, OverrideKind.OPEN, CLOSED, "open without hours")
    with pytest.raises(ValueError, match="needs hours"):
        Override(SATURDAY, OverrideKind.CLOSED, parsed("09:15-15:30"), "closed with hours")
    with pytest.raises(ValueError, match="overlap"):
        with_overrides(mumbai(), [Override(THURSDAY, OverrideKind.EXTRA, parsed("15:00-16:00"), "")])
