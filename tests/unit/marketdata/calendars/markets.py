"""Small calendars of known hours for the tests."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from services.marketdata.core.calendars import EVERY_DAY, WORKING_DAYS, Calendar, Hours, Rule, Schedule
from services.marketdata.core.calendars.hours import parsed

KOLKATA = ZoneInfo("Asia/Kolkata")
SHANGHAI = ZoneInfo("Asia/Shanghai")
NEW_YORK = ZoneInfo("America/New_York")
CHICAGO = ZoneInfo("America/Chicago")
FROM, UNTIL = date(2000, 1, 1), date(2026, 12, 31)


def market(
    zone: ZoneInfo,
    hours: str,
    exceptions: dict[date, Hours] | None = None,
    weekdays: frozenset[int] = WORKING_DAYS,
) -> Calendar:
    return Calendar("TEST", zone, Schedule((Rule(FROM, parsed(hours), weekdays),), FROM, UNTIL, exceptions or {}))


def mumbai() -> Calendar:
    # Closed on Republic Day, an hour in the evening of a Saturday.
    return market(KOLKATA, "09:15-15:30", {date(2024, 1, 26): (), date(2024, 3, 2): parsed("18:15-19:15")})


def shanghai() -> Calendar:
    return market(SHANGHAI, "09:30-11:30 13:00-15:00")


def new_york() -> Calendar:
    return market(NEW_YORK, "09:30-16:00", {date(2024, 11, 29): parsed("09:30-13:00"), date(2024, 11, 28): ()})


def chicago() -> Calendar:
    return market(CHICAGO, "<17:00-17:00")


def always() -> Calendar:
    return market(ZoneInfo("UTC"), "00:00-24:00", weekdays=EVERY_DAY)


ALL = {"mumbai": mumbai(), "shanghai": shanghai(), "new_york": new_york(), "chicago": chicago(), "always": always()}


def at(text: str, zone: ZoneInfo) -> datetime:
    """Return a moment read off the clocks of a zone, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


def clock(moments: list[datetime], zone: ZoneInfo) -> list[str]:
    return [moment.astimezone(zone).strftime("%H:%M") for moment in moments]


def minutes_open(calendar: Calendar, start: datetime, end: datetime) -> list[datetime]:
    """Return every minute that begins in session, found by asking for each: the slow way, to compare with."""
    zone, hours = calendar.timezone, calendar.schedule.hours
    found = []
    moment = start
    while moment < end:
        local = moment.astimezone(zone).replace(tzinfo=None)
        for day in (local.date() - timedelta(1), local.date(), local.date() + timedelta(1)):
            midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001
            if any(
                midnight + timedelta(minutes=opens) <= local < midnight + timedelta(minutes=closes)
                for opens, closes in hours(day)
            ):
                found.append(moment)
                break
        moment += timedelta(minutes=1)
    return found
