"""Checks that time alone can fail: a stream that ends, and one whose events stand still."""

from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np

from services.marketdata.core.calendars import Calendar, Micros
from services.marketdata.core.calendars.sessions import from_micros
from services.marketdata.core.catalogue import Subject
from services.marketdata.core.monitor.arrival import RUN_BREAK, SeriesState
from services.marketdata.core.thresholds import Thresholds
from shared.schemas.marketdata import QualityIssue

_SECOND = timedelta(seconds=1)
_DAY_SECONDS = 86_400.0
# Rows over less than this are one delivery, however recent.
_FED_FOR = 60.0
# A source that has not sent a row in so much time of open markets is no longer fed, and nobody waits for it.
_GIVEN_UP = _DAY_SECONDS
# Rates and liquidations come when they come.
_UNEVEN = frozenset({Subject.LIQUIDATION})
_CAN_FREEZE = frozenset({Subject.BAR, Subject.TICK, Subject.ORDER_BOOK, Subject.MARKET_STATE})
# Of fewer rows two make no rate.
_FEWEST_ROWS = 2_000.0
_FEWEST_WAITS = 10
# A symbol that trades seldom is late only beyond so many times its usual wait.
USUAL_WAITS = 3.0


def is_fed(state: SeriesState, calendar: Calendar, now: datetime) -> bool:
    """Return whether somebody feeds a series live: live rows came for a while, and the last ones not long ago."""
    if state.live_since is None or state.live_at is None:
        return False
    if (state.live_at - state.live_since).total_seconds() < max(_FED_FOR, state.period):
        return False
    return calendar.seconds_open(state.live_at, now) <= _GIVEN_UP + 2 * state.period


def age(state: SeriesState, subject: Subject, calendar: Calendar, now: datetime) -> float | None:
    """Return for how many seconds of open market a series owes an event; None where it owes none.

    A bar is owed once the one after the newest has ended, a funding rate after its period.
    """
    if subject in _UNEVEN or not calendar.is_open(now) or not is_fed(state, calendar, now):
        return None
    if subject is Subject.BAR and state.period >= _DAY_SECONDS:
        following = calendar.next_session(state.last_ts.astimezone(calendar.timezone).date())
        return None if following is None else calendar.seconds_open(following.close, now)
    periods = 2 if subject is Subject.BAR else 1
    return calendar.seconds_open(state.last_ts, now) - periods * state.period


def usual_wait(moments: Micros, calendar: Calendar, period: float, share: float) -> float:
    """Return a percentile of the seconds of open market between events, oldest first, beyond their period."""
    if len(moments) < _FEWEST_WAITS:
        return 0.0
    edges = [from_micros(moment) for moment in moments.tolist()]
    waits = [calendar.seconds_open(start, end) for start, end in pairwise(edges)]
    return max(0.0, float(np.percentile(waits, share)) - period)


def stale_age(
    state: SeriesState, subject: Subject, seconds: float, usual_wait: float, thresholds: Thresholds
) -> QualityIssue | None:
    """Return the finding on an age in seconds; `usual_wait` is how long the series usually waits at most."""
    if seconds < USUAL_WAITS * usual_wait:
        return None
    return thresholds.issue(
        "stale_age",
        seconds,
        f"no newer {subject.value} for {seconds:.0f} seconds of open market",
        last_ts=state.last_ts.isoformat(),
        last_received=state.message_at.isoformat(),
    )


def clock_frozen(
    state: SeriesState, subject: Subject, calendar: Calendar, now: datetime, thresholds: Thresholds
) -> QualityIssue | None:
    """Return the finding on a stream whose rows come, and say something new, and are all of one moment."""
    if subject not in _CAN_FREEZE or state.still_since is None or not is_fed(state, calendar, now):
        return None
    # What stands still was live when it came, and rows still come.
    if state.live_at is None or state.live_at < state.advanced_at:
        return None
    if now - state.message_at > RUN_BREAK + state.period * _SECOND:
        return None
    seconds = calendar.seconds_open(state.still_since, state.message_at) - state.period
    return thresholds.issue(
        "clock_frozen",
        seconds,
        f"rows came for {seconds:.0f} seconds, all of them of {state.last_ts.isoformat()}",
        last_ts=state.last_ts.isoformat(),
    )


def rates(state: SeriesState, thresholds: Thresholds) -> list[QualityIssue]:
    """Return the findings on how many of a live stream's rows came twice in one batch, or late."""
    rows = max(state.rows, _FEWEST_ROWS)
    found = (
        thresholds.issue("duplicate", state.repeats / rows, "rows came twice in one batch", rows=round(state.rows)),
        thresholds.issue("out_of_order", state.late / rows, "rows came after newer ones", rows=round(state.rows)),
    )
    return [issue for issue in found if issue is not None]
