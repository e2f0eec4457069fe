"""What all files of the LEAN layout share: markets, local times, scaled prices, names.

The layout is that of QuantConnect's LEAN engine: `<type>/<market>/minute/<symbol>/<date>_<kind>.zip`,
times in milliseconds since local midnight, prices of equities and options times 10,000.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from services.marketdata.formats.dataset import FormatError
from services.marketdata.formats.reading import number

_DAY_MS = 24 * 60 * 60 * 1000
_ZIP_DATE = re.compile(r"^(\d{8})_")


@dataclass(frozen=True, slots=True)
class Market:
    """Where a market is and what it trades in."""

    timezone: str
    calendar: str
    currency: str
    tick_size: Decimal


MARKETS = {
    "usa": Market("America/New_York", "XNYS", "USD", Decimal("0.01")),
    "india": Market("Asia/Kolkata", "XNSE", "INR", Decimal("0.05")),
}


def session_of(path: Path) -> date:
    """Return the date a file's name begins with; raises FormatError."""
    found = _ZIP_DATE.match(path.name)
    day = parse_day(found[1]) if found else None
    if day is None:
        raise FormatError(f"{path}: the name does not begin with a date (YYYYMMDD_)")
    return day


def parse_day(text: str) -> date | None:
    """Return the date of YYYYMMDD, or None."""
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8])) if len(text) == 8 else None
    except ValueError:
        return None


def local_moment(day: date, milliseconds: str, zone: ZoneInfo) -> datetime:
    """Return the UTC time of a local time of day; raises ValueError.

    The file counts wall-clock time: on the day the clocks change, 09:30 is still 34,200,000. A time the clocks
    skipped is refused; of one they show twice, the first is meant.
    """
    if not milliseconds.isascii() or not milliseconds.isdigit() or int(milliseconds[:12]) >= _DAY_MS:
        raise ValueError(f"{milliseconds[:40]!r} is not milliseconds since midnight")
    wall = datetime.combine(day, datetime.min.time()) + timedelta(milliseconds=int(milliseconds))
    moment = wall.replace(tzinfo=zone).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) != wall:
        raise ValueError(f"{wall.isoformat()} does not exist in {zone.key}: the clocks skipped it")
    return moment


def price(text: str, exponent: int) -> Decimal:
    """Return a price stored as an integer times ten to the power of `-exponent`; raises ValueError."""
    return number(text).scaleb(exponent)
