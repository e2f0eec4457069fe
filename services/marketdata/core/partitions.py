"""The ranges of time that a partitioned table is cut into: months of these decades, years and ages before and after.

Old history is days more than minutes; a partition of each of its months would be many for little.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

_YEARS_FROM, _MONTHS_FROM, _MONTHS_UNTIL, _YEARS_UNTIL = 1970, 2020, 2050, 2100


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """A range of time and what the partition's name ends in; `start` and `end` are as SQL has them, None for open."""

    suffix: str
    start: datetime | None
    end: datetime | None

    @property
    def bounds(self) -> str:
        """Return the range as SQL has it."""
        start = f"'{self.start.isoformat()}'" if self.start else "MINVALUE"
        end = f"'{self.end.isoformat()}'" if self.end else "MAXVALUE"
        return f"FOR VALUES FROM ({start}) TO ({end})"


def partition_of(moment: datetime) -> Partition:
    """Return the partition a moment belongs to."""
    year, month = moment.year, moment.month
    if year < _YEARS_FROM:
        return Partition("early", None, _day_one(_YEARS_FROM, 1))
    if year >= _YEARS_UNTIL:
        return Partition("late", _day_one(_YEARS_UNTIL, 1), None)
    if not _MONTHS_FROM <= year < _MONTHS_UNTIL:
        return Partition(f"{year}", _day_one(year, 1), _day_one(year + 1, 1))
    following = _day_one(year + month // 12, month % 12 + 1)
    return Partition(f"{year}_{month:02d}", _day_one(year, month), following)


def _day_one(year: int, month: int) -> datetime:
    return datetime(year, month, 1, tzinfo=UTC)
