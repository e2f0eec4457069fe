"""Schedules as they are kept in files: the rules, and the dates they do not hold for, by year."""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any

from services.marketdata.core.calendars.hours import CLOSED, Hours, parsed, written
from services.marketdata.core.calendars.schedule import WORKING_DAYS, Rule, Schedule


def read_schedule(text: str) -> tuple[str, Schedule]:
    """Return the time zone and the schedule of a file; raises ValueError or KeyError where it is not one."""
    kept: dict[str, Any] = json.loads(text)
    exceptions = dict.fromkeys(_dates(kept["closed"]), CLOSED)
    for hours, years in kept["special"].items():
        exceptions.update(dict.fromkeys(_dates(years), parsed(hours)))
    schedule = Schedule(
        tuple(_rule(rule) for rule in kept["rules"]),
        date.fromisoformat(kept["known_from"]),
        date.fromisoformat(kept["known_until"]),
        exceptions,
    )
    return kept["timezone"], schedule


def written_schedule(zone: str, schedule: Schedule) -> str:
    """Return the text of a file that `read_schedule` reads back."""
    special: dict[Hours, list[date]] = {}
    for day in sorted(schedule.exceptions):
        special.setdefault(schedule.exceptions[day], []).append(day)
    closed = special.pop(CLOSED, [])
    kept = {
        "timezone": zone,
        "known_from": schedule.known_from.isoformat(),
        "known_until": schedule.known_until.isoformat(),
        "rules": [_kept_rule(rule) for rule in schedule.rules],
        "closed": _years(closed),
        "special": {written(hours): _years(special[hours]) for hours in sorted(special)},
    }
    return json.dumps(kept, indent=1) + "\n"


def _rule(kept: Mapping[str, Any]) -> Rule:
    weekdays = frozenset(kept.get("weekdays", WORKING_DAYS))
    return Rule(date.fromisoformat(kept["since"]), parsed(kept["hours"]), weekdays)


def _kept_rule(rule: Rule) -> dict[str, Any]:
    kept: dict[str, Any] = {"since": rule.since.isoformat(), "hours": written(rule.hours)}
    if rule.weekdays != WORKING_DAYS:
        kept["weekdays"] = sorted(rule.weekdays)
    return kept


def _dates(years: Mapping[str, str]) -> Iterator[date]:
    """Yield the dates of years that are written as {"2024": "01-01 12-25"}."""
    for year, days in years.items():
        for day in days.split():
            yield date.fromisoformat(f"{year}-{day}")


def _years(days: Iterable[date]) -> dict[str, str]:
    years: dict[str, list[str]] = {}
    for day in days:
        years.setdefault(str(day.year), []).append(f"{day:%m-%d}")
    return {year: " ".join(found) for year, found in years.items()}
