"""The calendars of markets by their codes, from the schedules and overrides that are kept beside this file."""

from services.marketdata.calendars.known import ALWAYS_OPEN, UnknownCalendar, calendar_of, codes
from services.marketdata.calendars.overrides import read_overrides, seeded_overrides
from services.marketdata.calendars.schedules import read_schedule, written_schedule

__all__ = [
    "ALWAYS_OPEN",
    "UnknownCalendar",
    "calendar_of",
    "codes",
    "read_overrides",
    "read_schedule",
    "seeded_overrides",
    "written_schedule",
]
