"""Put-call parity at executable prices, with the forward and the rate taken from the chain itself.

For a European call and put of one strike and expiry, C - P = D (F - K): F is the forward, D = exp(-rT). Who buys
the call and sells the put pays at most ask(C) - bid(P), who does the opposite gets at least bid(C) - ask(P); so each
strike says within which bounds D F lies. Of all forwards, and all rates near the chain's own, the pair is taken with
which most strikes agree; those that do not agree with it could be traded against those that do. Wide and illiquid
quotes say little and so contradict nothing. American options keep to it but for early exercise, which near the money is
worth less than their spreads unless rates are high.
"""

from dataclasses import dataclass
from datetime import date, datetime

import numpy as np

from services.marketdata.core.chain.arrays import NEAR_THE_MONEY, Chain, Floats, Whole
from services.marketdata.core.chain.context import StateContext
from shared.schemas.marketdata import QualityIssue

# Fractions of the spot. Calls and puts are quoted in two books, and a basis point is soon between them.
TOLERANCE = 1e-4
# A chain's rate is looked for in these bounds, that of one expiry within so much of it.
_RATES = (-0.02, 0.20)
_TERM_STRUCTURE = 0.02
# Two strikes always agree with one line, and three nearly so.
_FEWEST_STRIKES = 4
# Dividends and borrows that cost more than this, and this a year, are none: the spot or the chain is stale.
_BASIS, _BASIS_A_YEAR = 0.02, 0.15
_MOST_RATES = 60


@dataclass(frozen=True, slots=True)
class Parity:
    """What one chain says of parity: strikes compared, indices of the calls of those broken, forward by expiry."""

    strikes: int
    broken: Whole
    rate: float | None
    forwards: dict[date, float]
    implausible: list[date]


@dataclass(frozen=True, slots=True)
class _Expiry:
    """One expiry's pairs by strike: `low` and `high` bound C - P; `calls` are indices into the chain."""

    day: int
    years: float
    calls: Whole
    strike: Floats
    low: Floats
    high: Floats


def parity_finding(chain: Chain, moment: datetime | None, context: StateContext) -> QualityIssue | None:
    """Return whether too many strikes near the money break parity; None where the time is not known."""
    if moment is None:
        return None
    found = parity(chain, moment.date())
    if not found.strikes:
        return None
    return context.thresholds.issue(
        "put_call_parity",
        len(found.broken) / found.strikes,
        f"{len(found.broken)} of {found.strikes} strikes near the money break put-call parity at executable prices",
        strikes=chain.places(found.broken),
        rate=found.rate,
        implausible_forwards={str(day): round(found.forwards[day], 4) for day in found.implausible[:10]},
    )


def parity(chain: Chain, today: date, tolerance: float = TOLERANCE) -> Parity:
    """Compare all pairs near the money that are quoted on both sides; `tolerance` is a fraction of the spot."""
    expiries = _pairs(chain, today)
    rate = _implied_rate(expiries, chain.spot)
    broken: list[Whole] = []
    forwards: dict[date, float] = {}
    implausible = []
    for expiry in expiries:
        forward, agree = _agreed_forward(expiry, rate, chain.spot, tolerance)
        day = date.fromordinal(expiry.day)
        forwards[day] = forward
        if _carry(forward, chain.spot, rate * expiry.years) > _BASIS + _BASIS_A_YEAR * expiry.years:
            implausible.append(day)
            agree = np.zeros_like(agree)
        if not agree.all():
            broken.append(expiry.calls[~agree])
    return Parity(
        strikes=sum(len(expiry.strike) for expiry in expiries),
        broken=np.concatenate(broken) if broken else np.empty(0, np.int64),
        rate=rate if expiries else None,
        forwards=forwards,
        implausible=implausible,
    )


def _carry(forward: float, spot: float, interest: float) -> float:
    """Return how much of the way from spot to forward is neither nothing nor interest; quotes tell a rate roughly."""
    basis = float(np.log(max(forward, 1e-300) / spot))
    return max(min(0.0, interest) - basis, basis - max(0.0, interest), 0.0)


