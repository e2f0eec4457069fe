"""Calendars against what was recorded: index days, a share with missing days, minutes, and option chains."""

import csv
import gzip
import zipfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from services.marketdata.calendars import ALWAYS_OPEN, calendar_of, seeded_overrides
from services.marketdata.core.calendars import Calendar, Gap, OverrideKind, micros_array
from tests.unit.marketdata.calendars.markets import KOLKATA, SHANGHAI, at

FULL = Path(__file__).parents[5] / "shared" / "data"
pytestmark = [
    pytest.mark.unit,
    pytest.mark.skipif(not FULL.is_dir(), reason="the full data folder ../shared/data is not here"),
]

NIFTY = "nifty50_index_daily_2000_2024.csv"
# A fault of the file and not of the calendar: its row of 10 April 2024, when NSE traded and the index closed at
# 22,753.80, is dated a day later, on Ramzan Id, when it was closed.
MISDATED = (date(2024, 4, 10), date(2024, 4, 11))


def days(name: str, *formats: str) -> set[date]:
    with (FULL / name).open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        next(rows)
        return {parsed_date(row[0], formats) for row in rows if row}


def parsed_date(text: str, formats: tuple[str, ...]) -> date:
    for each in formats:
        try:
            return datetime.strptime(text, each).replace(tzinfo=UTC).date()
        except ValueError:
            continue
    raise AssertionError(text)


def sessions(calendar: Calendar, recorded: set[date]) -> set[date]:
    past = max(recorded) + timedelta(days=1)
    return {session.date for session in calendar.sessions(min(recorded), past)}


def test_nse_held_the_sessions_of_its_index_and_no_others() -> None:
    recorded = days(NIFTY, "%d-%m-%Y", "%d-%b-%y")
    calendar = sessions(calendar_of("XNSE"), recorded)
    assert len(recorded) == 6_082
    assert (calendar - recorded, recorded - calendar) == ({MISDATED[0]}, {MISDATED[1]})


def test_without_the_overrides_the_calendar_of_nse_would_be_wrong() -> None:
    recorded = days(NIFTY, "%d-%m-%Y", "%d-%b-%y")
    holidays = sessions(calendar_of("XBOM"), recorded)
    wrong = (holidays ^ recorded) - set(MISDATED)
    overridden = {override.day for override in seeded_overrides("XNSE")}
    assert len(wrong) == 37
    assert wrong < overridden


def test_every_override_of_nse_is_in_the_record_of_its_index() -> None:
    recorded = days(NIFTY, "%d-%m-%Y", "%d-%b-%y")
    for override in seeded_overrides("XNSE"):
        if override.day <= max(recorded):
            assert (override.day in recorded) == (override.kind is not OverrideKind.CLOSED), override


def test_new_york_held_the_sessions_of_its_index() -> None:
    recorded = days("sp500_daily_1999_2018.csv", "%Y-%m-%d")
    assert sessions(calendar_of("XNYS"), recorded) == recorded


def test_the_days_on_which_vix_has_no_value_are_those_new_york_was_closed() -> None:
    with (FULL / "vix_daily_2014_2019.csv").open(encoding="utf-8", newline="") as file:
        rows = [(date.fromisoformat(row["Date"]), row["vix"]) for row in csv.DictReader(file)]
    calendar = calendar_of("XNYS")
    assert [day for day, value in rows if not value] == [day for day, _ in rows if calendar.session(day) is None]


def test_the_days_missing_of_moutai_are_found() -> None:
    recorded = days("sse_600519_daily_2012_2020_with_faults.csv", "%Y年%m月%d日")
    calendar = calendar_of("XSHG")
    present = micros_array(at(f"{day}", SHANGHAI) for day in recorded)
    start, end = at(f"{min(recorded)}", SHANGHAI), at(f"{max(recorded)}", SHANGHAI) + timedelta(days=1)
    missing = [at(day, SHANGHAI) for day in ("2012-05-29", "2012-07-26", "2012-09-03", "2012-12-10")]
    assert calendar.missing(present, "1d", start, end) == [Gap(day, day + timedelta(days=1), 1) for day in missing]
    assert calendar.expected_mask("1d", present).all()
    assert calendar.expected_count("1d", start, end) == 1_946


