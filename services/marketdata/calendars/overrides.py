"""Overrides that are kept in files: what was so on single dates, why, and who says so."""

import csv
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from services.marketdata.core.calendars.hours import parsed
from services.marketdata.core.calendars.schedule import Override, OverrideKind

_FOLDER = Path(__file__).parent / "data" / "overrides"


def read_overrides(text: str) -> list[Override]:
    """Return the overrides of a table, in its order; lines that begin with # say what it is.

    Its columns are day, kind, hours, verified (yes or no), reason and source. Raises ValueError, naming the line, where
    one is none.
    """
    return list(_overrides(text))


def seeded_overrides(code: str) -> list[Override]:
    """Return the overrides that are kept for a calendar, none where there are none."""
    path = _FOLDER / f"{code}.csv"
    return read_overrides(path.read_text(encoding="utf-8")) if path.exists() else []


def _overrides(text: str) -> Iterator[Override]:
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line and not line.startswith("#")]
    rows = csv.DictReader((line for _, line in lines), strict=True)
    for (number, _), row in zip(lines[1:], rows, strict=True):
        try:
            yield _override(row)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"line {number} is no override: {error}") from error


def _override(row: dict[str, str]) -> Override:
    return Override(
        day=date.fromisoformat(row["day"]),
        kind=OverrideKind(row["kind"]),
        hours=parsed(row["hours"]),
        reason=row["reason"],
        source=row["source"],
        verified={"yes": True, "no": False}[row["verified"]],
    )
