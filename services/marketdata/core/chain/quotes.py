"""What the quotes of a chain say, each by itself: sides, spreads, last prices, volatilities, and what is usable."""

import numpy as np

from services.marketdata.core.chain.arrays import Chain, Whole
from services.marketdata.core.chain.context import StateContext
from services.marketdata.core.chain.fields import Findings
from shared.schemas.marketdata import QualityIssue

# Since the last trade the spot may have moved by this share of itself; beyond what that explains, a last price is far
# where it is off by half, and by more than this share of the spot.
LAST_PRICE_MOVE = 0.02
LAST_PRICE_FAR = 0.5
_LEAST_PRICE = 2e-4
_ABOUT_THE_MONEY = 0.2
HIGHEST_VOLATILITY = 2.0
_FEWEST_WRONG = 2


def relative_spread(chain: Chain) -> float | None:
    """Return the median spread near the money as a fraction of the mid; None without quotes there."""
    quoted = chain.is_quoted & chain.is_near
    if not np.any(quoted):
        return None
    return float(np.median((chain.ask[quoted] - chain.bid[quoted]) / chain.mid[quoted]))


def listing_findings(chain: Chain, context: StateContext) -> Findings:
    """Return what is wrong with what a chain lists, whether or not the market is open."""
    return [_strikes_filtered(chain, context), _call_put_balance(chain, context)]


def quotes_findings(chain: Chain, context: StateContext) -> Findings:
    """Return what is wrong with the quotes of a chain, each taken by itself."""
    return [
        _crossed(chain, context),
        _locked(chain, context),
        _spread_wide(chain, context),
        _last_price_far(chain, context),
        _implied_volatility(chain, context),
    ]


def _strikes_filtered(chain: Chain, context: StateContext) -> QualityIssue | None:
    """A strike can be used if its call or its put has a two-sided quote, or a last price.

    None can if none is near the money: the spot, or the chain, is another underlying's.

    A chain that has no field for prices at all is one of open interest, and can be used for that.
    """
    priced = chain.is_quoted | (chain.last_price > 0)
    if np.isnan(chain.bid).all() and np.isnan(chain.ask).all() and np.isnan(chain.last_price).all():
        priced = ~np.isnan(chain.open_interest)
    if chain.spot > 0 and not chain.is_near.any():
        return context.thresholds.issue("strikes_filtered", 1.0, "no strike is near the money", spot=chain.spot)
    order = np.argsort(chain.place, kind="stable")
    firsts = np.flatnonzero(np.diff(chain.place[order], prepend=-1))
    unusable = ~np.logical_or.reduceat(priced[order], firsts)
    found = order[firsts[unusable]]
    return context.thresholds.issue(
        "strikes_filtered",
        len(found) / len(firsts),
        f"{len(found)} of {len(firsts)} strikes have no price",
        strikes=chain.places(found),
    )


def _call_put_balance(chain: Chain, context: StateContext) -> QualityIssue | None:
    # Venues list far more puts than calls far from the money, and each side gone says most near it.
    near = int(np.count_nonzero(chain.is_near))
    if not near:
        return None
    calls = int(np.count_nonzero(chain.is_near & chain.is_call))
    share = abs(2 * calls - near) / near
    return context.thresholds.issue(
        "call_put_balance",
        share,
        f"{calls} calls and {near - calls} puts near the money",
        calls=calls,
        puts=near - calls,
    )


def _crossed(chain: Chain, context: StateContext) -> QualityIssue | None:
    found = np.flatnonzero(chain.has_both_sides & (chain.bid > chain.ask))
    return context.thresholds.issue(
        "quote_crossed", float(len(found)), f"{len(found)} quotes bid more than they ask", contracts=chain.named(found)
    )


def _locked(chain: Chain, context: StateContext) -> QualityIssue | None:
    sides = int(np.count_nonzero(chain.has_both_sides))
    found = np.flatnonzero(chain.has_both_sides & (chain.bid == chain.ask))
    if not sides:
        return None
    return context.thresholds.issue(
        "quote_locked",
        len(found) / sides,
        f"{len(found)} of {sides} quotes bid what they ask",
        contracts=chain.named(found),
    )


