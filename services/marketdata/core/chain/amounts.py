"""What a chain counts: open interest, quantities, and contracts named twice."""

import numpy as np

from services.marketdata.core.chain.arrays import Chain, Flags, Floats, Whole
from services.marketdata.core.chain.context import StateContext
from services.marketdata.core.chain.fields import Findings
from shared.schemas.marketdata import MarketState, QualityIssue

# Sources write six places or more of a third.
_WHOLE = 1e-4
# Venues change lots by a half, a third, or from 75 to 65; some trade in tenths. Beyond these anything fits.
_MOST_PARTS = 20
_FEWEST_IN_PARTS = 10
_NOT_NEGATIVE = ("bid", "ask", "last_price", "bid_quantity", "ask_quantity")


def amounts_findings(state: MarketState, chain: Chain, context: StateContext) -> Findings:
    """Return what is wrong with the amounts of a chain."""
    return [
        _open_interest_negative(state, chain, context),
        _open_interest_fractional(chain, context),
        _open_interest_total(state, chain, context),
        _quantity_negative(chain, context),
        _volatility_negative(chain, context),
        *_duplicates(chain, context),
    ]


def _count(code: str, flags: Flags, what: str, chain: Chain, context: StateContext) -> QualityIssue | None:
    found = np.flatnonzero(flags)
    return context.thresholds.issue(
        code, float(len(found)), f"{what} of {len(found)} contracts", contracts=chain.named(found)
    )


def _open_interest_negative(state: MarketState, chain: Chain, context: StateContext) -> QualityIssue | None:
    found = np.flatnonzero(chain.open_interest < 0)
    totals = [name for name in ("total_call_oi", "total_put_oi") if (getattr(state, name) or 0) < 0]
    return context.thresholds.issue(
        "open_interest_negative",
        float(len(found) + len(totals)),
        "open interest below zero",
        contracts=chain.named(found),
        totals=totals,
    )


def _open_interest_fractional(chain: Chain, context: StateContext) -> QualityIssue | None:
    """Count what is not whole, but for what is counted in a unit that is a fraction of a lot."""
    broken = np.flatnonzero(chain.open_interest % 1 > 0)
    parts = _parts_of_a_lot(chain.open_interest, broken)
    found = broken if parts is None else broken[~_is_counted_in(chain.open_interest[broken], parts)]
    return context.thresholds.issue(
        "open_interest_fractional",
        float(len(found)),
        f"open interest of {len(found)} contracts is not whole",
        contracts=chain.named(found),
        parts_of_a_lot=parts,
    )


def _parts_of_a_lot(open_interest: Floats, broken: Whole) -> int | None:
    """Return into how many parts a venue divides a lot, None where the chain does not show that it does.

    Positions of before a change of lot size are restated in new lots: of 25 units in lots of 75 all of it is in thirds,
    for as long as such contracts live. Of a unit there are many contracts, in different numbers of it, and as many
    that happen to be whole; a number that was spoilt has company of none of these kinds.
    """
    if len(broken) < _FEWEST_IN_PARTS:
        return None
    whole = np.count_nonzero((open_interest % 1 == 0) & (open_interest != 0))
    found, most = None, _FEWEST_IN_PARTS - 1
    for parts in range(2, _MOST_PARTS + 1):
        units = np.round(open_interest[broken[_is_counted_in(open_interest[broken], parts)]] * parts)
        kinds = len(np.unique(units % parts))
        if len(units) > most and kinds >= min(2, parts - 1) and 2 * whole * (parts - 1) >= len(units):
            found, most = parts, len(units)
    return found


def _is_counted_in(values: Floats, parts: int) -> Flags:
    units = np.round(values * parts)
    # What is a whole number but for its last digits is no part of a lot.
    found: Flags = (np.abs(values * parts - units) < _WHOLE) & (units % parts != 0)
    return found


def _open_interest_total(state: MarketState, chain: Chain, context: StateContext) -> QualityIssue | None:
    worst = 0.0
    for of_right, total in ((chain.is_call, state.total_call_oi), (~chain.is_call, state.total_put_oi)):
        listed = chain.open_interest[of_right]
        if total is not None and np.any(listed != 0) and not np.all(np.isnan(listed)):
            worst = max(worst, abs(float(total) - float(np.nansum(listed))) / max(abs(float(total)), 1.0))
    return context.thresholds.issue(
        "open_interest_total", worst, f"a total differs from the sum of its chain by {worst:.2%}"
    )


def _quantity_negative(chain: Chain, context: StateContext) -> QualityIssue | None:
    below = {name: np.flatnonzero(getattr(chain, name) < 0) for name in _NOT_NEGATIVE}
    fields = [name for name, found in below.items() if len(found)]
    number = sum(len(found) for found in below.values())
    first = sorted({int(index) for found in below.values() for index in found})
    return context.thresholds.issue(
        "quantity_negative",
        float(number),
        f"{number} prices or quantities below zero",
        fields=fields,
        contracts=chain.named(first),
    )


def _volatility_negative(chain: Chain, context: StateContext) -> QualityIssue | None:
    """A volatility is the root of a variance: a feed that says it is negative says nothing that can be trusted."""
    return _count(
        "implied_volatility_negative", chain.implied_volatility < 0, "implied volatility is negative", chain, context
    )


def _duplicates(chain: Chain, context: StateContext) -> Findings:
    """A contract is quoted once: which of two quotes holds is a guess, and sums over the chain count it twice."""
    contracts = chain.place * 2 + chain.is_call
    order = np.argsort(contracts, kind="stable")
    again = np.flatnonzero(contracts[order][1:] == contracts[order][:-1])
    if not len(again):
        return []
    firsts: dict[tuple[object, ...], int] = {}
    repeated, differing = [], []
    # What arrays take for one contract may be two that differ in the last digit.
    for index in sorted({int(order[i]) for i in again} | {int(order[i + 1]) for i in again}):
        quote = chain.quotes[index]
        first = firsts.setdefault((quote.expiry, quote.strike, quote.right), index)
        if first != index:
            repeated.append(index)
            if chain.quotes[first] != quote:
                differing.append(index)
    share = len(repeated) / len(chain.quotes)
    return [
        context.thresholds.issue(
            "duplicate", share, f"{len(repeated)} contracts quoted again", contracts=chain.named(repeated)
        ),
        context.thresholds.issue(
            "duplicate_conflicting",
            float(len(differing)),
            f"{len(differing)} quotes differ from another of the same contract",
            contracts=chain.named(differing),
        ),
    ]
