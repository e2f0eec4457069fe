"""Value at risk as it was forecast, against the days that came."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np

from services.risk.core.var.backtest import (
    BoolArray,
    LikelihoodRatio,
    christoffersen_conditional_coverage,
    christoffersen_independence,
    exceptions,
    kupiec,
    traffic_light,
)
from services.risk.core.var.result import Method
from shared.schemas.accounts import TailRisk
from shared.schemas.value_at_risk import CoverageTest, VarBacktest, VarException

# Christoffersen's tests look at pairs of days.
_LEAST = 2


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """An account at the last moment of a closed session: the tail it forecast for the next, and what the day made."""

    session_date: date
    tail_risk: Sequence[TailRisk]
    start_of_day_equity: Decimal
    day_pnl: Decimal


@dataclass(frozen=True, slots=True)
class _Day:
    session_date: date
    forecast: TailRisk
    made: float


def backtest_sessions(account_id: str, ends: Sequence[SessionEnd], method: Method, first: date | None) -> VarBacktest:
    """Return whether a method's forecasts held in the sessions from `first` on.

    `ends` are in order, with the session before `first` where there is one. The forecast for a session is that of the
    one before it; its result is its P&L over the equity of its start. Forecasts over more than one day, and those of
    another confidence than the newest, cannot be held against the same days, and are left out.
    """
    wanted = [(before, after) for before, after in pairwise(ends) if first is None or after.session_date >= first]
    days = [day for before, after in wanted if (day := _day(before, after, method))]
    confidence = days[-1].forecast.confidence if days else None
    days = [each for each in days if each.forecast.confidence == confidence]
    returns = np.array([each.made for each in days], dtype=np.float64)
    forecasts = np.array([each.forecast.value_at_risk for each in days], dtype=np.float64)
    exceeded = exceptions(returns, forecasts) if days else np.zeros(0, dtype=np.bool_)
    count = int(np.count_nonzero(exceeded))
    return VarBacktest(
        account_id=account_id,
        method=method.value,
        confidence=confidence,
        first_session=days[0].session_date if days else None,
        last_session=days[-1].session_date if days else None,
        observations=len(days),
        left_out=len(wanted) - len(days),
        exceptions=count,
        expected=None if confidence is None else len(days) * (1 - confidence),
        exceeded=[
            VarException(session_date=day.session_date, value_at_risk=day.forecast.value_at_risk, daily_return=day.made)
            for day, beyond in zip(days, exceeded, strict=True)
            if beyond
        ],
        **_tests(exceeded, count, confidence),
        note=_note(len(days), confidence),
    )


def _day(before: SessionEnd, after: SessionEnd, method: Method) -> _Day | None:
    forecast = next((each for each in before.tail_risk if each.method == method), None)
    if forecast is None or forecast.horizon_days != 1 or after.start_of_day_equity <= 0:
        return None
    return _Day(after.session_date, forecast, float(after.day_pnl / after.start_of_day_equity))


def _tests(exceeded: BoolArray, count: int, confidence: float | None) -> dict[str, Any]:
    days = len(exceeded)
    if confidence is None:
        return dict.fromkeys(("kupiec", "christoffersen_independence", "christoffersen_conditional_coverage", "zone"))
    paired = days >= _LEAST
    return {
        "kupiec": _shown(kupiec(days, count, confidence)),
        "christoffersen_independence": _shown(christoffersen_independence(exceeded, confidence)) if paired else None,
        "christoffersen_conditional_coverage": (
            _shown(christoffersen_conditional_coverage(exceeded, confidence)) if paired else None
        ),
        "zone": traffic_light(days, count, confidence).zone.value,
    }


def _shown(found: LikelihoodRatio) -> CoverageTest:
    return CoverageTest(
        statistic=found.statistic,
        degrees_of_freedom=found.degrees_of_freedom,
        p_value=found.p_value,
        note=found.note,
    )


def _note(days: int, confidence: float | None) -> str | None:
    if confidence is None:
        return "no closed session has a one-day forecast from the session before it"
    if days < _LEAST:
        return "one session is too few to test independence"
    if days * (1 - confidence) < 1 - 1e-9:
        return f"{days} sessions are few: less than one exception is to be expected"
    return None
