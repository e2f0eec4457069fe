"""Which calendars there are, and how each is made."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from services.marketdata.calendars.overrides import seeded_overrides
from services.marketdata.calendars.schedules import read_schedule
from services.marketdata.core.calendars import EVERY_DAY, Calendar, Override, Rule, Schedule, with_overrides
from services.marketdata.core.calendars.hours import parsed

ALWAYS_OPEN = "24x7"
NSE = "XNSE"

_FOLDER = Path(__file__).parent / "data" / "schedules"
# Shenzhen keeps the hours and the holidays of Shanghai.
_OUR_ALIASES = {"XSHE": "XSHG", "NSE": NSE}
# Mumbai's two exchanges close together; the hours before 2010 are the National Stock Exchange's own.
_NSE_HOLIDAYS = "XBOM"
_NSE_RULES = (
    Rule(date(1994, 11, 3), parsed("09:55-15:30")),
    Rule(date(2010, 1, 4), parsed("09:00-15:30")),
    Rule(date(2010, 10, 18), parsed("09:15-15:30")),
)


class UnknownCalendar(LookupError):
    """A code that names no calendar."""


def calendar_of(code: str, overrides: Iterable[Override] = ()) -> Calendar:
    """Return the calendar of a market by its code (ISO 10383, or 24x7), with overrides laid over those that are kept.

    It is made once; with overrides, each time. Raises UnknownCalendar, and ValueError where extra hours overlap.
    """
    calendar = _seeded(code)
    laid_over = list(overrides)
    return with_overrides(calendar, laid_over) if laid_over else calendar


@cache
def codes() -> frozenset[str]:
    """Return the codes of all calendars, the other names some go by among them."""
    return frozenset({ALWAYS_OPEN, NSE, *_aliases(), *(path.stem for path in _FOLDER.glob("*.json"))})


@cache
def _seeded(code: str) -> Calendar:
    if code not in codes():
        raise UnknownCalendar(f"there is no calendar {code}")
    name = _aliases().get(code, code)
    if name == ALWAYS_OPEN:
        rule = Rule(date.min, parsed("00:00-24:00"), EVERY_DAY)
        return Calendar(code, ZoneInfo("UTC"), Schedule((rule,), date.min, date.max, {}))
    zone, schedule = _kept(_NSE_HOLIDAYS if name == NSE else name)
    if name == NSE:
        schedule = replace(schedule, rules=_NSE_RULES)
    return with_overrides(Calendar(code, ZoneInfo(zone), schedule), seeded_overrides(name))


@cache
def _aliases() -> Mapping[str, str]:
    kept: dict[str, str] = json.loads((_FOLDER.parent / "aliases.json").read_text(encoding="utf-8"))
    return {**kept, **_OUR_ALIASES}


def _kept(name: str) -> tuple[str, Schedule]:
    return read_schedule((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