def test_minutes_of_the_nifty_are_whole_and_those_outside_of_the_session_are_found() -> None:
    calendar = calendar_of("XNSE")
    outside = []
    for path in sorted((FULL / "lean/index/india/minute/nifty50").glob("*.zip")):
        midnight = at(path.name[:8], KOLKATA)
        with zipfile.ZipFile(path) as archive:
            lines = archive.read(archive.namelist()[0]).decode().split()
        moments = [midnight + timedelta(milliseconds=int(line.split(",")[0])) for line in lines]
        present = micros_array(moments)
        assert calendar.missing(present, "1m", midnight, midnight + timedelta(days=1)) == []
        mask = calendar.open_mask(present)
        assert np.array_equal(mask, calendar.expected_mask("1m", present))
        outside += [
            moment.astimezone(KOLKATA).strftime("%d %H:%M")
            for moment, is_open in zip(moments, mask, strict=True)
            if not is_open
        ]
    # The price of the pre-open call, and what came after the close.
    assert outside == [
        *("01 09:07", "01 15:30", "01 15:31"),
        *("02 09:07", "02 15:31"),
        *("03 09:07", "03 15:31"),
        *("04 09:07", "04 15:30"),
    ]


@pytest.mark.parametrize(
    ("name", "interval"), [("binance_BTCUSDT_1m_2024-12.csv.gz", "1m"), ("binance_BTCUSDT_15m.csv.gz", "15m")]
)
def test_bars_of_crypto_have_no_gap(name: str, interval: str) -> None:
    length = timedelta(minutes=int(interval[:-1]))
    with gzip.open(FULL / name, "rt", encoding="utf-8") as file:
        closes = [datetime.fromisoformat(row["close_datetime"]) for row in csv.DictReader(file)]
    starts = [close + timedelta(milliseconds=1) - length for close in closes]
    present = micros_array(starts)
    calendar = calendar_of(ALWAYS_OPEN)
    assert calendar.missing(present, interval, starts[0], starts[-1] + length) == []  # type: ignore[arg-type]
    assert calendar.expected_mask(interval, present).all()  # type: ignore[arg-type]
    lost = np.delete(present, [5, 6, 20])
    gaps = calendar.missing(lost, interval, starts[0], starts[-1] + length)  # type: ignore[arg-type]
    assert [gap.bars for gap in gaps] == [2, 1]


def chain_spots() -> Iterator[tuple[datetime, float]]:
    """Yield when each option chain was fetched, and the spot it had."""
    before = None
    with gzip.open(FULL / "nse_nifty_option_chain_2025-10-13_2025-11-14.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["snapshot_utc"] != before and row["underlying"] and float(row["underlying"]):
                before = row["snapshot_utc"]
                yield datetime.fromisoformat(before), float(row["underlying"])


def test_the_spot_of_option_chains_moves_in_session_only() -> None:
    calendar = calendar_of("XNSE")
    spots = list(chain_spots())
    local = [(moment.astimezone(KOLKATA), spot) for moment, spot in spots]
    # Holidays: fetched all day, and nothing moved.
    for holiday in (date(2025, 10, 22), date(2025, 11, 5)):
        assert calendar.session(holiday) is None
        values = {spot for moment, spot in local if moment.date() == holiday}
        assert len(values) == 1
    # Diwali: it moved in the hour of the Muhurat session, from 13:45 to 14:45, and neither before nor after.
    diwali = [(f"{moment:%H:%M}", spot) for moment, spot in local if moment.date() == date(2025, 10, 21)]
    assert {spot for time, spot in diwali if time < "13:45"} == {25_843.15}
    assert {spot for time, spot in diwali if "13:45" <= time < "14:45"} == {25_885.35}
    assert {spot for time, spot in diwali if time >= "14:45"} == {25_826.25}
    # While the market was closed it moved once at most until the next session: to the close as it was settled.
    settled = Counter(
        calendar.seconds_open(spots[0][0], before)
        for (before, old), (after, new) in pairwise(spots)
        if old != new and not calendar.seconds_open(before, after)
    )
    assert len(settled) == 8
    assert set(settled.values()) == {1}
