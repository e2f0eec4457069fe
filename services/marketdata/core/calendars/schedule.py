"""When a market is open, as rules in local time and the dates they do not hold for."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from services.marketdata.core.calendars.hours import CLOSED, Hours, joined

EVERY_DAY = frozenset(range(7))
WORKING_DAYS = frozenset(range(5))


@dataclass(frozen=True, slots=True)
class Rule:
    """The hours of regular days from a date on, until the next rule; weekdays count from Monday, 0."""

    since: date
    hours: Hours
    weekdays: frozenset[int] = WORKING_DAYS


@dataclass(frozen=True, slots=True)
class Schedule:
    """Rules in the order of their dates, and the hours of each date that differs; closed ones have none.

    From `known_from` to `known_until`, both included, it is what the market published, or what its rules for holidays
    give. Before and after, the first and the last rule are taken to hold, without any holiday.
    """

    rules: tuple[Rule, ...]
    known_from: date
    known_until: date
    exceptions: Mapping[date, Hours]

    def hours(self, day: date) -> Hours:
        """Return the hours of a date, without an interval where it is closed."""
        special = self.exceptions.get(day)
        return self.regular_hours(day) if special is None else special

    def regular_hours(self, day: date) -> Hours:
        """Return the hours that the rules alone give a date."""
        at = bisect_right(self.rules, day, key=lambda rule: rule.since) - 1
        rule = self.rules[max(at, 0)]
        return rule.hours if day.weekday() in rule.weekdays else CLOSED

    def is_known(self, day: date) -> bool:
        """Say whether a date's hours were published, or are only what a regular day would have."""
        return self.known_from <= day <= self.known_until or day in self.exceptions


def fitted(schedule: Schedule, hours: Mapping[date, Hours]) -> Schedule:
    """Return a schedule that has these hours on the dates it is known for and none on the others, by its exceptions."""
    days = (
        date.fromordinal(day) for day in range(schedule.known_from.toordinal(), schedule.known_until.toordinal() + 1)
    )
    found = ((day, hours.get(day, CLOSED)) for day in days)
    return replace(schedule, exceptions={day: those for day, those in found if those != schedule.regular_hours(day)})


class OverrideKind(StrEnum):
    """What an override does to the hours of its date."""

    CLOSED = "closed"
    OPEN = "open"
    EXTRA = "extra"


@dataclass(frozen=True, slots=True)
class Override:
    """What is so on one date, whatever the calendar says: closed, open for `hours`, or for `hours` on top.

    `verified` is false where no record and no circular at hand proves the hours. Raises ValueError for hours where the
    market is closed, and for none where it is open.
    """

    day: date
    kind: OverrideKind
    hours: Hours
    reason: str
    source: str = ""
    verified: bool = True

    def __post_init__(self) -> None:
        if (self.kind is OverrideKind.CLOSED) != (self.hours == CLOSED):
            raise ValueError(f"{self.day} is {self.kind}: it needs hours unless it is closed, and then none")
        joined(self.hours)


def overridden(schedule: Schedule, overrides: Iterable[Override]) -> Schedule:
    """Return a schedule with overrides laid over it in their order: of two for one date the later one holds.

    Raises ValueError where extra hours overlap those that are there.
    """
    exceptions = dict(schedule.exceptions)
    for override in overrides:
        hours = override.hours
        if override.kind is OverrideKind.EXTRA:
            there = exceptions.get(override.day, schedule.regular_hours(override.day))
            hours = joined((*there, *override.hours))
        exceptions[override.day] = hours
    return replace(schedule, exceptions=exceptions)
