"""The calendars that are kept, and the files they are read from."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from cli.main import _COMMANDS
from services.marketdata.calendars import (
    ALWAYS_OPEN,
    UnknownCalendar,
    calendar_of,
    codes,
    read_overrides,
    read_schedule,
    seeded_overrides,
    written_schedule,
)
from services.marketdata.core.calendars import EVERY_DAY, Override, OverrideKind, Rule, Schedule, Session
from services.marketdata.core.calendars.hours import parsed
from services.marketdata.core.calendars.schedule import fitted
from tests.unit.marketdata.calendars.markets import KOLKATA, NEW_YORK, SHANGHAI, at

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[4]


def opening(session: Session | None, code: str) -> list[str]:
    zone = calendar_of(code).timezone
    intervals = () if session is None else session.intervals
    return [f"{i.open.astimezone(zone):%H:%M}-{i.close.astimezone(zone):%H:%M}" for i in intervals]


def on(code: str, day: str) -> list[str]:
    return opening(calendar_of(code).session(date.fromisoformat(day)), code)


@pytest.mark.parametrize(
    ("code", "day", "hours"),
    [
        ("XNSE", "2025-10-20", ["09:15-15:30"]),
        ("XNSE", "2009-12-31", ["09:55-15:30"]),
        ("XNSE", "2010-01-04", ["09:00-15:30"]),
        ("XNSE", "2010-10-18", ["09:15-15:30"]),
        # Diwali: an hour and no more, then a holiday.
        ("XNSE", "2025-10-21", ["13:45-14:45"]),
        ("XNSE", "2025-10-22", []),
        ("XNSE", "2024-11-01", ["18:00-19:00"]),
        ("XNSE", "2023-11-12", ["18:15-19:15"]),
        ("XNSE", "2020-02-01", ["09:15-15:30"]),
        ("XNSE", "2025-02-01", ["09:15-15:30"]),
        ("XNSE", "2026-02-01", ["09:15-15:30"]),
        ("XNSE", "2024-01-20", ["09:15-15:30"]),
        ("XNSE", "2024-03-02", ["09:15-10:00", "11:30-12:30"]),
        ("XNSE", "2024-05-18", ["09:15-10:00", "11:30-12:30"]),
        ("XNSE", "2021-02-24", ["09:15-11:40", "15:45-17:00"]),
        ("XNSE", "2013-11-15", []),
        ("XBOM", "2025-10-21", []),
        ("XBOM", "2025-10-20", ["09:15-15:30"]),
        ("XSHG", "2025-10-09", ["09:30-11:30", "13:00-15:00"]),
        ("XSHG", "2025-10-08", []),
        ("XSHE", "2025-10-09", ["09:30-11:30", "13:00-15:00"]),
        ("XNYS", "2025-11-26", ["09:30-16:00"]),
        ("XNYS", "2025-11-27", []),
        ("XNYS", "2025-11-28", ["09:30-13:00"]),
        ("XNAS", "2025-11-28", ["09:30-13:00"]),
        ("XHKG", "2025-12-24", ["09:30-12:00"]),
        ("XTKS", "2025-12-24", ["09:00-11:30", "12:30-15:30"]),
        ("XTKS", "2024-11-01", ["09:00-11:30", "12:30-15:00"]),
        ("CMES", "2025-11-26", ["17:00-17:00"]),
        (ALWAYS_OPEN, "2025-12-25", ["00:00-00:00"]),
    ],
)
def test_a_market_has_the_hours_of_that_day(code: str, day: str, hours: list[str]) -> None:
    assert on(code, day) == hours


def test_crypto_is_open_always_and_its_days_are_those_of_utc() -> None:
    calendar = calendar_of(ALWAYS_OPEN)
    start = datetime(2024, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert calendar.is_open(start)
    assert calendar.seconds_open(start, start + timedelta(days=400)) == 400 * 86_400
    assert calendar.expected_bars("1d", start, start + timedelta(days=1)) == [datetime(2025, 1, 1, tzinfo=UTC)]
    assert calendar.schedule.is_known(date(2099, 1, 1))


def test_a_calendar_keeps_the_name_it_was_asked_by() -> None:
    assert {code: calendar_of(code).code for code in ("XNAS", "XSHE", "XNSE")} == {
        "XNAS": "XNAS",
        "XSHE": "XSHE",
        "XNSE": "XNSE",
    }
    assert calendar_of("XNAS").timezone == NEW_YORK
    assert calendar_of("XSHE").timezone == SHANGHAI


def test_an_unknown_code_is_said_to_be_so() -> None:
    for code in ("XXXX", "", "../overrides/XNSE", "xnse"):
        with pytest.raises(UnknownCalendar):
            calendar_of(code)


def test_every_code_gives_a_calendar_with_sessions() -> None:
    assert {"24x7", "XNSE", "XBOM", "XSHG", "XSHE", "XNYS", "XNAS", "XHKG", "XTKS", "CMES"} < codes()
    for code in sorted(codes()):
        calendar = calendar_of(code)
        year = calendar.sessions(date(2026, 1, 1), date(2027, 1, 1))
        assert 220 < len(year) <= 365, code
        assert all(session.known for session in year), code


def test_a_calendar_is_made_once_and_with_overrides_apart() -> None:
    halloween = Override(date(2025, 10, 31), OverrideKind.CLOSED, (), "flood")
    assert calendar_of("XNSE") is calendar_of("XNSE")
    assert calendar_of("XNSE", [halloween]).session(date(2025, 10, 31)) is None
    assert calendar_of("XNSE").session(date(2025, 10, 31)) is not None
    # Those that are kept still hold beneath.
    assert opening(calendar_of("XNSE", [halloween]).session(date(2025, 10, 21)), "XNSE") == ["13:45-14:45"]


def test_an_override_of_the_desk_comes_after_those_that_are_kept() -> None:
    moved = Override(date(2025, 10, 21), OverrideKind.OPEN, parsed("18:00-19:00"), "moved")
    assert opening(calendar_of("XNSE", [moved]).session(date(2025, 10, 21)), "XNSE") == ["18:00-19:00"]


def test_after_the_published_holidays_weekdays_are_taken_for_regular_and_said_to_be_unknown() -> None:
    calendar = calendar_of("XNSE")
    assert calendar.known_until == date(2026, 12, 31)
    republic_day = calendar.session(date(2027, 1, 26))
    assert republic_day is not None
    assert not republic_day.known
    before = calendar.session(date(1996, 1, 26))
    assert before is not None
    assert not before.known


def test_the_table_of_nse_has_a_reason_and_a_source_for_every_date() -> None:
    overrides = seeded_overrides("XNSE")
    assert len({override.day for override in overrides}) == len(overrides) == 53
    assert all(override.reason and override.source for override in overrides)
    assert [override.day for override in overrides] == sorted(override.day for override in overrides)
    # What nobody published is called so, and nothing of the last ten years is among it.
    unverified = [override for override in overrides if not override.verified]
    assert len(unverified) == 25
    assert all("assumed" in override.reason for override in unverified)
    assert max(override.day for override in unverified) == date(2013, 11, 3)
    assert seeded_overrides("XNYS") == []


def test_there_is_one_muhurat_session_a_year() -> None:
    days = [override.day for override in seeded_overrides("XNSE") if override.reason.startswith("Muhurat")]
    assert [day.year for day in days] == list(range(2000, 2026))
    for day in days:
        assert calendar_of("XNSE").seconds_open(at(f"{day}", KOLKATA), at(f"{day}", KOLKATA) + timedelta(days=1)) in (
            3_600,
            4_500,
        )


@pytest.mark.parametrize(
    "row",
    [
        "2025-13-01,open,09:15-15:30,yes,r,s",
        "2025-01-01,ajar,09:15-15:30,yes,r,s",
        "2025-01-01,open,9:15,yes,r,s",
        "2025-01-01,open,,yes,r,s",
        "2025-01-01,closed,09:15-15:30,yes,r,s",
        "2025-01-01,open,09:15-15:30,perhaps,r,s",
        "2025-01-01,open",
    ],
)
def test_a_line_that_is_no_override_is_named(row: str) -> None:
    table = f"# a comment\nday,kind,hours,verified,reason,source\n2025-01-02,closed,,yes,r,s\n{row}\n"
    with pytest.raises(ValueError, match="line 4"):
        read_overrides(table)


def test_a_schedule_is_read_as_it_was_written() -> None:
    hours = parsed("<17:00-16:00")
    schedule = Schedule(
        (Rule(date(2000, 1, 1), parsed("09:30-11:30 13:00-15:00")), Rule(date(2010, 5, 1), hours, EVERY_DAY)),
        date(2000, 1, 1),
        date(2026, 12, 31),
        {date(2001, 1, 1): (), date(2001, 12, 24): parsed("09:30-11:30"), date(2002, 2, 9): hours},
    )
    assert read_schedule(written_schedule("Asia/Shanghai", schedule)) == ("Asia/Shanghai", schedule)


def test_exceptions_are_what_the_rules_do_not_say() -> None:
    monday, tuesday, saturday = date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 6)
    rules = Schedule((Rule(monday, parsed("09:00-17:00")),), monday, date(2024, 1, 7), {})
    full, half = parsed("09:00-17:00"), parsed("09:00-12:00")
    held = {date(2024, 1, day): full for day in (2, 3, 4)} | {date(2024, 1, 5): half, saturday: full}
    schedule = fitted(rules, held)
    assert schedule.exceptions == {monday: (), date(2024, 1, 5): half, saturday: full}
    assert schedule.hours(tuesday) == full


def test_calendars_need_neither_pandas_nor_the_library_they_come_from() -> None:
    script = (
        "import sys; from services.marketdata.calendars import calendar_of, codes;"
        "[calendar_of(code) for code in codes()];"
        "print(sorted({'pandas', 'exchange_calendars', 'dateutil'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_command_is_listed() -> None:
    assert "calendars" in {name for name, *_ in _COMMANDS}
