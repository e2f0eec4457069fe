"""Cases of bars: faults in made and real series, and what only looks like one."""

from collections.abc import Iterator
from itertools import count
from typing import Final

from benchmarks.corpus.bar_ways import GOOG, NAMES, NIFTY, WAYS, Way
from benchmarks.corpus.bars import BAR_MARKETS, Bars, make_bars, real_bars, real_part
from benchmarks.corpus.case import Case, rng_of
from benchmarks.corpus.rows import RowCase

# What is judged of bars as rows; that some are missing, stale or too many is told over time.
BAR_CHECKS: Final = (
    "price_outlier",
    "price_limit",
    "price_not_positive",
    "ohlc_bounds",
    "amount_volume",
    "volume_zero",
    "outside_session",
    "bar_unaligned",
    "duplicate",
    "duplicate_conflicting",
    "future_timestamp",
)


def bar_cases() -> Iterator[Case[RowCase]]:
    """Yield every way in every market it is for, each of another seed, and series in which nothing is wrong."""
    seeds = count()
    for way in WAYS:
        for time in range(way.times):
            for market in way.markets:
                yield _case(way, "made", make_bars(market, rng_of(market.name, next(seeds))), time)
            for name in way.real:
                yield _case(way, NAMES[name], _real(name, next(seeds)), time)
    for market in BAR_MARKETS:
        for seed in range(4):
            bars = make_bars(market, rng_of(market.name, seed))
            yield Case("", f"nothing: {market.name}", "made", bars.case())
    for name, whole in real_bars().items():
        for start in range(0, len(whole) - 100, 300):
            given = real_part(name, start, 300)
            if (given.low < given.close / 10).any():
                # Of 2017-04-15, at closes of 1,180: it was printed, and nothing else came near.
                yield Case("price_outlier", "a low of 0.06", NAMES[name], given.case(), frozenset({"price_outlier"}))
                continue
            yield Case("", f"nothing: {NAMES[name]}", NAMES[name], given.case(), tolerated=_outside(name))


def _real(name: str, seed: int) -> Bars:
    room = max(len(real_bars()[name]) - 450, 1)
    return real_part(name, seed * 97 % room, 400)


def _outside(name: str) -> frozenset[str]:
    # The pre-open print of 09:07 in Mumbai, and prints after a half day's close: they are outside of the session.
    return frozenset({"outside_session"}) if name in (NIFTY, GOOG) else frozenset()


def _case(way: Way, origin: str, bars: Bars, time: int) -> Case[RowCase]:
    way.change(bars, rng_of(way.title, time * 1_000 + len(bars)))
    expected = frozenset({way.check}) if way.is_fault else frozenset[str]()
    tolerated = way.tolerated | _outside(next((n for n, each in NAMES.items() if each == origin), ""))
    return Case(way.check, way.title, origin, bars.case(), expected, tolerated)