def _pairs(chain: Chain, today: date) -> list[_Expiry]:
    usable = chain.is_quoted & chain.is_near
    calls, puts = np.flatnonzero(usable & chain.is_call), np.flatnonzero(usable & ~chain.is_call)
    both, of_calls, of_puts = np.intersect1d(chain.place[calls], chain.place[puts], return_indices=True)
    if not len(both):
        return []
    call, put = calls[of_calls], puts[of_puts]
    low, high = chain.bid[call] - chain.ask[put], chain.ask[call] - chain.bid[put]
    # Places ascend by expiry, then by strike.
    starts = np.flatnonzero(np.diff(chain.expiry[call], prepend=-1))
    found = []
    for start, end in zip(starts, [*starts[1:], len(call)], strict=True):
        if end - start < _FEWEST_STRIKES:
            continue
        part = slice(start, end)
        day = int(chain.expiry[call[start]])
        years = max(day - today.toordinal(), 0) / 365
        found.append(_Expiry(day, years, call[part], chain.strike[call[part]], low[part], high[part]))
    return found


def _implied_rate(expiries: list[_Expiry], spot: float) -> float:
    """Return the rate at which C - P falls with the strike: the weighted median of slopes over half a chain each.

    Longer expiries and narrower quotes tell it better. A quarter of all quotes may be wrong without moving it.
    """
    rates, weights = [np.zeros(0)], [np.zeros(0)]
    for expiry in expiries:
        if not expiry.years:
            continue
        half = len(expiry.strike) // 2
        mid, width = (expiry.low + expiry.high) / 2, expiry.high - expiry.low
        apart = expiry.strike[-half:] - expiry.strike[:half]
        slope = np.clip((mid[:half] - mid[-half:]) / apart, 0.5, 2.0)
        rates.append(-np.log(slope) / expiry.years)
        weights.append(expiry.years * apart / (width[:half] + width[-half:] + TOLERANCE * spot))
    found, weight = np.concatenate(rates), np.concatenate(weights)
    if not len(found):
        return 0.0
    order = np.argsort(found)
    total = np.cumsum(weight[order])
    return float(np.clip(found[order][np.searchsorted(total, total[-1] / 2)], *_RATES))


def _agreed_forward(
    expiry: _Expiry, rate: float, spot: float, tolerance: float
) -> tuple[float, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Return the forward with which most strikes agree, and which do."""
    allowed = tolerance * spot
    steps = 2 * _TERM_STRUCTURE * expiry.years * NEAR_THE_MONEY / max(tolerance, 1e-5)
    number = min(int(np.ceil(steps)), _MOST_RATES)
    for rates in (np.array([rate]), np.linspace(rate - _TERM_STRUCTURE, rate + _TERM_STRUCTURE, number)):
        if not len(rates):
            break
        discounts = np.exp(-rates * expiry.years)
        # Bounds of D (F - spot): small numbers keep their digits.
        moved = np.outer(discounts, expiry.strike - spot)
        lows, highs = moved + expiry.low - allowed, moved + expiry.high + allowed
        row, level = _deepest(lows, highs)
        agree = (lows[row] <= level) & (level <= highs[row])
        forward = spot + level / float(discounts[row])
        if agree.all():
            break
    return forward, agree


def _deepest(lows: Floats, highs: Floats) -> tuple[int, float]:
    """Return the row, and in it the number, that lies in most of the row's intervals."""
    ends = np.concatenate((lows, highs), axis=1)
    # Stable: where one interval ends as another begins, the number lies in both.
    order = np.argsort(ends, axis=1, kind="stable")
    depth = np.cumsum(np.where(order < lows.shape[1], 1, -1), axis=1)
    best = depth.max(axis=1)
    rows = np.flatnonzero(best == best.max())
    row = int(rows[len(rows) // 2])
    at = int(np.argmax(depth[row]))
    return row, float((ends[row, order[row, at]] + ends[row, order[row, at + 1]]) / 2)
