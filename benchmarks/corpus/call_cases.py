"""Cases of calls to a source: slow or failing ones, and what only looks like it."""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from benchmarks.corpus.case import Case, rng_of
from services.marketdata.core.feeds.calls import Call, CallRecord
from services.marketdata.core.flags import Floats, Mask

CALL_CHECKS: Final = ("response_time", "failure_rate")
_NOW: Final = datetime(2026, 3, 4, 6, 0, tzinfo=UTC)
Calls = list[Call]


def judge_calls(calls: Calls) -> Collection[str]:
    """Return the codes of what is found once all calls were made."""
    record = CallRecord()
    for call in calls:
        record.add(call)
    return {issue.code for issue in record.issues()}


def call_cases() -> Iterator[Case[Calls]]:
    """Yield all of them, of few calls and of many."""
    for number in (40, 400, 1_500):
        for seed in range(4):
            rng = rng_of("calls", number * 10 + seed)
            usual = rng.lognormal(5.0, 0.5, number)
            answered = rng.random(number) >= 0.005
            for case in (*_slow(usual, answered, rng), *_failing(usual, answered, rng)):
                check, title, is_fault, latency, ok = case
                yield _case(check, title, is_fault, latency, ok)
    few = np.full(12, 9_000.0)
    yield _case("response_time", "twelve calls, all slow", False, few, np.full(12, True))
    yield _case("failure_rate", "twelve calls, all failed", False, few, np.full(12, False))


_Made = tuple[str, str, bool, Floats, Mask]


def _slow(usual: Floats, answered: Mask, rng: np.random.Generator) -> Iterator[_Made]:
    for times in (8.0, 30.0):
        yield "response_time", f"all answers {times:g} times as slow", True, usual * times, answered
    for share, is_fault in ((0.01, False), (0.03, False), (0.1, True), (0.3, True)):
        slow = np.where(rng.random(len(usual)) < share, usual + 8_000, usual)
        yield "response_time", f"{share:.0%} of answers hang for 8 s", is_fault, slow, answered
    yield "response_time", "far away", False, usual + 300, answered
    yield "response_time", "as usual", False, usual, answered
    # They say how long nobody answered, not how long an answer takes.
    failed = rng.random(len(usual)) < 0.08
    yield "response_time", "8% time out after 30 s", False, np.where(failed, 30_000, usual), answered & ~failed


def _failing(usual: Floats, answered: Mask, rng: np.random.Generator) -> Iterator[_Made]:
    for share, is_fault in ((0.02, False), (0.06, True), (0.14, True), (0.4, True), (1.0, True)):
        yield (
            "failure_rate",
            f"{share:.0%} of calls fail",
            is_fault,
            usual,
            answered & (rng.random(len(usual)) >= share),
        )
    started = np.arange(len(usual)) >= min(2, len(usual) // 10)
    yield "failure_rate", "the first two fail", False, usual, answered & started
    ended = np.arange(len(usual)) < len(usual) - 30
    yield "failure_rate", "the last thirty fail", True, usual, answered & ended
    yield "failure_rate", "as usual", False, usual, answered


def _case(check: str, title: str, is_fault: bool, latency: Floats, ok: Mask) -> Case[Calls]:
    calls = [
        Call(_NOW + timedelta(seconds=n), bool(good), float(took))
        for n, (took, good) in enumerate(zip(latency, ok, strict=True))
    ]
    expected = frozenset({check}) if is_fault else frozenset[str]()
    # Calls that time out fail.
    also = frozenset({"failure_rate"}) if "time out" in title else frozenset[str]()
    return Case(check, title, "made", calls, expected, also)