def _spread_wide(chain: Chain, context: StateContext) -> QualityIssue | None:
    spread = relative_spread(chain)
    if spread is None or not context.median_spread or context.median_spread < 0:
        return None
    times = spread / context.median_spread
    return context.thresholds.issue(
        "spread_wide",
        times,
        f"the median spread near the money is {times:.1f} times the day's",
        spread=spread,
        median=context.median_spread,
    )


def _last_price_far(chain: Chain, context: StateContext) -> QualityIssue | None:
    """Hold last prices near the money against the quotes of the strikes about them.

    An option whose spot has moved by 2 % costs about what that of a strike 2 % away costs now, so the neighbours'
    quotes say what a last price may be that is hours old, without a model.
    """
    # Of all that is quoted, not of the few that have traded: one of three contracts is no third of a chain.
    number = int(np.count_nonzero(chain.is_quoted & chain.is_near))
    if not number:
        return None
    order, below, above = _about(chain)
    call, last = chain.is_call[order], chain.last_price[order]
    cheaper, dearer = np.where(call, above, below), np.where(call, below, above)
    # What nobody bids for may be worth nothing, and what nobody offers anything.
    lowest = np.where(chain.bid[cheaper] > 0, chain.bid[cheaper], 0.0)
    highest = np.where(chain.ask[dearer] > 0, chain.ask[dearer], np.inf)
    least = _LEAST_PRICE * chain.spot
    far = (last < (1 - LAST_PRICE_FAR) * lowest - least) | (last > (1 + LAST_PRICE_FAR) * highest + least)
    found = np.sort(order[far & (last > 0) & chain.is_quoted[order] & chain.is_near[order]])
    return context.thresholds.issue(
        "last_price_far",
        len(found) / number,
        f"the last price of {len(found)} of {number} contracts near the money is far from what is quoted",
        contracts=chain.named(found),
    )


def _about(chain: Chain) -> tuple[Whole, Whole, Whole]:
    """Return the contracts about the money, and for each the first strike 2 % below and above, or the last."""
    moneyness = chain.strike / chain.spot - 1
    order = np.flatnonzero(np.abs(moneyness) < _ABOUT_THE_MONEY)
    # Series of one expiry and right are a whole apart, which no two strikes of one are.
    series = ((chain.expiry - chain.expiry.min()) * 2 + chain.is_call)[order]
    keys = series + moneyness[order]
    ascending = np.argsort(keys, kind="stable")
    order, keys, series = order[ascending], keys[ascending], series[ascending]
    first, last = np.searchsorted(series, series), np.searchsorted(series, series, side="right") - 1
    below = np.searchsorted(keys, keys - LAST_PRICE_MOVE + 1e-9, side="right") - 1
    above = np.searchsorted(keys, keys + LAST_PRICE_MOVE - 1e-9)
    return order, order[np.maximum(below, first)], order[np.minimum(above, last)]


def _implied_volatility(chain: Chain, context: StateContext) -> QualityIssue | None:
    """Judge the volatilities from which a surface is made: near the money, out of it, of what has traded.

    A source that works volatility out of the last price has none of what never traded, nor of what last traded
    below its intrinsic value, which in the money is common; zero there says that there is none.
    """
    out_of_the_money = np.where(chain.is_call, chain.strike >= chain.spot, chain.strike <= chain.spot)
    stated = chain.is_quoted & chain.is_near & out_of_the_money & (chain.last_price != 0)
    stated &= ~np.isnan(chain.implied_volatility)
    number = int(np.count_nonzero(stated))
    if not number:
        return None
    wrong = (chain.implied_volatility == 0) | (chain.implied_volatility > HIGHEST_VOLATILITY)
    found = np.flatnonzero(stated & wrong)
    # One alone is wrong in any chain now and then, and in a small one it is a large share.
    if len(found) < _FEWEST_WRONG:
        return None
    return context.thresholds.issue(
        "implied_volatility",
        len(found) / number,
        f"{len(found)} of {number} implied volatilities near the money are zero or above {HIGHEST_VOLATILITY:.0%}",
        contracts=chain.named(found),
    )
