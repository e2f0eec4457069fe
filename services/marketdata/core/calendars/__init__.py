"""Session calendars: pure values and arithmetic; where their facts come from is the adapter's business."""

from services.marketdata.core.calendars.calendar import Calendar, with_overrides
from services.marketdata.core.calendars.hours import CLOSED, Hours
from services.marketdata.core.calendars.schedule import EVERY_DAY, WORKING_DAYS, Override, OverrideKind, Rule, Schedule
from services.marketdata.core.calendars.sessions import Gap, Micros, Session, TradingInterval, micros_array, to_micros
from services.marketdata.core.calendars.spans import NO_BAR

__all__ = [
    "CLOSED",
    "EVERY_DAY",
    "NO_BAR",
    "WORKING_DAYS",
    "Calendar",
    "Gap",
    "Hours",
    "Micros",
    "Override",
    "OverrideKind",
    "Rule",
    "Schedule",
    "Session",
    "TradingInterval",
    "micros_array",
    "to_micros",
    "with_overrides",
]
