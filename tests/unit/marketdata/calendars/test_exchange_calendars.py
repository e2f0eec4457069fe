"""What is kept of exchange_calendars, against exchange_calendars."""

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest

from cli.calendars import DATA, horizon, schedule_of
from services.marketdata.calendars import calendar_of, written_schedule
from services.marketdata.core.calendars import Session

# pandas warns of its own future wherever exchange_calendars uses it.
pytestmark = [pytest.mark.unit, pytest.mark.filterwarnings("ignore")]

exchange_calendars = pytest.importorskip("exchange_calendars", reason="exchange_calendars is not installed")
FIRST = date(2012, 1, 1)


@pytest.fixture(scope="module", autouse=True)
def sound() -> None:
    """Skip where the library drops sessions it has listed, as it does on pandas 3."""
    if not exchange_calendars.get_calendar("XBOM").is_session("2025-02-01"):
        pytest.skip("this exchange_calendars with this pandas drops sessions of special weeks: use pandas below 3")


def theirs(code: str, last: date) -> Any:
    return exchange_calendars.get_calendar(code, start=FIRST.isoformat(), end=last.isoformat())


def intervals(session: Session) -> list[tuple[datetime, datetime]]:
    return [(interval.open, interval.close) for interval in session.intervals]


@pytest.mark.parametrize("code", ["XBOM", "XSHG", "XNYS", "XHKG", "XTKS", "CMES", "XLON", "XASX", "XTAE", "XNAS"])
def test_sessions_open_and_close_as_it_says(code: str) -> None:
    calendar = calendar_of(code)
    source = theirs(code, calendar.known_until)
    ours = calendar.sessions(FIRST, date.fromordinal(calendar.known_until.toordinal() + 1))
    assert [session.date for session in ours] == [label.date() for label in source.sessions]
    for session, row in zip(ours, source.schedule.itertuples(), strict=True):
        opens, breaks, resumes, closes = (
            None if moment != moment else moment.to_pydatetime().astimezone(UTC)
            for moment in (row.open, row.break_start, row.break_end, row.close)
        )
        expected = [(opens, closes)] if breaks is None else [(opens, breaks), (resumes, closes)]
        assert intervals(session) == expected, session.date


@pytest.mark.parametrize("code", ["XSHG", "XNYS", "CMES"])
def test_minutes_are_its_trading_minutes(code: str) -> None:
    calendar = calendar_of(code)
    minutes = theirs(code, date(2025, 12, 31)).minutes_in_range("2025-03-03", "2025-11-10")
    start, end = datetime(2025, 3, 3, tzinfo=UTC), datetime(2025, 11, 10, 0, 1, tzinfo=UTC)
    ours = calendar.expected_starts("1m", start, end)
    assert np.array_equal(ours, minutes.as_unit("us").asi8)


@pytest.mark.parametrize("code", ["XBOM", "XSHG", "XSAU", "XKRX"])
def test_the_kept_file_is_what_would_be_written_today(code: str) -> None:
    path = DATA / "schedules" / f"{code}.json"
    assert written_schedule(*schedule_of(code, horizon(path))) == path.read_text(encoding="utf-8")
