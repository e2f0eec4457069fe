"""Cases of series that come live: feeds that end or stand still, and those that are only quiet."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from benchmarks.corpus.case import Case, rng_of
from benchmarks.corpus.live import Feed, Live
from services.marketdata.calendars import calendar_of
from services.marketdata.core.calendars import micros_array
from services.marketdata.core.catalogue import Subject
from services.marketdata.core.monitor.arrival import Arrived

_SECOND, _MINUTE, _HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
_MADE: Final = "made"
# Each within a session: a Wednesday in Mumbai, Shanghai's morning, New York in summer time, and any day of a coin.
_OPEN: Final = {
    "24x7": datetime(2026, 3, 8, 2, 0, tzinfo=UTC),
    "XNSE": datetime(2026, 3, 4, 6, 0, tzinfo=UTC),
    "XSHG": datetime(2026, 3, 4, 2, 0, tzinfo=UTC),
    "XNYS": datetime(2026, 3, 10, 15, 0, tzinfo=UTC),
}
_STREAMS: Final = (Subject.TICK, Subject.ORDER_BOOK, Subject.MARKET_STATE)
_PERIODS: Final = {Subject.BAR: 60.0, Subject.FUNDING_RATE: 8 * 3_600.0}


def feed_cases() -> Iterator[Case[Live]]:
    """Yield all of them."""
    yield from _ended()
    yield from _quiet()
    yield from _slow()
    yield from _frozen()
    yield from _moving()


def _fed(calendar: str, end: datetime, subject: Subject = Subject.TICK, seconds: float = 15.0) -> Feed:
    """Return a feed of half an hour up to a moment, with rows while the market is open."""
    period = _PERIODS.get(subject, 0.0)
    step = max(seconds, period) * _SECOND
    first = end - max(30 * _MINUTE, 6 * step)
    rng = rng_of(f"{calendar} {subject}", int(seconds))
    events = [first + number * step for number in range(int((end - first) / step) + 1)]
    is_open = calendar_of(calendar).open_mask(micros_array(events))
    ended = period * _SECOND if subject is Subject.BAR else 0 * _SECOND
    arrived = [
        Arrived(event, event + ended + float(delay) * _SECOND, period, 3)
        for event, delay, there in zip(events, rng.lognormal(-2.5, 0.5, len(events)), is_open, strict=True)
        if there
    ]
    return Feed(subject, calendar, arrived, end)


def _case(
    check: str, title: str, is_fault: bool, given: Feed, now: datetime, also: frozenset[str] = frozenset()
) -> Case[Live]:
    expected = frozenset({check}) if is_fault else frozenset[str]()
    return Case(check, title, _MADE, replace(given, now=now), expected, also)


def _ended() -> Iterator[Case[Live]]:
    for seconds in (60, 240, 310, 700, 5_000):
        for calendar in ("24x7", "XNSE", "XNYS"):
            for subject in (*_STREAMS, Subject.BAR):
                feed = _fed(calendar, _OPEN[calendar], subject)
                # A bar is owed when the one after it has ended.
                owed = _OPEN[calendar] + (2 * _PERIODS.get(subject, 0.0) + seconds) * _SECOND
                if seconds == 60:
                    yield _case("stale_age", "a pause of a minute", False, feed, owed)
                else:
                    yield _case("stale_age", f"ended {seconds} s ago", True, feed, owed)
    for title, calendar, end, now in (
        ("ended at the lunch break, 10 minutes after it", "XSHG", "2026-03-04T03:29:58", "2026-03-04T05:10:00"),
        ("ended with the session, 10 minutes into the next", "XNSE", "2026-03-04T09:59:58", "2026-03-05T03:55:00"),
        ("ended before a weekend, 10 minutes after it", "XNYS", "2026-03-06T20:59:58", "2026-03-09T13:40:00"),
        ("ended on a half day, before its close", "XNYS", "2026-11-27T17:30:00", "2026-11-27T17:59:00"),
    ):
        feed = _fed(calendar, _moment(end))
        yield _case("stale_age", title, True, feed, _moment(now))
    funding = _fed("24x7", _OPEN["24x7"], Subject.FUNDING_RATE)
    for hours in (8.2, 12.0):
        yield _case("stale_age", f"no funding for {hours:g} hours", True, funding, funding.now + hours * _HOUR)


def _quiet() -> Iterator[Case[Live]]:
    for title, calendar, end, now in (
        ("in the lunch break", "XSHG", "2026-03-04T03:29:58", "2026-03-04T04:40:00"),
        ("a minute after the lunch break", "XSHG", "2026-03-04T03:29:58", "2026-03-04T05:01:00"),
        ("in the night", "XNSE", "2026-03-04T09:59:58", "2026-03-04T20:00:00"),
        ("a minute into the next session", "XNSE", "2026-03-04T09:59:58", "2026-03-05T03:46:00"),
        ("on a weekend", "XNYS", "2026-03-06T20:59:58", "2026-03-08T15:00:00"),
        ("before the opening, an hour later by winter time", "XNYS", "2026-03-05T20:59:58", "2026-03-06T14:20:00"),
        ("after a half day's close", "XNYS", "2026-11-27T17:59:58", "2026-11-27T19:30:00"),
        ("on a holiday", "XNYS", "2026-11-25T20:59:58", "2026-11-26T16:00:00"),
        ("on a holiday in Mumbai", "XNSE", "2026-01-23T09:59:58", "2026-01-26T06:00:00"),
    ):
        for subject in (Subject.TICK, Subject.BAR):
            yield _case("stale_age", title, False, _fed(calendar, _moment(end), subject), _moment(now))
    for calendar, moment in _OPEN.items():
        for subject in (*_STREAMS, Subject.BAR):
            feed = _fed(calendar, moment, subject)
            yield _case("stale_age", "still fed", False, feed, moment + (_PERIODS.get(subject, 0.0) + 4) * _SECOND)
    coin = _OPEN["24x7"]
    yield _case("stale_age", "turned off yesterday", False, _fed("24x7", coin), coin + 25 * _HOUR)
    funding = _fed("24x7", coin, Subject.FUNDING_RATE)
    yield _case("stale_age", "funding five minutes late", False, funding, funding.now + 8 * _HOUR + 4 * _MINUTE)
    liquidations = _fed("24x7", coin, Subject.LIQUIDATION)
    yield _case("stale_age", "nobody is liquidated", False, liquidations, coin + 6 * _HOUR)
    old = [Arrived(coin - 300 * 24 * _HOUR + n * _HOUR, coin + 20 * n * _SECOND, rows=500) for n in range(200)]
    yield _case("stale_age", "history loaded", False, Feed(Subject.TICK, "24x7", old, coin), coin + 3 * _HOUR)
    file = [Arrived(coin - (30 - n) * _SECOND, coin + n * _SECOND, rows=900) for n in range(30)]
    yield _case("stale_age", "one file of today", False, Feed(Subject.TICK, "24x7", file, coin), coin + 3 * _HOUR)
    late = [Arrived(coin + n * _MINUTE - 15 * _MINUTE, coin + n * _MINUTE, rows=3) for n in range(120)]
    delayed = Feed(Subject.TICK, "24x7", late, coin)
    # Every one of its rows is older than the band.
    yield _case("stale_age", "quotes delayed by a quarter of an hour", False, delayed, late[-1].received + 20 * _SECOND)


def _slow() -> Iterator[Case[Live]]:
    for usual in (90.0, 240.0):
        for times, is_fault in ((1.0, False), (2.5, False), (6.0, True), (15.0, True)):
            for seed in range(3):
                rng = rng_of(f"slow {usual}", seed)
                waits = np.cumsum(rng.exponential(usual, 200)) * 1e6
                end = _OPEN["XNSE"] + 2 * _HOUR
                moments = micros_array([end])[0] - waits[-1] + waits
                start = end - 3 * _HOUR
                arrived = [
                    Arrived(event, event + _SECOND, rows=1)
                    for event in (datetime.fromtimestamp(each / 1e6, UTC) for each in moments)
                    if event >= start
                ]
                given = Feed(
                    Subject.TICK, "XNSE", arrived, end, moments[moments >= start.timestamp() * 1e6].astype(int)
                )
                title = f"trades every {usual:g} s, none for {times:g} times as long"
                yield _case("stale_age", title, is_fault, given, end + times * usual * _SECOND)


def _frozen() -> Iterator[Case[Live]]:
    for seconds in (30, 90, 400, 1_500):
        for calendar in ("24x7", "XSHG"):
            for subject in _STREAMS:
                feed = _fed(calendar, _OPEN[calendar], subject)
                newest = feed.arrived[-1].newest
                again = [
                    Arrived(newest, newest + n * _SECOND, rows=3) for n in range(5, seconds + 1, 5)
                ]  # fmt: skip
                given = replace(feed, arrived=[*feed.arrived, *again])
                title = f"rows of one moment for {seconds} s"
                also = frozenset({"stale_age"})
                yield _case("clock_frozen", title, True, given, newest + (seconds + 2) * _SECOND, also)


def _moving() -> Iterator[Case[Live]]:
    end = _OPEN["24x7"]
    feed = _fed("24x7", end)
    newest = feed.arrived[-1].newest
    stale = frozenset({"stale_age"})
    corrections = [Arrived(newest - _HOUR, newest + n * _SECOND, rows=40) for n in range(0, 600, 5)]
    given = replace(feed, arrived=[*feed.arrived, *corrections])
    yield _case("clock_frozen", "only corrections come", False, given, newest + 600 * _SECOND, stale)
    seldom = [Arrived(newest, newest + n * _MINUTE, rows=1) for n in (3, 6, 9)]
    given = replace(feed, arrived=[*feed.arrived, *seldom])
    yield _case("clock_frozen", "the last price again every three minutes", False, given, newest + 9.1 * _MINUTE, stale)
    bars = _fed("24x7", end, Subject.BAR)
    open_bar = [
        Arrived(bars.arrived[-1].newest, bars.arrived[-1].received + n * _SECOND, 60.0) for n in range(0, 55, 5)
    ]
    given = replace(bars, arrived=[*bars.arrived, *open_bar])
    yield _case("clock_frozen", "a bar that is revised until it ends", False, given, open_bar[-1].received)
    for seconds in (2.0, 15.0, 20.0):
        yield _case("clock_frozen", "time goes on", False, _fed("24x7", end, seconds=seconds), end + 2 * _SECOND)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
