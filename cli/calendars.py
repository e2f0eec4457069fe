"""Write the schedules of markets out of exchange_calendars, or check that they are what it says.

The services read what is written here: pandas, on which exchange_calendars is built, costs a process 50 MB and half a
second, and the schedules of a market change a few times a year.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from math import isnan
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.generated import Check, keep_current
from cli.paths import ROOT
from services.marketdata.calendars.schedules import read_schedule, written_schedule
from services.marketdata.core.calendars.hours import Hours, joined
from services.marketdata.core.calendars.schedule import Rule, Schedule, fitted

DATA = ROOT / "services" / "marketdata" / "calendars" / "data"
FIRST = date(1990, 1, 1)
# Those that are always open are made without a file.
_NOT_KEPT = ("24/7",)
# A week of other weekdays is no rule: its dates are exceptions.
_SHORTEST_RULE = timedelta(days=60)

Until = Annotated[
    str | None, typer.Option(help="The last date to write, where the market's own list does not end before.")
]


def calendars(check: Check = False, until: Until = None) -> None:
    """Write the schedules of markets out of exchange_calendars."""
    try:
        import exchange_calendars
    except ImportError:
        typer.echo("needs exchange_calendars: pip install exchange_calendars", err=True)
        sys.exit(2)
    if not exchange_calendars.get_calendar("XBOM").is_session("2025-02-01"):
        # Seen with pandas 3: it drops the sessions of weeks with other weekdays, and says nothing.
        typer.echo("this exchange_calendars does not know a Saturday it has listed: use pandas below 3", err=True)
        sys.exit(2)
    documents: dict[Path, str] = {}
    for name in exchange_calendars.get_calendar_names(include_aliases=False):
        if name in _NOT_KEPT:
            continue
        path = DATA / "schedules" / f"{name.replace('/', 'x')}.json"
        zone, schedule = schedule_of(name, date.fromisoformat(until) if until else horizon(path))
        documents[path] = written_schedule(zone, schedule)
    aliases = exchange_calendars.calendar_utils._default_calendar_aliases
    documents[DATA / "aliases.json"] = json.dumps(aliases, indent=1, sort_keys=True) + "\n"
    keep_current(documents, check, "make calendars")


def horizon(path: Path) -> date:
    """Return until when a kept schedule is known, so that the same is written again."""
    if not path.exists():
        raise typer.BadParameter(f"{path.name} is new: say --until which date to write it")
    return read_schedule(path.read_text(encoding="utf-8"))[1].known_until


def schedule_of(name: str, until: date) -> tuple[str, Schedule]:
    """Return the time zone and the schedule of a calendar of exchange_calendars; raises ValueError from it."""
    import exchange_calendars

    bounds = exchange_calendars.get_calendar(name)
    first = max(FIRST, _date(bounds.bound_min()) or FIRST)
    last = min(until, _date(bounds.bound_max()) or until)
    calendar = exchange_calendars.get_calendar(name, start=first.isoformat(), end=last.isoformat())
    hours = dict(_sessions(calendar))
    rules = tuple(_rules(hours, [first, *_changes(calendar, first, last)], last))
    return str(calendar.tz), fitted(Schedule(rules, first, last, {}), hours)


def _sessions(calendar: Any) -> Iterator[tuple[date, Hours]]:
    """Yield the date and the hours of each session; raises ValueError for one that has none."""
    labels = calendar.sessions
    # Minutes from the local midnight of the date, NaN where there is no break.
    columns = [
        ((moments.dt.tz_convert(calendar.tz).dt.tz_localize(None) - labels).dt.total_seconds() // 60).tolist()
        for moments in (calendar.schedule[name] for name in ("open", "break_start", "break_end", "close"))
    ]
    for label, opens, break_start, break_end, closes in zip(labels, *columns, strict=True):
        if isnan(break_start):
            yield label.date(), joined([(int(opens), int(closes))])
        else:
            yield label.date(), joined([(int(opens), int(break_start)), (int(break_end), int(closes))])


def _changes(calendar: Any, first: date, last: date) -> list[date]:
    """Return the dates on which other regular hours or weekdays begin."""
    times = ("open_times", "break_start_times", "break_end_times", "close_times")
    found = [_date(since) for each in times for since, _ in getattr(calendar, each) or ()]
    for since, until, _ in getattr(calendar, "special_weekmasks", ()):
        begin, end = _date(since) or first, _date(until) or last
        if end - max(begin, first) >= _SHORTEST_RULE:
            found += [begin, end + timedelta(days=1)]
    return sorted({day for day in found if day is not None and first < day <= last})


def _rules(hours: Mapping[date, Hours], starts: list[date], last: date) -> Iterator[Rule]:
    """Yield the most usual hours and the weekdays that are mostly open, from each start on, where they change."""
    before: Rule | None = None
    for since, following in zip(starts, [*starts[1:], last + timedelta(days=1)], strict=True):
        days = [since + timedelta(days=offset) for offset in range((following - since).days)]
        open_days = [day for day in days if day in hours]
        if not open_days:
            continue
        usual = Counter(hours[day] for day in open_days).most_common(1)[0][0]
        all_of, open_of = (Counter(day.weekday() for day in some) for some in (days, open_days))
        rule = Rule(since, usual, frozenset(day for day in all_of if 2 * open_of[day] > all_of[day]))
        if before is None or (rule.hours, rule.weekdays) != (before.hours, before.weekdays):
            yield rule
        before = rule


def _date(timestamp: Any) -> date | None:
    found: date | None = None if timestamp is None else timestamp.date()
    return found


if __name__ == "__main__":
    typer.run(calendars)
