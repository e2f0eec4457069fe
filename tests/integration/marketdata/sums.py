"""Totals of minutes out of the raw files, with nothing of ours: the csv, gzip and zipfile of Python alone."""

import csv
import gzip
import io
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

_MINUTE = timedelta(minutes=1)
_TEN_PLACES = Decimal("1e-10")


@dataclass(frozen=True)
class Minute:
    """One bar of a minute as its file has it."""

    ts: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    amount: Decimal | None


@dataclass(frozen=True)
class Hours:
    """Where hours and days begin: so many minutes past the hour in UTC, and at midnight there."""

    minutes: int
    zone: str


COIN, NSE, NEW_YORK = Hours(0, "UTC"), Hours(45, "Asia/Kolkata"), Hours(30, "America/New_York")


def klines(file: Path) -> Iterator[Minute]:
    """Yield the minutes of a file of Binance."""
    with gzip.open(file, "rt") as lines:
        for row in csv.DictReader(lines):
            yield Minute(
                datetime.fromisoformat(row["close_datetime"]).astimezone(UTC) + timedelta(milliseconds=1) - _MINUTE,
                *(Decimal(row[name]) for name in ("open", "high", "low", "close", "volume")),
                Decimal(row["quote_volume"]).quantize(_TEN_PLACES),
            )


def lean(files: Iterable[Path], zone: str, price: Decimal) -> Iterator[Minute]:
    """Yield the minutes of LEAN's zips, prices in units of `price`."""
    for file in sorted(files):
        stamp = file.name[:8]
        midnight = datetime.fromisoformat(stamp)
        with zipfile.ZipFile(file) as archive:
            (member,) = (name for name in archive.namelist() if name.startswith(stamp))
            for row in csv.reader(io.TextIOWrapper(archive.open(member), "utf-8")):
                local = (midnight + timedelta(milliseconds=int(row[0]))).replace(tzinfo=ZoneInfo(zone))
                prices = (Decimal(cell) * price for cell in row[1:5])
                yield Minute(local.astimezone(UTC), *prices, Decimal(row[5]), None)


def begins(moment: datetime, interval: str, hours: Hours) -> datetime:
    """Return where the bar of an interval begins that a minute is part of."""
    if interval == "1d":
        local = moment.astimezone(ZoneInfo(hours.zone))
        return local.replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
    if interval == "5m":
        return moment.replace(minute=moment.minute // 5 * 5)
    past = moment - timedelta(minutes=hours.minutes)
    return past.replace(minute=0) + timedelta(minutes=hours.minutes)


def totals(minutes: Iterable[Minute], interval: str, hours: Hours) -> dict[datetime, tuple[Decimal | int | None, ...]]:
    """Return open, high, low, close, volume, amount and the number of minutes of each bar of an interval."""
    groups: dict[datetime, list[Minute]] = {}
    for minute in sorted(minutes, key=lambda each: each.ts):
        groups.setdefault(begins(minute.ts, interval, hours), []).append(minute)
    return {
        start: (
            group[0].open,
            max(each.high for each in group),
            min(each.low for each in group),
            group[-1].close,
            sum((each.volume for each in group), Decimal(0)),
            None if group[0].amount is None else sum((each.amount or Decimal(0) for each in group), Decimal(0)),
            len(group),
        )
        for start, group in groups.items()
    }
