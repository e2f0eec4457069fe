"""Cases of funding rates: off their schedule or not, and far from zero for a reason or not."""

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from benchmarks.corpus.case import Case, rng_of
from benchmarks.corpus.events import funding_case, make_funding, real_funding
from benchmarks.corpus.rows import RowCase
from services.marketdata.core.flags import Floats, Longs

FUNDING_CHECKS: Final = (
    "funding_schedule",
    "funding_extreme",
    "duplicate",
    "duplicate_conflicting",
    "future_timestamp",
)
_Change = Callable[[Longs, Floats], None]


def _one_late(seconds: float) -> _Change:
    def change(ts: Longs, rate: Floats) -> None:
        ts[len(ts) // 2] += round(seconds * 1e6)

    return change


def _one_rate(value: float) -> _Change:
    def change(ts: Longs, rate: Floats) -> None:
        rate[len(rate) // 2] = value

    return change


def _all_times(by: float) -> _Change:
    def change(ts: Longs, rate: Floats) -> None:
        rate *= by

    return change


def _all_later(seconds: float) -> _Change:
    def change(ts: Longs, rate: Floats) -> None:
        ts += round(seconds * 1e6)

    return change


# A check, what was done, whether that is a fault, and how it is done.
_WAYS: Final[tuple[tuple[str, str, bool, _Change], ...]] = (
    *(
        ("funding_schedule", f"one rate {seconds:g} s late", True, _one_late(seconds))
        for seconds in (20, 90, 600, 5_400)
    ),
    ("funding_schedule", "stamped as it was computed, a minute early", True, _all_later(-61)),
    ("funding_schedule", "stamped in the time of Mumbai", True, _all_later(19_800)),
    ("funding_schedule", "stamped 300 ms late", False, _all_later(0.3)),
    ("funding_schedule", "stamped 15 s late by a busy venue", False, _all_later(15)),
    # What the venue did on a day of its own upkeep.
    ("funding_schedule", "paid 40 minutes late, in truth", False, _one_late(2_400)),
    ("funding_extreme", "rates in per cent", True, _all_times(100)),
    ("funding_extreme", "rates in basis points", True, _all_times(10_000)),
    ("funding_extreme", "a rate a year", True, _all_times(3 * 365)),
    *(("funding_extreme", f"one rate of {value:+.2%}", True, _one_rate(value)) for value in (0.2, -0.05, 0.01)),
    # The greatest that venues allow for liquid contracts, and for others.
    ("funding_extreme", "a squeeze at the cap of 0.75 %", False, _one_rate(0.0075)),
    ("funding_extreme", "a squeeze of a small coin at its cap of 2 %", False, _one_rate(-0.02)),
    ("funding_extreme", "a lively month", False, _all_times(4)),
    ("funding_extreme", "rates of zero", False, _all_times(0)),
)
_AFTERS: Final = ((-0.4, True), (-30.0, True), (-7_200.0, True), (0.2, False), (3_600.0, False))


def funding_cases() -> Iterator[Case[RowCase]]:
    """Yield every way, of schedules of one, four and eight hours, and of the bundled rates."""
    for check, title, is_fault, change in _WAYS:
        for origin, hours, ts, rate in _series(title):
            change(ts, rate)
            yield _case(check, title, is_fault, origin, funding_case(ts, rate, hours))
    for after, is_fault in _AFTERS:
        for origin, hours, ts, rate in _series(f"{after}"):
            title = f"received {after:+g} s after"
            yield _case(
                "future_timestamp", title, is_fault, origin, funding_case(ts, rate, hours, received_after=after)
            )
    for by, check in ((0.0, "duplicate"), (0.0001, "duplicate_conflicting")):
        for rows in (1, 3):
            for origin, hours, ts, rate in _series(f"{check}{rows}"):
                again = np.concatenate([rate, rate[-rows:] + by])
                given = funding_case(np.concatenate([ts, ts[-rows:]]), again, hours, received_after=1.0)
                what = f"{rows} rates twice{', and different' if by else ''}"
                yield _case(check, what, True, origin, given)
    for seed in range(4):
        for origin, hours, ts, rate in _series(f"nothing {seed}"):
            title = "rates sent at once, each once"
            given = funding_case(ts, rate, hours, received_after=1.0)
            yield _case("duplicate" if seed % 2 else "duplicate_conflicting", title, False, origin, given)


def _series(title: str) -> Iterator[tuple[str, int, Longs, Floats]]:
    for hours in (1, 4, 8):
        yield "made", hours, *make_funding(hours, rng_of(title, hours))
    ts, rate = real_funding()
    yield "Binance BTCUSD", 8, ts.copy(), rate.copy()


def _case(check: str, title: str, is_fault: bool, origin: str, given: RowCase) -> Case[RowCase]:
    return Case(check, title, origin, given, frozenset({check}) if is_fault else frozenset())
