"""Cases of option chains: the faults in every market they are for, and what looks like one and is none."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from statistics import median
from typing import Final

import numpy as np

from benchmarks.corpus import breaking
from benchmarks.corpus.case import Case, rng_of
from benchmarks.corpus.chain_faults import FAULTS, Fault
from benchmarks.corpus.goog import goog_snapshot
from benchmarks.corpus.judging import StateCase
from benchmarks.corpus.market import MARKETS, Snapshot, make

_INDEX, _OPENING, _, _, _, _THIN, _SMALL, _STOCK, _, _AMERICAN = MARKETS
_MADE: Final = "made"


def chain_cases() -> Iterator[Case[StateCase]]:
    """Yield every fault in every market it is for, each of another seed, and the markets without one."""
    seeds = count()
    for fault in FAULTS:
        for share in fault.shares:
            for market in fault.markets:
                yield _case(fault, share, _MADE, make(market, rng_of(market.name, next(seeds))), next(seeds))
            if fault.on_real:
                yield _case(fault, share, "LEAN GOOG", goog_snapshot(next(seeds)), next(seeds))
    yield from _sound_markets()
    yield from _odd_chains()


def _case(fault: Fault, share: float, origin: str, snapshot: Snapshot, seed: int) -> Case[StateCase]:
    rng = rng_of(fault.title, seed)
    # What the day's median is, give or take: the day has other moments than this one.
    usual = _median_spread(snapshot) * float(np.exp(rng.normal(0, 0.2))) if fault.knows_spreads else None
    is_fault = fault.breaks(snapshot, share, rng) >= fault.from_share
    return Case(
        check=fault.check,
        title=fault.title,
        origin=origin,
        given=StateCase(snapshot, session_open=fault.session_open, median_spread=usual),
        expected=frozenset({fault.check}) if is_fault else frozenset(),
        tolerated=fault.tolerated,
    )


# What looks like a fault and is none, and for which check it would be one.
_SOUND: Final = (
    ("put_call_parity", "a borrow that costs 18 % a year", replace(_STOCK, carry=0.18, days=(20, 60, 150))),
    ("put_call_parity", "a dividend of 6 % a year", replace(_STOCK, carry=0.06)),
    ("put_call_parity", "quotes a basis point apart", replace(_INDEX, noise=1e-4)),
    ("put_call_parity", "quotes three basis points apart", replace(_INDEX, noise=3e-4)),
    ("put_call_parity", "an American chain at 9 %", replace(_AMERICAN, rate=0.09, spread=0.002)),
    ("put_call_parity", "a negative rate", replace(_INDEX, rate=-0.01)),
    ("strike_monotony", "quotes wider than the steps between strikes", replace(_OPENING, step=50.0, spread=0.08)),
    ("strike_monotony", "quotes half a basis point apart", replace(_INDEX, noise=5e-5, step=50.0)),
    ("butterfly", "quotes half a basis point apart", replace(_INDEX, noise=5e-5)),
    ("butterfly", "a market of one tick", replace(_STOCK, spread=0.0005, tick=0.01, noise=1e-6)),
    ("implied_volatility", "hardly anything traded", replace(_INDEX, untraded=1.2)),
    ("implied_volatility", "a volatility of 150 %", replace(_STOCK, volatility=1.5, states_volatility=True)),
    ("last_price_far", "last prices from before a move of 1 %", replace(_INDEX, last_age=0.01)),
    (
        "last_price_far",
        "last prices from before a move of 2 % in a thin market",
        replace(_THIN, last_age=0.02, untraded=0.5),
    ),
    ("quote_locked", "spreads of one tick", replace(_STOCK, spread=0.0001, noise=0.0)),
    ("spread_wide", "the opening against a calm day", _OPENING),
    ("strikes_filtered", "one strike in four quoted", replace(_THIN, width=0.3, untraded=0.9)),
    ("call_put_balance", "few strikes", _SMALL),
)

# Odd, and as it should be.
_ODD: Final = (
    (
        "open_interest_negative",
        "no open interest anywhere",
        breaking.on_any(lambda leg: replace(leg, open_interest=0.0)),
    ),
    ("open_interest_negative", "open interest not sent", breaking.on_any(lambda leg: replace(leg, open_interest=None))),
    (
        "open_interest_fractional",
        "open interest of thirteen digits",
        breaking.on_any(lambda leg: replace(leg, open_interest=9_007_199_254_741.0)),
    ),
    (
        "open_interest_fractional",
        "a venue that trades in tenths",
        breaking.on_any(lambda leg: replace(leg, open_interest=(leg.open_interest or 0.0) / 10)),
    ),
    # There the check has to be switched off.
    (
        "open_interest_fractional",
        "a venue that trades in hundredths",
        breaking.on_any(lambda leg: replace(leg, open_interest=(leg.open_interest or 0.0) / 100)),
    ),
    ("quantity_negative", "quantities of zero", breaking.on_any(lambda leg: replace(leg, quantity=0.0))),
    ("implied_volatility_negative", "no volatility", breaking.on_any(lambda leg: replace(leg, volatility=None))),
    ("duplicate", "strikes a tick apart", breaking.repeated(lambda leg: replace(leg, strike=leg.strike + 0.05))),
    ("duplicate_conflicting", "the same strikes a day on", breaking.repeated(breaking.next_day)),
    ("optional_field_missing", "a chain of one expiry", breaking.first_expiry),
    ("optional_field_missing", "a chain without prices", breaking.on_any(breaking.unpriced)),
)


def _odd_chains() -> Iterator[Case[StateCase]]:
    follows = frozenset({"strikes_filtered"})
    for check, title, breaks in _ODD:
        for seed, market in enumerate((_INDEX, _STOCK, _OPENING)):
            snapshot = make(market, rng_of(title, seed))
            breaks(snapshot, 1.0, rng_of(title, seed))
            yield Case(check, title, _MADE, StateCase(snapshot), tolerated=follows)


def _sound_markets() -> Iterator[Case[StateCase]]:
    for check, title, market in _SOUND:
        for seed in range(4):
            given = StateCase(make(market, rng_of(title, seed)), median_spread=0.03 if check == "spread_wide" else None)
            yield Case(check, title, _MADE, given)
    for market in MARKETS:
        for seed in range(5):
            yield Case("", f"nothing: {market.name}", _MADE, StateCase(make(market, rng_of(market.name, seed))))
    for seed in range(0, 200, 8):
        yield Case("", "nothing", "LEAN GOOG", StateCase(goog_snapshot(seed)))
    for seed in range(5):
        snapshot = make(_INDEX, rng_of("far calls", seed))
        spot = snapshot.spot or 0.0
        snapshot.legs = [leg for leg in snapshot.legs if not leg.is_call or abs(leg.strike / spot - 1) <= 0.105]
        yield Case("call_put_balance", "calls far from the money not listed", _MADE, StateCase(snapshot))


def _median_spread(snapshot: Snapshot) -> float:
    near = [(leg.bid or 0.0, leg.ask or 0.0) for leg in snapshot.near() if leg.is_quoted]
    return median(2 * (ask - bid) / (ask + bid) for bid, ask in near)
